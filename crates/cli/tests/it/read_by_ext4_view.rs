use std::collections::BTreeSet;

use ext4_view::{Ext4, Path, PathBuf};
use offshoot_testkit::samples::Sample;
use offshoot_testkit::{Entry, Kind, Listing, LoopMount, oracle, sha256};

use crate::shared;

/// Above this many bytes together, contents are left to the other comparisons.
const CONTENTS_BYTES: u64 = 200 << 20;

/// A reader that shares no code with us or the kernel finds what the kernel finds.
fn compare(sample: Sample) {
    if !oracle::root() || !oracle::available(&["mount"]) {
        return;
    }
    let Some(disk) = shared::template(sample) else { return };
    let filesystem = Ext4::load_from_path(&disk).unwrap();
    let mount = LoopMount::read_only(&disk);
    let listing = Listing::of(mount.path());
    let mut found = Vec::new();
    walk(&filesystem, Path::ROOT, &mut found);
    let expected = listing.entries();
    let paths: BTreeSet<Vec<u8>> = found.iter().map(relative).collect();
    assert_eq!(paths.len(), found.len(), "no path comes twice");
    assert!(paths.iter().eq(expected.keys()), "the same paths");
    let mut left = CONTENTS_BYTES;
    for path in &found {
        let entry = &expected[&relative(path)];
        check(&filesystem, path.as_path(), entry, &mut left);
    }
}

/// As a [`Listing`] names it.
fn relative(path: &PathBuf) -> Vec<u8> {
    path.as_path().as_ref()[1..].to_owned()
}

fn walk(filesystem: &Ext4, directory: Path<'_>, found: &mut Vec<PathBuf>) {
    found.push(PathBuf::from(directory));
    for entry in filesystem.read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() == "." || entry.file_name() == ".." {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            walk(filesystem, entry.path().as_path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

fn check(filesystem: &Ext4, path: Path<'_>, entry: &Entry, left: &mut u64) {
    if entry.mtime.0.rem_euclid(1 << 32) >= 1 << 31 {
        // Version 1.0 takes seconds whose lower half is negative, as before 1970, for corrupt.
        return;
    }
    let metadata = filesystem.symlink_metadata(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let kind = metadata.file_type();
    let same_kind = match entry.kind {
        Kind::File => kind.is_regular_file(),
        Kind::Directory => kind.is_dir(),
        Kind::Symlink => kind.is_symlink(),
        Kind::CharacterDevice => kind.is_char_dev(),
        Kind::BlockDevice => kind.is_block_dev(),
        Kind::Fifo => kind.is_fifo(),
        Kind::Socket => kind.is_socket(),
    };
    assert!(same_kind, "{path:?}: {kind:?}, {:?}", entry.kind);
    let modified = metadata.modified();
    assert_eq!(
        (u32::from(metadata.mode()), metadata.uid(), metadata.gid()),
        (entry.mode, entry.uid, entry.gid),
        "{path:?}"
    );
    assert_eq!((modified.seconds(), i64::from(modified.nanoseconds())), entry.mtime, "{path:?}");
    if let Some(size) = entry.size {
        assert_eq!(metadata.len(), size, "{path:?}");
    }
    if let Some(target) = &entry.target {
        assert_eq!(filesystem.read_link(path).unwrap().as_path().as_ref(), target.as_slice(), "{path:?}");
    }
    if let Some(digest) = entry.sha256
        && let Some(rest) = left.checked_sub(metadata.len())
    {
        *left = rest;
        assert_eq!(sha256(&filesystem.read(path).unwrap()), digest, "{path:?}");
    }
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
