use std::io::{Cursor, Read, Write};
use std::path::Path;

use offshoot_ext4::{Options, Plan, Size};
use offshoot_layer::{Error, Limits, Pack, Packed, Request, pack as pack_layer};
use offshoot_store::Digest;
use offshoot_testkit::layout::{SparseFormat, Style, Tar, TarEntry};
use offshoot_tree::{BLOCK_SIZE, Change, Leaf, Merge, Metadata, SourceId};

use crate::merge::check_tree;
use crate::noise::noise;

/// So that a small input cannot keep a run busy for long.
const TAR_BYTES: u64 = 16 << 20;

/// A layer's blob through decompression and tar to a pack, and from there to a tree and the plan of a filesystem.
///
/// The first byte says what the rest is: a blob as it is, or a tar whose headers get right checksums, and then is
/// compressed with gzip, with zstd, or not at all. Compressed and plain, a tar must come to the same.
pub fn pack(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    let directory = tempfile::tempdir().unwrap();
    let made = |name: &str, blob: &[u8]| {
        let directory = directory.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        make(&directory, blob)
    };
    let tar = || mended(bytes);
    let (blob, plain) = match kind % 4 {
        0 => (bytes.to_vec(), None),
        1 => (gzip(&tar()), Some(tar())),
        2 => (zstd(&tar()), Some(tar())),
        _ => (tar(), None),
    };
    let compressed = made("a", &blob);
    if let (Ok((packed, _)), Some(tar)) = (&compressed, decoded(&blob)) {
        assert_eq!(packed.diff_id, Digest::of(&tar), "others decompress it to something else");
    }
    if let Some(plain) = plain {
        let plain = made("b", &plain);
        match (&compressed, &plain) {
            (Ok((one, changes)), Ok((other, same))) => {
                assert_eq!((one.diff_id, changes), (other.diff_id, same));
                assert_eq!((one.tar_bytes, one.data_bytes), (other.tar_bytes, other.data_bytes));
            }
            (Err(_), Err(_)) => {}
            // What has the magic of a compression is no plain tar.
            (Ok(_), Err(Error::Stream { .. } | Error::UnsupportedCompression(_))) => {}
            _ => panic!("compressed: {compressed:?}\nplain: {plain:?}"),
        }
    }
    if let Ok((_, changes)) = compressed {
        use_changes(changes);
    }
}

/// What others take a compressed blob for. They know nothing of zeros behind it, and may stop sooner.
fn decoded(blob: &[u8]) -> Option<Vec<u8>> {
    let mut tar = Vec::new();
    let read = match blob {
        [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(blob).take(TAR_BYTES).read_to_end(&mut tar),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::Decoder::new(blob).ok()?.take(TAR_BYTES).read_to_end(&mut tar),
        _ => return None,
    };
    read.ok().map(|_| tar)
}

/// Packs a blob and opens the pack again.
fn make(directory: &Path, blob: &[u8]) -> Result<(Packed, Vec<Change>), Error> {
    let limits = Limits { tar_bytes: TAR_BYTES, ..Limits::default() };
    let request = Request { limits, sync: false, ..Request::default() };
    let packed = pack_layer(Box::new(Cursor::new(blob.to_vec())), directory, &request)?;
    assert_eq!((packed.blob, packed.blob_bytes), (Digest::of(blob), blob.len() as u64));
    let pack = Pack::open(directory).unwrap();
    pack.verify().unwrap();
    assert_eq!((pack.diff_id(), pack.data_bytes()), (packed.diff_id, packed.data_bytes));
    assert_eq!(pack.changes().len() as u64, packed.entries);
    Ok((packed, pack.into_changes()))
}

/// Attributes are possible and contents lie within their file; the changes can be merged or are refused, and so on to
/// the filesystem's plan.
pub(crate) fn use_changes(changes: Vec<Change>) {
    for change in &changes {
        if let Change::Directory { metadata, path } | Change::Leaf { metadata, path, .. } = change {
            assert!(metadata.mode & !Metadata::MODE_MASK == 0, "{path}: {metadata:?}");
            assert!(metadata.mtime.nanoseconds < 1_000_000_000, "{path}: {metadata:?}");
        }
        if let Change::Leaf { leaf: Leaf::Symlink(target), path, .. } = change {
            assert!(!target.is_empty() && !target.contains(&0), "{path}: {target:?}");
        }
        let Change::Leaf { leaf: Leaf::File(content), path, .. } = change else { continue };
        let blocks = content.size.div_ceil(BLOCK_SIZE);
        let end = content.extents.last().map_or(0, |extent| extent.logical_block + extent.block_count);
        assert!(end <= blocks, "{path}: {content:?}");
    }
    let mut merge = Merge::new();
    if merge.apply(SourceId(0), changes).is_err() {
        return;
    }
    let tree = merge.finish();
    check_tree(&tree);
    let options = Options {
        uuid: [1; 16],
        hash_seed: [2; 16],
        created_seconds: 0,
        label: Default::default(),
        size: Size::Automatic { headroom_percent: 0, headroom_min_bytes: 0 },
        journal: false,
    };
    if let Ok(plan) = Plan::new(&tree, &options) {
        let summary = plan.summary();
        assert!(summary.free_blocks < summary.blocks && summary.free_inodes < summary.inodes, "{summary:?}");
    }
}

/// Sets right the checksums of all that looks like a header.
pub(crate) fn mended(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    let (blocks, _) = tar.as_chunks_mut::<512>();
    for block in blocks {
        if &block[257..262] == b"ustar" {
            offshoot_testkit::layout::checksum(block);
        }
    }
    tar
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A tar of every kind of entry.
pub(crate) fn sample(style: Style) -> Tar {
    let mut tar = Tar::new();
    tar.directory("d", 0o755).file("d/file", 0o4755, &noise(1, 700)).file("empty", 0, b"");
    tar.symlink("soft", "../d/./file").hard_link("hard", "d/file").fifo("fifo");
    tar.device("null", b'3', 1, 3).device("sda", b'4', 8, 0);
    tar.whiteout("d/gone").opaque("d");
    let long = format!("d/{}", "n".repeat(120));
    tar.entry(&TarEntry {
        uid: 1 << 31,
        gid: 100,
        mtime: (-2, 500_000_000),
        xattrs: [(b"user.x".to_vec(), b"y=\0z".to_vec())].into(),
        contents: b"contents".to_vec(),
        style,
        ..TarEntry::new(&long, b'0')
    });
    tar.entry(&TarEntry { link: long.into_bytes(), style, ..TarEntry::new("to-long", b'2') });
    tar
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut tars = vec![
        Tar::new().finish(),
        sample(Style::Pax).finish(),
        sample(Style::Gnu).finish(),
        Tar::new().directory("./", 0o700).file("./a/b/c", 0o644, b"x").finish(),
        Tar::new().global(&[(b"mtime".to_vec(), b"1.5".to_vec())]).file("f", 0o644, b"x").finish(),
    ];
    for format in [SparseFormat::Gnu, SparseFormat::Pax01, SparseFormat::Pax10] {
        let pieces: [(u64, &[u8]); 6] =
            [(0, b"a"), (5000, b"bc"), (8192, b"d"), (20_000, b"e"), (30_000, b"f"), (40_000, b"g")];
        tars.push(Tar::new().sparse("s", 50_000, &pieces, format).finish());
    }
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let mut seeds: Vec<Vec<u8>> =
        tars.iter().flat_map(|tar| [0, 1, 2, 3].map(|kind| with(kind, tar))).collect();
    for tar in &tars[1..3] {
        let members: Vec<u8> = tar.chunks(1500).flat_map(gzip).collect();
        let frames: Vec<u8> = tar.chunks(1500).flat_map(zstd).collect();
        seeds.extend([gzip(tar), zstd(tar), members, frames].iter().map(|blob| with(0, blob)));
    }
    seeds
}
