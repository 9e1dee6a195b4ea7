//! What is there in case of need: backups, and groups that were never touched.

use std::os::unix::fs::FileExt;

use offshoot_ext4::Plan;
use offshoot_testkit::oracle;
use offshoot_tree::Leaf;

use crate::check;
use crate::image::{Image, exact};
use crate::sample::{metadata, tree};

#[test]
fn a_lost_beginning_is_restored_from_any_backup() {
    if !oracle::available(&["e2fsck"]) {
        return;
    }
    let (tree, packs) = tree(|layer| {
        layer.blocks("d/file", 1000);
    });
    for group in [1, 3, 5, 7, 9] {
        let image = Image::new(&tree, &packs, &exact(1300 << 20)).unwrap();
        let file = std::fs::File::options().read(true).write(true).open(image.path()).unwrap();
        let first = group * 32768 * 4096;
        let mut number = [0; 2];
        file.read_exact_at(&mut number, first + 0x5a).unwrap();
        assert_eq!(u64::from(u16::from_le_bytes(number)), group);
        // Superblock and descriptors.
        file.write_all_at(&[0; 2 * 4096], 0).unwrap();
        let mut repair = oracle::command("e2fsck");
        repair.args(["-fy", "-B", "4096", "-b", &(group * 32768).to_string()]).arg(image.path());
        let output = oracle::output(&mut repair);
        assert_eq!(output.status.code(), Some(1), "{}", oracle::describe(&repair, &output));
        check::e2fsck(&image.path());
        check::kernel(&tree, &packs, &image.path());
    }
}

/// The kernel writes a group's block bitmap when it first uses one of its inodes, and so does this writer.
#[test]
fn groups_with_inodes_have_block_bitmaps() {
    if !oracle::available(&["dumpe2fs"]) {
        return;
    }
    let (tree, packs) = tree(|layer| {
        for file in 0..40_000 {
            layer.leaf(format!("{}/{file}", file / 1000).as_bytes(), metadata(), Leaf::Fifo);
        }
    });
    let image = Image::new(&tree, &packs, &exact(10 << 30)).unwrap();
    check::e2fsck(&image.path());
    let dump = oracle::run(oracle::command("dumpe2fs").arg(image.path()));
    let groups: Vec<&str> = dump.lines().filter(|line| line.contains(": (Blocks ")).collect();
    assert_eq!(groups.len(), 80, "{dump}");
    for group in groups {
        assert!(group.contains("ITABLE_ZEROED"), "{group}");
        assert!(group.contains("INODE_UNINIT") || !group.contains("BLOCK_UNINIT"), "{group}");
    }
    assert!(dump.contains("INODE_UNINIT, BLOCK_UNINIT"), "{dump}");
}

/// What dumpe2fs says of a filesystem whose every number is known.
#[test]
fn the_superblock_says_what_was_asked_for() {
    if !oracle::available(&["dumpe2fs"]) {
        return;
    }
    let (tree, packs) = tree(|layer| {
        layer.blocks("file", 10);
    });
    let plan = Plan::new(&tree, &exact(10 << 30)).unwrap();
    let image = Image::of(&plan, &packs);
    let summary = plan.summary();
    let dump = oracle::run(oracle::command("dumpe2fs").arg("-h").arg(image.path()));
    let inodes = format!("Free inodes:{:14}{}", "", summary.free_inodes);
    let blocks = format!("Free blocks:{:14}{}", "", summary.free_blocks);
    for line in [
        "Filesystem volume name:   root",
        "Filesystem UUID:          01234567-89ab-4def-8123-456789abcdef",
        "Filesystem features:      has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg \
         metadata_csum_seed sparse_super large_file huge_file dir_nlink extra_isize metadata_csum",
        "Filesystem flags:         signed_directory_hash ",
        "Default mount options:    user_xattr acl",
        "Filesystem state:         clean",
        "Errors behavior:          Continue",
        "Inode count:              655360",
        "Block count:              2621440",
        "Reserved block count:     0",
        // Nine bases of 65 blocks, bitmaps and inode tables of 80 groups, and the journal.
        "Overhead clusters:        58089",
        "Reserved GDT blocks:      62",
        "Flex block group size:    16",
        "Mount count:              0",
        "Maximum mount count:      -1",
        "Required extra isize:     32",
        "Journal backup:           inode blocks",
        "Total journal size:       64M",
        &inodes,
        &blocks,
    ] {
        assert!(dump.lines().any(|found| found == line), "{line:?} is not in\n{dump}");
    }
}
