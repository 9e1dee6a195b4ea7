use super::Image;
use super::case::{Case, blob, case, layer, tar};
use super::compression;
use super::outcome::{INTEGRITY, counted, made, refused, unmergeable};
use crate::layout::{Layer, SparseFormat, Tar, TarEntry};

const MIB: usize = 1 << 20;

pub(super) fn cases() -> Vec<Case> {
    let zeros = tar(|tar| tar.file("f", 0o644, &vec![0; 32 * MIB]));
    let large_attribute = vec![b'v'; 3900];
    vec![
        blob("gzip of a thousand times its size", Layer::gzip(&zeros), counted(1, 32 << 20)),
        blob("zstd of thirty thousand times its size", zstd_zeros(32), counted(1, 32 << 20)),
        blob("zstd with a window of 128 MiB", with_window(27), made([r#"f f "x""#])),
        blob(
            "zstd with a window of 256 MiB",
            with_window(28),
            refused(INTEGRITY, "needs too large a window"),
        ),
        blob("zstd with a window of 2 TiB", with_window(41), refused(INTEGRITY, "needs too large a window")),
        layer(
            "a hundred sparse files of 8 TiB",
            |tar| {
                for n in 0..100 {
                    tar.sparse(&n.to_string(), 8 << 40, &[(4 << 40, b"x")], SparseFormat::Pax10);
                }
                tar
            },
            counted(100, 800 << 40),
        ),
        layer(
            "a sparse tar of sparse files in a sparse file",
            |outer| {
                let inner = tar(|tar| tar.sparse("inner", 1 << 40, &[(0, b"x")], SparseFormat::Gnu));
                outer.sparse("outer", 1 << 40, &[(1 << 39, &inner)], SparseFormat::Pax01)
            },
            counted(1, 1 << 40),
        ),
        layer(
            "a file of two thousand pieces",
            |tar| {
                let pieces: Vec<(u64, &[u8])> = (0..2000).map(|n| (n * 8192, b"x".as_slice())).collect();
                tar.sparse("f", 16_384_000, &pieces, SparseFormat::Pax10)
            },
            counted(1, 16_384_000),
        ),
        blob("one entry twenty thousand times", repeated(20_000), counted(1, 0)),
        blob(
            "one entry a billion times",
            repeated(1_000_000_000),
            refused(INTEGRITY, "exceeds the limit of"),
        )
        .only_in_soak(),
        layer(
            "five thousand entries in a directory",
            |tar| {
                for n in 0..5000 {
                    tar.file(&format!("d/{n}"), 0o644, b"");
                }
                tar
            },
            counted(5001, 0),
        ),
        layer(
            "a thousand entries with as many attributes as fit",
            |tar| {
                for n in 0..1000 {
                    tar.entry(&TarEntry {
                        xattrs: [(b"user.a".to_vec(), large_attribute.clone())].into(),
                        ..TarEntry::new(n.to_string(), b'0')
                    });
                }
                tar
            },
            counted(1000, 0),
        ),
        case(
            "more attributes than an index may have",
            Image::Layers(vec![attributes()]),
            refused(INTEGRITY, "bytes of index"),
        )
        .only_in_soak(),
        layer("ten thousand deep, by way of links", deep, counted(10_040, 0)),
        layer(
            "links that double with each step",
            |tar| {
                for n in 0..40 {
                    let next = format!("l{}", n + 1);
                    tar.symlink(&format!("l{n}"), &format!("{next}/../{next}"));
                }
                tar.file("l0/x", 0o644, b"x")
            },
            unmergeable("too many levels of symbolic links"),
        ),
        layer(
            "links of four thousand steps, taken ten thousand times",
            winding,
            unmergeable("too many steps through symbolic links"),
        )
        .only_in_soak(),
        layer(
            "two thousand whiteouts",
            |tar| {
                for n in 0..2000 {
                    tar.whiteout(&format!("a/b/c/{n}")).opaque(&format!("d{n}"));
                }
                tar.file("f", 0o644, b"x")
            },
            made([r#"f f "x""#]),
        ),
        case(
            "one layer two hundred times",
            {
                let layer =
                    Layer::gzip(&tar(|tar| tar.file("f", 0o644, &[7; 5000]).whiteout("f").opaque("d")));
                Image::Layers(vec![layer; 200])
            },
            counted(1, 5000),
        ),
    ]
}

/// A frame of zstd: what its header says behind the magic number, and its blocks.
pub(super) fn zstd_frame(descriptor: u8, header: &[u8], blocks: &[Block]) -> Vec<u8> {
    let mut frame = b"\x28\xb5\x2f\xfd".to_vec();
    frame.push(descriptor);
    frame.extend(header);
    for (index, block) in blocks.iter().enumerate() {
        let last = u32::from(index + 1 == blocks.len());
        let header = last | block.kind << 1 | block.size << 3;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(&block.bytes);
    }
    frame
}

/// A block of a frame.
pub(super) struct Block {
    kind: u32,
    size: u32,
    bytes: Vec<u8>,
}

/// Bytes as they are, at most 128 KiB.
pub(super) fn raw_block(bytes: &[u8]) -> Block {
    Block { kind: 0, size: u32::try_from(bytes.len()).unwrap_or_default(), bytes: bytes.to_vec() }
}

/// A file of so many MiB of zeros; 128 KiB of them are four bytes.
fn zstd_zeros(mib: usize) -> Layer {
    let file = tar(|tar| tar.file("f", 0o644, &vec![0; mib * MIB]));
    let mut blocks = vec![raw_block(&file[..512])];
    blocks.extend((0..mib * 8).map(|_| Block { kind: 1, size: 128 << 10, bytes: vec![0] }));
    blocks.push(raw_block(&[0; 1024]));
    compression::layer(zstd_frame(0, &[window(17)], &blocks), &file, "+zstd")
}

/// A frame that says it needs a window of so many bits.
fn with_window(log: u8) -> Layer {
    let tar = tar(|tar| tar.file("f", 0o644, b"x"));
    compression::layer(zstd_frame(0, &[window(log)], &[raw_block(&tar)]), &tar, "+zstd")
}

fn window(log: u8) -> u8 {
    (log - 10) << 3
}

/// An empty file again and again: a frame for a thousand of them, and that again and again.
fn repeated(times: usize) -> Layer {
    let thousand = TarEntry::new("f", b'0').to_bytes().repeat(1000);
    let frame = zstd::encode_all(thousand.as_slice(), 3).unwrap_or_else(|error| panic!("{error}"));
    let end = zstd::encode_all(&[0; 1024][..], 3).unwrap_or_else(|error| panic!("{error}"));
    let tar = [thousand.repeat(if times > MIB { 0 } else { times / 1000 }), vec![0; 1024]].concat();
    compression::layer([frame.repeat(times / 1000), end].concat(), &tar, "+zstd")
}

/// 120 KiB of attributes for each of ten thousand entries.
fn attributes() -> Layer {
    let value = vec![b'v'; 120 << 10];
    let entry = TarEntry { xattrs: [(b"user.a".to_vec(), value)].into(), ..TarEntry::new("f", b'0') };
    let frame = zstd::encode_all(entry.to_bytes().as_slice(), 3).unwrap_or_else(|error| panic!("{error}"));
    compression::layer(frame.repeat(10_000), b"", "+zstd")
}

/// Each link leads 250 names below the one before it.
fn deep(tar: &mut Tar) -> &mut Tar {
    let below = vec!["d"; 250].join("/");
    tar.directory(&below, 0o755).symlink("l0", &below);
    for n in 1..40 {
        let last = format!("l{}", n - 1);
        tar.directory(&format!("{last}/{below}"), 0o755)
            .symlink(&format!("l{n}"), &format!("{last}/{below}"));
    }
    tar
}

/// The way to each file goes over forty links of two thousand names each.
fn winding(tar: &mut Tar) -> &mut Tar {
    let around = "a/../".repeat(800);
    tar.directory("a", 0o755);
    for n in 0..40 {
        tar.symlink(&format!("l{n}"), &format!("{around}l{}", n + 1));
    }
    tar.directory("l40", 0o755);
    for n in 0..10_000 {
        tar.file(&format!("l0/{n}"), 0o644, b"");
    }
    tar
}
