use std::fs::{self, File};
use std::io::Cursor;

use offshoot_layer::{Error, IndexProblem, Pack, Request};
use offshoot_store::Digest;
use offshoot_testkit::layout::{SparseFormat, Style, Tar};
use offshoot_tree::{Change, Leaf};

use crate::pack::{sample, use_changes};

/// Bytes of the digest at an index's end.
const DIGEST_LEN: usize = 32;
/// No data file is made larger than this, though it is all a hole.
const MAX_DATA_BYTES: u64 = 1 << 40;

/// The index of a pack, as bytes. Those that are no index are refused; those with a right digest, which the first byte
/// may ask for, are decoded, and the data file gets the length that they describe.
pub fn pack_index(input: &[u8]) {
    let Some((mend, body)) = input.split_first() else { return };
    let mut index = body.to_vec();
    if mend % 8 != 0 {
        index.extend_from_slice(Digest::of(body).as_bytes());
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("index"), &index).unwrap();
    let data = File::create(directory.path().join("data")).unwrap();
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
    let end = end.map(|extent| (extent.source_block + extent.block_count) * 4096).max().unwrap_or(0);
    assert_eq!((end, data.metadata().unwrap().len()), (pack.data_bytes(), pack.data_bytes()));
    if pack.data_bytes() < 1 << 20 {
        let _ = pack.verify();
    }
    use_changes(pack.into_changes());
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
    mended.chain(whole.clone()).collect()
}
