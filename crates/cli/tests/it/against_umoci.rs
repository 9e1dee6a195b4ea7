use offshoot_testkit::samples::Sample;
use offshoot_testkit::{Ignore, Listing, LoopMount, oracle, scratch_directory};

use crate::shared;

/// A kernel's view of the disk is what umoci unpacks, path by path.
fn compare(sample: Sample) {
    if !oracle::root() || !oracle::available(&["umoci", "e2fsck", "mount"]) {
        return;
    }
    let Some(disk) = shared::template(sample) else { return };
    oracle::e2fsck(&disk);
    let directory = scratch_directory();
    let bundle = directory.path().join("bundle");
    oracle::run(oracle::command("umoci").args(["unpack", "--image", &sample.reference()]).arg(&bundle));
    let mount = LoopMount::read_only(&disk);
    compare_trees(&bundle.join("rootfs"), mount.path(), implied(sample));
}

/// Directories that no layer has an entry for are as old as their unpacking, and so is what they are made in.
pub(crate) fn implied(sample: Sample) -> &'static [&'static str] {
    match sample {
        Sample::Tiny => &["", "implied", "implied/parents", "implied/parents/of"],
        _ => &[],
    }
}

/// Left is umoci's.
pub(crate) fn compare_trees(unpacked: &std::path::Path, mounted: &std::path::Path, mtime_of: &[&str]) {
    let ignore = Ignore {
        // ext4 has it, an image does not.
        paths: &["lost+found"],
        mtime_of,
        ..Ignore::default()
    };
    Listing::of(unpacked).assert_same(&Listing::of(mounted), &ignore);
}

#[test]
fn tiny() {
    compare(Sample::Tiny);
}

#[test]
fn debian() {
    compare(Sample::Debian);
}

#[test]
fn dev() {
    compare(Sample::Dev);
}

#[test]
fn app() {
    compare(Sample::App);
}
