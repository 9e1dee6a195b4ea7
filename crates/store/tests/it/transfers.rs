use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use offshoot_store::{clone_file, copy_holes, copy_range, copy_range_in_kernel, same_blocks, share_range};
use offshoot_testkit::{Filesystem, ScratchFilesystem};

const BLOCK: u64 = 4096;
const SIZE: u64 = 1 << 30;

/// A gigabyte of holes with data at its start, in its middle and before its end.
fn sparse(directory: &Path) -> File {
    let file = create(directory, "source");
    file.set_len(SIZE).unwrap();
    for offset in [0, SIZE / 2, SIZE - 2 * BLOCK] {
        file.write_all_at(&offset.to_le_bytes().repeat(512), offset).unwrap();
    }
    file.sync_all().unwrap();
    file
}

/// How many bytes of its filesystem are free once all is on disk.
fn free(file: &File) -> u64 {
    rustix::fs::syncfs(file).unwrap();
    let filesystem = rustix::fs::fstatvfs(file).unwrap();
    filesystem.f_bfree * filesystem.f_frsize
}

#[test]
fn a_copy_shares_nothing() {
    for filesystem in [Filesystem::Xfs, Filesystem::Btrfs] {
        if !filesystem.available() {
            continue;
        }
        let scratch = ScratchFilesystem::new(filesystem, 512 << 20);
        let source = create(scratch.path(), "source");
        source.write_all_at(&[7; 32 << 20], 0).unwrap();
        source.sync_all().unwrap();
        let before = free(&source);
        copy_holes(&source, &create(scratch.path(), "copy")).unwrap();
        assert!(before - free(&source) > 30 << 20, "{filesystem:?}");
    }
}

fn create(directory: &Path, name: &str) -> File {
    File::options().read(true).write(true).create_new(true).open(directory.join(name)).unwrap()
}

fn same_and_sparse(source: &File, target: &File) {
    assert_eq!(target.metadata().unwrap().len(), SIZE);
    for offset in [0, BLOCK, SIZE / 2, SIZE - 2 * BLOCK, SIZE - BLOCK] {
        let (mut expected, mut found) = ([0; 4096], [0; 4096]);
        source.read_exact_at(&mut expected, offset).unwrap();
        target.read_exact_at(&mut found, offset).unwrap();
        assert_eq!(expected, found, "at {offset}");
    }
    target.sync_all().unwrap();
    assert!(target.metadata().unwrap().blocks() * 512 < 1 << 20, "holes were filled");
}

#[test]
fn a_copy_keeps_holes() {
    let directory = tempfile::tempdir().unwrap();
    let source = sparse(directory.path());
    let target = create(directory.path(), "target");
    copy_holes(&source, &target).unwrap();
    same_and_sparse(&source, &target);
}

#[test]
fn ranges_are_copied_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let source = sparse(directory.path());
    let (memory, kernel) = (create(directory.path(), "memory"), create(directory.path(), "kernel"));
    copy_range(&source, SIZE / 2, &memory, 8, 5000, &mut Vec::new()).unwrap();
    copy_range_in_kernel(&source, SIZE / 2, &kernel, 8, 5000).unwrap();
    let mut expected = [0; 5000];
    source.read_exact_at(&mut expected, SIZE / 2).unwrap();
    for target in [memory, kernel] {
        let mut found = [0; 5000];
        target.read_exact_at(&mut found, 8).unwrap();
        assert_eq!(expected, found);
    }
    let beyond = create(directory.path(), "beyond");
    assert!(copy_range(&source, SIZE, &beyond, 0, BLOCK, &mut Vec::new()).is_err());
    assert!(copy_range_in_kernel(&source, SIZE, &beyond, 0, BLOCK).is_err());
}

#[test]
fn blocks_are_shared_where_the_filesystem_can() {
    for (filesystem, shares) in
        [(Filesystem::Xfs, true), (Filesystem::Btrfs, true), (Filesystem::Ext4, false)]
    {
        if !filesystem.available() {
            continue;
        }
        let scratch = ScratchFilesystem::new(filesystem, 512 << 20);
        let source = sparse(scratch.path());
        let whole = create(scratch.path(), "whole");
        assert_eq!(clone_file(&source, &whole).unwrap(), shares, "{filesystem:?}");
        let part = create(scratch.path(), "part");
        part.set_len(SIZE).unwrap();
        let shared = share_range(&source, SIZE / 2, &part, BLOCK, BLOCK).unwrap();
        assert_eq!(shared, shares, "{filesystem:?}");
        if shares {
            same_and_sparse(&source, &whole);
            let mut found = [0; 8];
            part.read_exact_at(&mut found, BLOCK).unwrap();
            assert_eq!(found, (SIZE / 2).to_le_bytes());
        }
    }
    // Between two filesystems nothing can be shared, and that is no error.
    if Filesystem::Xfs.available() {
        let scratch = ScratchFilesystem::new(Filesystem::Xfs, 512 << 20);
        let elsewhere = tempfile::tempdir().unwrap();
        let target = create(elsewhere.path(), "target");
        assert!(!clone_file(&sparse(scratch.path()), &target).unwrap());
    }
}

#[test]
fn files_of_the_same_blocks_are_told_from_others() {
    for filesystem in [Filesystem::Xfs, Filesystem::Btrfs, Filesystem::Ext4] {
        if !filesystem.available() {
            continue;
        }
        let scratch = ScratchFilesystem::new(filesystem, 512 << 20);
        let file = |name: &str| {
            let path = scratch.path().join(name);
            File::options().read(true).write(true).create_new(true).open(path).unwrap()
        };
        let places = [0, 1 << 20, 4 << 20];
        let (source, copy, clone) = (file("source"), file("copy"), file("clone"));
        source.write_all_at(&[7; 1 << 20], 1 << 20).unwrap();
        source.set_len(8 << 20).unwrap();
        copy_holes(&source, &copy).unwrap();
        source.sync_all().unwrap();
        copy.sync_all().unwrap();
        assert_eq!(same_blocks(&source, &source, &places).unwrap(), Some(true), "{filesystem:?}");
        assert_eq!(same_blocks(&source, &copy, &places).unwrap(), Some(false), "{filesystem:?}");
        if clone_file(&source, &clone).unwrap() {
            assert_eq!(same_blocks(&source, &clone, &places).unwrap(), Some(true), "{filesystem:?}");
            clone.write_all_at(&[8; 4096], 1 << 20).unwrap();
            clone.sync_all().unwrap();
            assert_eq!(same_blocks(&source, &clone, &places).unwrap(), Some(false), "{filesystem:?}");
            // Less than all of it.
            let truncated = file("truncated");
            assert!(clone_file(&source, &truncated).unwrap());
            truncated.set_len(1 << 20).unwrap();
            assert_eq!(same_blocks(&source, &truncated, &places).unwrap(), Some(false), "{filesystem:?}");
        }
    }
}
