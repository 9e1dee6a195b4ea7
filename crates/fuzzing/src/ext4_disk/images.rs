use std::fs::File;

use offshoot_ext4::{Label, Options, Plan, Size};
use offshoot_testkit::oracle;
use offshoot_tree::{Change, Content, Extent, Leaf, Merge, Metadata, SourceId, TreePath};

use crate::sparse_disk::SparseDisk;

const MIB: u64 = 1 << 20;
const UUID: &str = "01234567-89ab-4def-8123-456789abcdef";

/// Ours: bytes, and whether there is a journal.
const OURS: [(u64, bool); 4] = [(4 * MIB, false), (40 * MIB, true), (127 * MIB, true), (300 * MIB, false)];

/// mke2fs's: what it is asked for, and the size.
const THEIRS: [(&[&str], &str); 6] = [
    (&["-b", "4096"], "24M"),
    (&["-b", "1024"], "6M"),
    (&["-b", "1024", "-O", "^64bit,^metadata_csum,uninit_bg"], "12M"),
    (&["-b", "4096", "-O", "^64bit,^metadata_csum,uninit_bg,^resize_inode,^has_journal"], "8M"),
    (&["-b", "2048", "-O", "metadata_csum_seed,^flex_bg"], "40M"),
    (&["-b", "4096", "-I", "1024", "-O", "quota,^orphan_file"], "32M"),
];

/// How many there are.
pub(super) const IMAGES: usize = OURS.len() + THEIRS.len();

thread_local! {
    static MADE: [SparseDisk; IMAGES] = std::array::from_fn(|number| match OURS.get(number) {
        Some((bytes, journal)) => ours(*bytes, *journal),
        None => theirs(THEIRS[number - OURS.len()]),
    });
}

/// One of them; the same each time.
pub(super) fn image(number: usize) -> SparseDisk {
    MADE.with(|made| made[number].clone())
}

fn ours(bytes: u64, journal: bool) -> SparseDisk {
    let mut merge = Merge::new();
    let extents = vec![Extent { logical_block: 0, source_block: 0, block_count: 60 }];
    let content = Content { size: 60 * 4096, source: SourceId(0), extents };
    let path = TreePath::parse(b"d/file").unwrap();
    let file = Change::Leaf { path, metadata: Metadata::default(), leaf: Leaf::File(content) };
    merge.apply(SourceId(0), vec![file]).unwrap();
    let tree = merge.finish();
    let options = Options {
        uuid: [7; 16],
        hash_seed: [8; 16],
        created_seconds: 1_700_000_000,
        label: Label::default(),
        size: Size::Exact { bytes },
        journal,
    };
    let mut disk = SparseDisk::new(0);
    Plan::new(&tree, &options).unwrap().emit(&mut disk).unwrap();
    disk.settled()
}

/// An empty disk where mke2fs is missing.
fn theirs((arguments, size): (&[&str], &str)) -> SparseDisk {
    if !oracle::available(&["mke2fs"]) {
        return SparseDisk::new(MIB);
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    File::create(&image).unwrap();
    let mut make = oracle::command("mke2fs");
    make.args(["-q", "-F", "-t", "ext4", "-U", UUID, "-E"]);
    make.arg(format!("hash_seed={UUID},lazy_itable_init=1,lazy_journal_init=1"));
    oracle::run(make.env("E2FSPROGS_FAKE_TIME", "1700000000").args(arguments).arg(&image).arg(size));
    SparseDisk::of(&image).unwrap()
}
