//! A new UUID.

use offshoot_ext4::{Grow, Options, SetUuidError, inspect, set_uuid};
use offshoot_testkit::{LoopMount, oracle, scratch_directory};

use crate::check;
use crate::grow_sizes::{open, sample};
use crate::image::{Image, exact};

const UUID: [u8; 16] = *b"\xde\xad\xbe\xef\x00\x11\x42\x33\x84\x55\x66\x77\x88\x99\xaa\xbb";
const TEXT: &str = "deadbeef-0011-4233-8455-66778899aabb";

#[test]
fn is_in_the_superblock_and_its_backups() {
    let (tree, packs) = sample();
    for journal in [true, false] {
        let image = Image::new(&tree, &packs, &Options { journal, ..exact(1300 << 20) }).unwrap();
        let file = open(&image.path());
        set_uuid(&file, UUID).unwrap();
        assert_eq!(inspect(&file).unwrap().uuid, UUID);
        check::everything_of(&tree, &packs, &image);
        if oracle::available(&["dumpe2fs"]) {
            for group in [0, 1, 3, 5, 7, 9] {
                let mut dump = oracle::command("dumpe2fs");
                dump.arg("-h");
                if group > 0 {
                    dump.args(["-o", "blocksize=4096", "-o", &format!("superblock={}", group * 32768)]);
                }
                let dump = oracle::run(dump.arg(image.path()));
                assert!(dump.contains(TEXT), "{group}: {dump}");
            }
        }
        if oracle::root() {
            let mount = LoopMount::read_write(&image.path());
            std::fs::write(mount.path().join("new"), b"x").unwrap();
            mount.unmount();
            check::e2fsck(&image.path());
        }
        // And it grows, and gets another.
        let file = open(&image.path());
        Grow::plan(&file, 9 << 30).unwrap().apply(&file).unwrap();
        set_uuid(&file, [7; 16]).unwrap();
        set_uuid(&file, [7; 16]).unwrap();
        check::e2fsck(&image.path());
    }
}

#[test]
fn is_refused_where_checksums_depend_on_it() {
    if !oracle::available(&["mke2fs", "e2fsck"]) {
        return;
    }
    let directory = scratch_directory();
    let image = directory.path().join("image");
    for (features, refused) in [
        ("metadata_csum,^metadata_csum_seed", true),
        ("^metadata_csum,uninit_bg", true),
        ("metadata_csum,metadata_csum_seed", false),
        ("^metadata_csum,^uninit_bg", false),
        ("metadata_csum,metadata_csum_seed,stable_inodes", true),
        ("metadata_csum,metadata_csum_seed,meta_bg,^resize_inode", true),
    ] {
        let mut make = oracle::command("mke2fs");
        oracle::run(make.args(["-q", "-F", "-t", "ext4", "-O", features]).arg(&image).arg("300M"));
        let file = open(&image);
        let before = inspect(&file).unwrap();
        match set_uuid(&file, UUID) {
            Ok(()) => assert!(!refused, "{features}"),
            Err(SetUuidError::Seeded | SetUuidError::UnknownFeatures { .. }) => {
                assert!(refused, "{features}");
                assert_eq!(inspect(&file).unwrap(), before);
            }
            Err(error) => panic!("{features}: {error}"),
        }
        check::e2fsck(&image);
    }
}
