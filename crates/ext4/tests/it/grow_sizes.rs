//! Filesystems of the writer's, grown over every boundary.

use std::fs::File;
use std::path::Path;

use offshoot_ext4::{Grow, GrowError, Options, State, inspect};
use offshoot_testkit::oracle;
use offshoot_tree::Tree;

use crate::check;
use crate::image::{Image, exact};
use crate::sample::{Packs, tree};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const GROUP: u64 = 128 * MIB;

pub(crate) fn open(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

/// A few files, so that something can be lost.
pub(crate) fn sample() -> (Tree, Packs) {
    tree(|layer| {
        layer.blocks("d/file", 100);
        layer.blocks("another", 3);
        layer.symlink("link", b"another");
    })
}

/// Grows an image in one of the two ways.
pub(crate) fn grow(path: &Path, bytes: u64, journaled: bool) -> Result<Grow, GrowError> {
    let file = open(path);
    let plan = Grow::plan(&file, bytes)?;
    if journaled {
        plan.apply_journaled(&file, false)?;
    } else {
        plan.apply(&file)?;
    }
    Ok(plan)
}

/// What dumpe2fs says of the whole filesystem must be what was planned.
pub(crate) fn geometry(path: &Path, plan: &Grow) {
    check::e2fsck(path);
    let found = inspect(&open(path)).unwrap();
    assert_eq!(found.size_bytes, plan.new_size_bytes());
    assert_eq!(found.state, State::Clean);
    assert!(found.device_bytes >= plan.device_bytes());
    if !oracle::available(&["dumpe2fs"]) {
        return;
    }
    let dump = oracle::run(oracle::command("dumpe2fs").arg(path));
    let value = |name: &str| {
        let line =
            dump.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {dump}"));
        line.split_whitespace().last().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(value("Block count:"), found.blocks);
    assert_eq!(value("Free blocks:"), found.free_blocks);
    assert_eq!(value("Inode count:"), found.inodes);
    let groups =
        dump.lines().filter(|line| line.starts_with("Group ") && line.contains(": (Blocks ")).count();
    assert_eq!(groups as u64, found.groups);
}

#[test]
fn over_every_boundary() {
    let (tree, packs) = sample();
    let mut sizes = Vec::new();
    for boundary in [2 * GROUP, 3 * GROUP, 9 * GROUP, 16 * GROUP, 64 * GROUP, 65 * GROUP, 128 * GROUP] {
        for size in [
            boundary - 4096,
            boundary,
            boundary + 4096,
            boundary + 2 * MIB + 300 * 1024,
            boundary + 2 * MIB + 520 * 1024,
            boundary + 3 * MIB,
            boundary + 60 * MIB,
        ] {
            sizes.push(size);
        }
    }
    for (from, journal) in [(64 * MIB, true), (GROUP, false), (GIB, true), (16 * GROUP - 4096, true)] {
        for (number, &size) in sizes.iter().enumerate().filter(|(_, size)| **size > from) {
            let image = Image::new(&tree, &packs, &Options { journal, ..exact(from) }).unwrap();
            let path = image.path();
            let plan = grow(&path, size, journal && number % 2 == 0).unwrap();
            assert_eq!(plan.device_bytes(), size);
            assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
            geometry(&path, &plan);
        }
    }
}

/// The rule for a last group is the writer's, to the block.
#[test]
fn the_smallest_last_groups() {
    let (tree, packs) = sample();
    let image = Image::new(&tree, &packs, &exact(GIB)).unwrap();
    let file = open(&image.path());
    // Bitmaps, inode table and 50 blocks; in group 9 superblock and descriptors, too.
    for (groups, least) in [(8, 2 + 512 + 50), (9, 65 + 2 + 512 + 50)] {
        for (blocks, kept) in [(1, 0), (least - 1, 0), (least, least), (least + 1, least + 1)] {
            let plan = Grow::plan(&file, (groups * 32768 + blocks) * 4096).unwrap();
            assert_eq!(plan.new_size_bytes(), (groups * 32768 + kept) * 4096, "{groups} and {blocks}");
            assert_eq!(plan.left_out_bytes(), (blocks - kept) * 4096);
        }
    }
}
