//! What all metadata of a filesystem says of itself and of each other.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use offshoot_ext4::{Grow, InspectError, check_structure};
use offshoot_testkit::{LoopMount, oracle, scratch_directory};

use crate::grow_sizes::{open, sample};
use crate::image::{Image, exact};

fn debugfs(image: &Image, request: &str) {
    oracle::run(oracle::command("debugfs").args(["-w", "-R", request]).arg(image.path()));
}

fn flip(file: &File, offset: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

#[test]
fn what_was_written_and_grown_is_right_and_flipped_bits_are_not() {
    let (tree, packs) = sample();
    let image = Image::new(&tree, &packs, &exact(1300 << 20)).unwrap();
    let file = open(&image.path());
    check_structure(&file).unwrap();
    Grow::plan(&file, 3 << 30).unwrap().apply(&file).unwrap();
    check_structure(&file).unwrap();
    let places: [(&str, &str, &str); 3] = [
        ("block bitmap", "Block bitmap at ", "a block bitmap"),
        ("inode bitmap", "Inode bitmap at ", "an inode bitmap"),
        ("inodes", "Inode table at ", "an inode"),
    ];
    let mut cases = vec![
        ("descriptors".to_owned(), 4096 + 100, "a group descriptor"),
        ("last".to_owned(), 4096 + 24 * 64 - 64, "a group descriptor"),
    ];
    if oracle::available(&["dumpe2fs"]) {
        let dump = oracle::run(oracle::command("dumpe2fs").arg(image.path()));
        for (what, words, part) in places {
            let (_, rest) = dump.split_once(words).unwrap();
            let block: u64 = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
            // In the root's inode, where it is the table.
            cases.push((what.to_owned(), block * 4096 + 300, part));
        }
    }
    for (what, offset, part) in cases {
        flip(&file, offset);
        match check_structure(&file) {
            Err(InspectError::Damaged { part: found }) => assert!(found.starts_with(part), "{what}: {found}"),
            other => panic!("{what}: {other:?}"),
        }
        flip(&file, offset);
    }
    check_structure(&file).unwrap();
}

/// With files and directories in it, large ones and with holes, of mke2fs's making.
#[test]
fn filesystems_of_others_are_right() {
    if !oracle::available(&["mke2fs"]) {
        return;
    }
    let directory = scratch_directory();
    let files = directory.path().join("files");
    fs::create_dir_all(files.join("many")).unwrap();
    for number in 0..1500 {
        fs::write(files.join(format!("many/a-name-that-takes-some-room-{number}")), "").unwrap();
    }
    fs::write(files.join("large"), vec![7; 9 << 20]).unwrap();
    let holes = File::create(files.join("holes")).unwrap();
    for hole in 0..400 {
        holes.write_all_at(&[7; 4096], hole * 16384).unwrap();
    }
    std::os::unix::fs::symlink("x".repeat(200), files.join("link")).unwrap();
    fs::hard_link(files.join("large"), files.join("again")).unwrap();
    for (name, options) in [
        ("usual", &[][..]),
        ("small blocks", &["-b", "1024"]),
        ("short inodes", &["-I", "128"]),
        ("short descriptors", &["-O", "^64bit"]),
        ("no flex_bg", &["-O", "^flex_bg"]),
        ("no checksums", &["-O", "^metadata_csum"]),
        ("meta_bg", &["-O", "meta_bg,^resize_inode"]),
        ("large clusters", &["-O", "bigalloc", "-C", "16384"]),
        ("backups elsewhere", &["-O", "sparse_super2"]),
        ("backups everywhere", &["-O", "^sparse_super,^resize_inode"]),
        ("no resize inode", &["-O", "^resize_inode"]),
        ("quotas", &["-O", "quota,project"]),
        ("no extents", &["-O", "^extents,^64bit"]),
        ("inline", &["-O", "inline_data"]),
    ] {
        let image = directory.path().join(name);
        let mut make = oracle::command("mke2fs");
        make.args(["-q", "-t", "ext4"]).args(options).arg("-d").arg(&files).arg(&image).arg("300M");
        oracle::run(&mut make);
        let checked = check_structure(&open(&image));
        assert!(checked.is_ok(), "{name}: {checked:?}");
    }
}

/// What a kernel has worked on, with all that it does to directories and extents.
#[test]
fn what_a_kernel_has_used_is_right() {
    if !oracle::root() || !oracle::available(&["mount"]) {
        return;
    }
    let (tree, packs) = sample();
    let image = Image::new(&tree, &packs, &exact(300 << 20)).unwrap();
    let mounted = LoopMount::read_write(&image.path());
    {
        let directory = mounted.path().join("used");
        fs::create_dir(&directory).unwrap();
        for number in 0..3000 {
            fs::write(directory.join(format!("a-name-that-takes-some-room-{number}")), [7; 10]).unwrap();
        }
        for number in (0..3000).step_by(2) {
            fs::remove_file(directory.join(format!("a-name-that-takes-some-room-{number}"))).unwrap();
        }
        let scattered = File::create(directory.join("scattered")).unwrap();
        for hole in (0..2000).rev() {
            scattered.write_all_at(&[7; 4096], hole * 8192).unwrap();
        }
        let reserved = File::create(directory.join("reserved")).unwrap();
        rustix::fs::fallocate(&reserved, rustix::fs::FallocateFlags::empty(), 0, 3 << 20).unwrap();
        fs::hard_link(directory.join("scattered"), directory.join("again")).unwrap();
        rustix::fs::setxattr(
            directory.join("again"),
            "user.long",
            &[7; 3000],
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
    }
    mounted.unmount();
    check_structure(&open(&image.path())).unwrap();
}

/// Everything has the right checksums, but does not fit together: e2fsck says so, and so do we.
#[test]
fn what_does_not_fit_together_is_found() {
    if !oracle::available(&["debugfs", "e2fsck"]) {
        return;
    }
    let (tree, packs) = sample();
    let image = Image::new(&tree, &packs, &exact(300 << 20)).unwrap();
    let debugfs = |request: &str| debugfs(&image, request);
    let path = image.path();
    let directory = scratch_directory();
    let file = directory.path().join("file");
    fs::write(&file, [7; 5000]).unwrap();
    debugfs(&format!("write {} file", file.display()));
    debugfs("mknod empty p");
    check_structure(&open(&path)).unwrap();
    let start = fs::read(&path).unwrap();
    for (request, part) in [
        ("setb 30000", "a block that is marked"),
        ("freeb 1", "a block that is in use"),
        ("set_inode_field file links_count 3", "the number of a file's names"),
        ("unlink file", "the number of a file's names"),
        ("link file more", "the number of a file's names"),
        ("freei file", "a block that is marked"),
        ("freei empty", "an entry of a directory"),
        ("set_bg 0 free_blocks_count 3; set_bg 0 checksum calc", "the number of a group's free blocks"),
        ("set_inode_field file block[5] 2", "a block that is in two places"),
        ("set_inode_field file block[5] 9999999", "a file's extents"),
        ("set_inode_field file file_acl 2", "a block that is in two places"),
    ] {
        fs::write(&path, &start).unwrap();
        for request in request.split("; ") {
            debugfs(request);
        }
        let mut e2fsck = oracle::command("e2fsck");
        let judged = e2fsck.arg("-fn").arg(&path).output().unwrap();
        assert!(!judged.status.success(), "{request}: {judged:?}");
        match check_structure(&open(&path)) {
            Err(InspectError::Damaged { part: found }) => {
                assert!(found.starts_with(part), "{request}: {found}");
            }
            other => panic!("{request}: {other:?}"),
        }
    }
}

/// A kernel takes neither: for the first it does not mount the filesystem, for the second it does not grow it.
#[test]
fn attributes_of_inodes_that_have_no_names_are_looked_at_too() {
    if !oracle::available(&["debugfs", "e2fsck"]) {
        return;
    }
    let (tree, packs) = sample();
    let image = Image::new(&tree, &packs, &exact(300 << 20)).unwrap();
    for inode in ["<8>", "<7>"] {
        debugfs(&image, &format!("set_inode_field {inode} file_acl 9999999"));
        oracle::run(oracle::command("e2fsck").arg("-fn").arg(image.path()));
        match check_structure(&open(&image.path())) {
            Err(InspectError::Damaged { part }) => assert_eq!(part, "where a file's blocks are", "{inode}"),
            other => panic!("{inode}: {other:?}"),
        }
        debugfs(&image, &format!("set_inode_field {inode} file_acl 0"));
        check_structure(&open(&image.path())).unwrap();
    }
}
