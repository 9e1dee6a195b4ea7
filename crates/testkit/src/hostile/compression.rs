use super::Source;
use super::case::{Case, blob, tar};
use super::outcome::{INTEGRITY, UNSUPPORTED, made, refused};
use super::tree::contents;
use crate::layout::{Layer, digest};

const CUT: &str = "the compressed stream is cut short";
const NO_PART: &str = "what follows the compressed stream is no part of it";
/// What is said of bytes that are no tar.
const NO_TAR: &str = "the header's checksum is wrong";

pub(super) fn cases() -> Vec<Case> {
    // Neither compresses well nor repeats.
    let noise = noise(20_000);
    let plain = tar(|tar| tar.file("f", 0o644, &noise));
    let right = made([format!("f f {}", contents(&noise))]);
    let gzip = blob_of(&Layer::gzip(&plain));
    let zstd = blob_of(&Layer::zstd(&plain));
    let case = |name: &str, bytes: Vec<u8>, outcome| blob(name, layer(bytes, &plain, "+gzip"), outcome);
    let cut = |bytes: &[u8], by: usize| bytes[..bytes.len() - by].to_vec();
    let flipped = |bytes: &[u8], at: usize, mask: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= mask;
        bytes
    };
    let behind = |bytes: &[u8], more: &[u8]| [bytes, more].concat();
    let trailer = gzip.len() - 8;
    let full = {
        let mut bytes = gzip[..10].to_vec();
        bytes[3] = 0b1_1110;
        bytes.extend(b"\x05\x00extra../../name\0comment\0hc");
        bytes.extend(&gzip[10..]);
        bytes
    };
    let skippable = b"\x50\x2a\x4d\x18\x05\x00\x00\x00bytes";
    vec![
        case("gzip without its trailer", cut(&gzip, 8), refused(INTEGRITY, CUT)),
        case("gzip cut in its trailer", cut(&gzip, 3), refused(INTEGRITY, CUT)),
        case("gzip cut in its data", cut(&gzip, 5000), refused(INTEGRITY, "cut short")),
        case("gzip cut in its header", gzip[..7].to_vec(), refused(INTEGRITY, CUT)),
        case("gzip of two bytes", gzip[..2].to_vec(), refused(INTEGRITY, CUT)),
        case(
            "gzip with a wrong checksum",
            flipped(&gzip, trailer, 1),
            refused(INTEGRITY, "checksum or length is wrong"),
        ),
        case(
            "gzip with a wrong length",
            flipped(&gzip, trailer + 7, 0x80),
            refused(INTEGRITY, "checksum or length is wrong"),
        ),
        case(
            "gzip of an unknown method",
            flipped(&gzip, 2, 1),
            refused(INTEGRITY, "a gzip member's header is malformed"),
        ),
        case(
            "gzip with flags that are reserved",
            flipped(&gzip, 3, 0x80),
            refused(INTEGRITY, "a gzip member's header is malformed"),
        ),
        case(
            "gzip with a block that cannot be",
            flipped(&gzip, 10, 6),
            refused(INTEGRITY, "the deflated data is malformed"),
        ),
        case("gzip with every part that a header may have", full, right.clone()),
        case("gzip with garbage behind it", behind(&gzip, b"garbage"), refused(INTEGRITY, NO_PART)),
        case("gzip with zeros behind it", behind(&gzip, &[0; 5000]), right.clone()),
        case(
            "gzip with zeros and garbage behind it",
            behind(&gzip, &[&[0; 5000][..], b"x"].concat()),
            refused(INTEGRITY, NO_PART),
        ),
        case("gzip with half a member behind it", behind(&gzip, &gzip[..100]), refused(INTEGRITY, CUT)),
        case("gzip in members of a byte and of nothing", members(&plain), right.clone()),
        case(
            "gzip with a second tar in a second member",
            behind(&gzip, &blob_of(&Layer::gzip(&tar(|tar| tar.file("hidden", 0o644, b"x"))))),
            // The tar has ended before it, and the diff_id counts it.
            refused(INTEGRITY, "(diff_id)"),
        )
        .not_from(&[Source::Tar, Source::TarStdin]),
        case("gzip of gzip", blob_of(&Layer::gzip(&gzip)), refused(INTEGRITY, NO_TAR)),
        case("zstd cut in its last block", cut(&zstd, 3), refused(INTEGRITY, CUT)),
        case("zstd cut in its middle", cut(&zstd, 5000), refused(INTEGRITY, "cut short")),
        case("zstd cut in its header", zstd[..5].to_vec(), refused(INTEGRITY, CUT)),
        case(
            "zstd with garbage behind it",
            behind(&zstd, b"garbage!"),
            refused(INTEGRITY, "zstd data is malformed"),
        ),
        case("zstd with zeros behind it", behind(&zstd, &[0; 5000]), right.clone()),
        case("zstd with frames that are skipped", [&skippable[..], &zstd, skippable].concat(), right.clone())
            .not_from(&DOCKER),
        case(
            "zstd that wants a dictionary",
            dictionary(&plain),
            refused(INTEGRITY, "zstd data is malformed"),
        ),
        case(
            "zstd with a wrong checksum",
            flipped(&checked(&plain), checked(&plain).len() - 1, 1),
            refused(INTEGRITY, "zstd data is malformed"),
        ),
        case("zstd that says it is gzip", zstd.clone(), right.clone()),
        blob("gzip that says it is zstd", layer(gzip.clone(), &plain, "+zstd"), right.clone()),
        blob("gzip that says it is plain", layer(gzip, &plain, ""), right.clone()),
        case("a plain tar that says it is gzip", plain.clone(), right),
        case("xz", b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46".to_vec(), refused(UNSUPPORTED, "compressed with xz")),
        case("bzip2", b"BZh91AY&SY12345".to_vec(), refused(UNSUPPORTED, "compressed with bzip2")),
        case("lz4", b"\x04\"M\x18\x64\x40\xa7".to_vec(), refused(UNSUPPORTED, "compressed with lz4"))
            .not_from(&DOCKER),
        case("what nobody knows", b"LZIP\x01".repeat(300), refused(INTEGRITY, NO_TAR)).not_from(&DOCKER),
    ]
}

/// There a layer is plain unless it begins as gzip or zstd do, and a plain one must be its diff_id.
const DOCKER: [Source; 4] =
    [Source::DockerArchive, Source::DockerStdin, Source::ContainersStorage, Source::DockerDaemon];

fn blob_of(layer: &Layer) -> Vec<u8> {
    layer.blob.clone().unwrap_or_default()
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// A blob that is said to be that tar.
pub(super) fn layer(blob: Vec<u8>, tar: &[u8], suffix: &str) -> Layer {
    Layer {
        media_type: format!("application/vnd.oci.image.layer.v1.tar{suffix}"),
        digest: digest(&blob),
        size: blob.len() as u64,
        diff_id: digest(tar),
        blob: Some(blob),
    }
}

/// The first bytes one by one, with nothing between them.
fn members(tar: &[u8]) -> Vec<u8> {
    let (first, rest) = tar.split_at(20);
    let first = first.iter().flat_map(|byte| [blob_of(&Layer::gzip(&[*byte])), blob_of(&Layer::gzip(b""))]);
    [first.flatten().collect(), blob_of(&Layer::gzip(rest))].concat()
}

/// A frame whose header names a dictionary.
fn dictionary(tar: &[u8]) -> Vec<u8> {
    super::bombs::zstd_frame(0b0000_0001, &[0x50, 7], &[super::bombs::raw_block(&tar[..1024])])
}

/// A frame with a checksum.
fn checked(tar: &[u8]) -> Vec<u8> {
    let frame = zstd::Encoder::new(Vec::new(), 1).and_then(|mut encoder| {
        encoder.include_checksum(true)?;
        std::io::Write::write_all(&mut encoder, tar)?;
        encoder.finish()
    });
    frame.unwrap_or_else(|error| panic!("cannot compress: {error}"))
}
