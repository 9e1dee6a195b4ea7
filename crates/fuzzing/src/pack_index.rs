use std::fs::{self, File};
use std::io::Cursor;

use arbitrary::{Result, Unstructured};
use offshoot_layer::{Error, IndexProblem, Pack, Request};
use offshoot_store::Digest;
use offshoot_testkit::layout::{SparseFormat, Style, Tar};
use offshoot_tree::{BLOCK_SIZE, Change, Content, Extent, Leaf, Metadata, Timestamp, TreePath};

use crate::noise::noise;
use crate::pack::{sample, use_changes};

/// Bytes of the digest at an index's end.
const DIGEST_LEN: usize = 32;
/// No data file is made larger than this, though it is all a hole.
const MAX_DATA_BYTES: u64 = 1 << 40;

/// The index of a pack: bytes, bytes that get a right digest, or one that is made of any changes. The data file then
/// gets the length that the index describes.
pub fn pack_index(input: &[u8]) {
    let Some((kind, body)) = input.split_first() else { return };
    let mut index = match kind % 8 {
        0..=3 => body.to_vec(),
        _ => made(&mut Unstructured::new(body)).unwrap_or_default(),
    };
    if kind % 8 > 0 {
        let digest = Digest::of(&index);
        index.extend_from_slice(digest.as_bytes());
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("index"), &index).unwrap();
    let data = File::create(directory.path().join("data")).unwrap();
    data.set_len(u64::from(kind >> 3) * BLOCK_SIZE).unwrap();
    let mut opened = Pack::open(directory.path());
    // First what the extents come to, then what the head says.
    for _ in 0..2 {
        if let Err(Error::Index { problem: IndexProblem::DataLength { described, .. }, .. }) = opened {
            if described > MAX_DATA_BYTES {
                return;
            }
            data.set_len(described).unwrap();
            opened = Pack::open(directory.path());
        }
    }
    let Ok(pack) = opened else { return };
    let end = pack.changes().iter().filter_map(|change| match change {
        Change::Leaf { leaf: Leaf::File(content), .. } => content.extents.last(),
        _ => None,
    });
    let end = end.map(|extent| (extent.source_block + extent.block_count) * BLOCK_SIZE).max().unwrap_or(0);
    assert_eq!((end, data.metadata().unwrap().len()), (pack.data_bytes(), pack.data_bytes()));
    if pack.data_bytes() < 1 << 20 {
        let _ = pack.verify();
    }
    use_changes(pack.into_changes());
}

/// What postcard makes of a head and of changes that are nearly possible.
fn made(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut entries: Vec<(Change, u32)> = Vec::new();
    let mut next_block = 0;
    for number in 0..input.int_in_range(0..=6)? {
        let path = TreePath::parse(format!("file-{number}").as_bytes()).unwrap();
        let nanoseconds = *input.choose(&[0, 999_999_999, 1_000_000_000])?;
        let metadata = Metadata {
            mode: *input.choose(&[0o644, 0o7777, 0o10000])?,
            mtime: Timestamp { seconds: input.arbitrary()?, nanoseconds },
            ..Metadata::default()
        };
        let leaf = match input.int_in_range(0..=7)? {
            0 => Leaf::Symlink(input.choose(&[&b"a"[..], b"", b"a\0b"])?.to_vec().into()),
            _ => Leaf::File(content(input, &mut next_block)?),
        };
        entries.push((Change::Leaf { path, metadata, leaf }, input.arbitrary()?));
    }
    let mut index = [&b"offspack"[..], &1_u32.to_le_bytes()].concat();
    let lengths = (1_u64, 2_u64, next_block.wrapping_mul(BLOCK_SIZE), entries.len() as u64);
    index.extend(postcard::to_stdvec(&([0_u8; 32], [0_u8; 32], lengths)).unwrap());
    for entry in entries {
        index.extend(postcard::to_stdvec(&entry).unwrap());
    }
    Ok(index)
}

/// Extents that follow each other in the source, mostly, and a size that they fit into, mostly.
fn content(input: &mut Unstructured<'_>, next_block: &mut u64) -> Result<Content> {
    let mut content = Content::default();
    let mut logical_block = 0_u64;
    for _ in 0..input.int_in_range(0..=4)? {
        let block_count = *input.choose(&[1, 1, 2, 5, 0, 1 << 51])?;
        logical_block = logical_block.wrapping_add(*input.choose(&[0, 0, 1, 3, u64::MAX])?);
        let source_block = next_block.wrapping_add(*input.choose(&[0, 0, 0, 0, 0, 0, 1])?);
        content.extents.push(Extent { logical_block, source_block, block_count });
        logical_block = logical_block.wrapping_add(block_count);
        *next_block = next_block.wrapping_add(block_count);
    }
    content.size = logical_block.wrapping_mul(BLOCK_SIZE).wrapping_sub(*input.choose(&[0, 0, 1, 4096])?);
    Ok(content)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let sparse = |format| Tar::new().sparse("s", 50_000, &[(0, b"a"), (20_000, b"e")], format).finish();
    let tars = [
        Tar::new().finish(),
        sample(Style::Pax).finish(),
        sample(Style::Gnu).finish(),
        sparse(SparseFormat::Gnu),
        Tar::new().file("a", 0o644, &[7; 10_000]).file("b", 0o600, &[8; 5000]).finish(),
    ];
    let index = |tar: &Vec<u8>| {
        let directory = tempfile::tempdir().unwrap();
        let request = Request { sync: false, ..Request::default() };
        offshoot_layer::pack(Box::new(Cursor::new(tar.clone())), directory.path(), &request).unwrap();
        let index = fs::read(directory.path().join("index")).unwrap();
        [vec![0], index].concat()
    };
    let whole: Vec<Vec<u8>> = tars.iter().map(index).collect();
    let mended = whole.iter().map(|index| [&[1], &index[1..index.len() - DIGEST_LEN]].concat());
    let made = (0..40).map(|seed| [&[5 + 8 * (seed % 2)], &noise(u64::from(seed), 90)[..]].concat());
    mended.chain(whole.clone()).chain(made).collect()
}
