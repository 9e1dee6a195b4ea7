//! Descriptors, bitmaps and inodes, checked by their checksums.

use std::fs::File;
use std::os::unix::fs::FileExt;

use offshoot_ext4::{Grow, InspectError, check_groups};
use offshoot_testkit::{oracle, scratch_directory};

use crate::grow_sizes::{open, sample};
use crate::image::{Image, exact};

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
    check_groups(&file).unwrap();
    Grow::plan(&file, 3 << 30).unwrap().apply(&file).unwrap();
    check_groups(&file).unwrap();
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
        match check_groups(&file) {
            Err(InspectError::Damaged { part: found }) => assert!(found.starts_with(part), "{what}: {found}"),
            other => panic!("{what}: {other:?}"),
        }
        flip(&file, offset);
    }
    check_groups(&file).unwrap();
}

#[test]
fn filesystems_of_others_are_right() {
    if !oracle::available(&["mke2fs"]) {
        return;
    }
    let directory = scratch_directory();
    for (name, options) in [
        ("usual", &[][..]),
        ("small blocks", &["-b", "1024"]),
        ("short inodes", &["-I", "128"]),
        ("short descriptors", &["-O", "^64bit"]),
        ("no flex_bg", &["-O", "^flex_bg"]),
        ("no checksums", &["-O", "^metadata_csum"]),
        ("meta_bg", &["-O", "meta_bg,^resize_inode"]),
        ("large clusters", &["-O", "bigalloc", "-C", "16384"]),
    ] {
        let image = directory.path().join(name);
        let mut make = oracle::command("mke2fs");
        oracle::run(make.args(["-q", "-t", "ext4"]).args(options).arg(&image).arg("300M"));
        let checked = check_groups(&open(&image));
        assert!(checked.is_ok(), "{name}: {checked:?}");
    }
}
