use std::fs;

use offshoot_testkit::samples::Sample;
use offshoot_testkit::{Ignore, Listing, LoopMount, oracle, scratch_directory};

use crate::shared;

/// e2fsprogs can grow a copy of the disk, and it holds then what it held before.
fn grow(sample: Sample) {
    if !oracle::available(&["resize2fs", "e2fsck", "cp"]) {
        return;
    }
    let Some(template) = shared::template(sample) else { return };
    let directory = scratch_directory();
    let disk = directory.path().join("disk");
    oracle::run(oracle::command("cp").args(["--sparse=always"]).arg(&template).arg(&disk));
    oracle::run(oracle::command("chmod").arg("u+w").arg(&disk));
    let size = fs::metadata(&disk).unwrap().len() + (5 << 30);
    fs::File::options().write(true).open(&disk).unwrap().set_len(size).unwrap();
    oracle::run(oracle::command("resize2fs").arg(&disk));
    oracle::e2fsck(&disk);
    let blocks = oracle::run(oracle::command("dumpe2fs").arg("-h").arg(&disk));
    let blocks = blocks.lines().find_map(|line| line.strip_prefix("Block count:")).unwrap();
    assert_eq!(blocks.trim().parse::<u64>().unwrap(), size / 4096, "it fills the disk");
    // The comparison of contents is worth its time on one that is quick to read.
    if sample == Sample::Tiny && oracle::root() {
        let (before, after) = (LoopMount::read_only(&template), LoopMount::read_only(&disk));
        Listing::of(before.path()).assert_same(&Listing::of(after.path()), &Ignore::default());
    }
}

#[test]
fn tiny() {
    grow(Sample::Tiny);
}

#[test]
fn debian() {
    grow(Sample::Debian);
}

#[test]
fn dev() {
    grow(Sample::Dev);
}

#[test]
fn app() {
    grow(Sample::App);
}
