//! Kernels write to what was made, and it stays whole.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use offshoot_ext4::{Options, Size};
use offshoot_testkit::{LoopMount, boot, oracle};
use offshoot_tree::{Leaf, Tree};

use crate::check;
use crate::grow_sizes::{geometry, grow};
use crate::image::{Image, options};
use crate::sample::{Packs, metadata, tree};

/// A tree with a large directory, a directory of the root's, and some files.
fn files() -> (Tree, Packs) {
    tree(|layer| {
        for file in 0..5000 {
            layer.leaf(format!("large/{file}").as_bytes(), metadata(), Leaf::Fifo);
        }
        let scattered = layer.scattered(700);
        layer.file("scattered", scattered);
        layer.blocks("file", 3000);
    })
}

fn write_much(root: &Path, new: u32) {
    // Splits leaves and nodes of the hash tree.
    for file in 0..new {
        fs::write(root.join(format!("large/new-{file}")), b"").unwrap();
    }
    for file in 0..4000 {
        fs::remove_file(root.join(format!("large/{file}"))).unwrap();
    }
    for file in 0..new {
        fs::symlink_metadata(root.join(format!("large/new-{file}"))).unwrap();
    }
    // Allocates in groups whose bitmaps were never written, and inodes in tables that were not.
    for directory in 0..200 {
        fs::create_dir(root.join(format!("directory-{directory}"))).unwrap();
        fs::write(root.join(format!("directory-{directory}/file")), vec![7; 40_000]).unwrap();
    }
    fs::write(root.join("scattered"), vec![9; 1 << 20]).unwrap();
    fs::write(root.join("lost+found/file"), b"x").unwrap();
    let link = "x".repeat(200);
    std::os::unix::fs::symlink(&link, root.join("symlink")).unwrap();
}

#[test]
fn a_mounted_filesystem_can_be_filled() {
    if !oracle::root() || !oracle::available(&["mount", "umount", "e2fsck"]) {
        return;
    }
    let (tree, packs) = files();
    for (journal, headroom_min_bytes, new) in [(true, 300 << 20, 18_000), (false, 24 << 20, 1500)] {
        let size = Size::Automatic { headroom_percent: 0, headroom_min_bytes };
        let image = Image::new(&tree, &packs, &Options { journal, size, ..options() }).unwrap();
        let mount = LoopMount::read_write(&image.path());
        write_much(mount.path(), new);
        // To the last block.
        let chunk = vec![0x55; 1 << 20];
        let full = (0..).find_map(|file| fs::write(mount.path().join(format!("fill-{file}")), &chunk).err());
        assert_eq!(full.unwrap().kind(), std::io::ErrorKind::StorageFull);
        mount.unmount();
        check::e2fsck(&image.path());
        // Nothing that was there before has changed.
        let mount = LoopMount::read_only(&image.path());
        let expected = packs.read(content(&tree, b"file"));
        assert!(fs::read(mount.path().join("file")).unwrap() == expected);
        assert_eq!(fs::symlink_metadata(mount.path().join("large/4500")).unwrap().mtime(), 1_700_000_000);
        mount.unmount();
    }
}

fn content<'a>(tree: &'a Tree, path: &[u8]) -> &'a offshoot_tree::Content {
    let id = tree.lookup(&offshoot_tree::TreePath::parse(path).unwrap()).unwrap();
    let offshoot_tree::Node::Leaf(Leaf::File(content)) = &tree.inode(id).node else { panic!("not a file") };
    content
}

/// A disk with resize2fs on it.
fn resizing_disk() -> Image {
    let resize2fs = oracle::find("resize2fs").unwrap();
    let libraries = oracle::run(oracle::command("ldd").arg(&resize2fs));
    let (tree, packs) = tree(|layer| {
        let mut copy = |path: &str, from: &Path| {
            layer.program(path, &fs::read(from).unwrap());
        };
        copy("bin/busybox", &oracle::find("busybox").unwrap());
        copy("bin/resize2fs", &resize2fs);
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            copy(library, Path::new(library));
        }
        layer.symlink("bin/sh", b"busybox");
        layer.directory("proc").directory("dev");
    });
    Image::new(&tree, &packs, &options()).unwrap()
}

/// Has a machine make its mounted root 20 GiB large, and fill some of it.
fn resized(image: &Image) {
    fs::File::options().write(true).open(image.path()).unwrap().set_len(20 << 30).unwrap();
    let script = "resize2fs /dev/vda && busybox dd if=/dev/zero of=/zeros bs=1M count=200 && busybox df /";
    let booted = boot::Boot::new(image.path()).run(script);
    assert_eq!(booted.status, 0, "{}", booted.console);
    assert!(booted.output.contains("5242880 (4k) blocks long"), "{}", booted.output);
    check::e2fsck(&image.path());
    let stats = oracle::debugfs(&image.path(), "stats");
    let blocks = stats.lines().find(|line| line.starts_with("Block count:")).unwrap();
    assert_eq!(blocks.split_whitespace().last(), Some("5242880"));
}

/// A machine makes its own root larger while it is mounted: what growth was reserved for.
#[test]
fn a_machine_grows_its_root() {
    if !boot::available() || !oracle::available(&["resize2fs", "ldd", "busybox", "e2fsck", "debugfs"]) {
        return;
    }
    resized(&resizing_disk());
}

/// The same with a root that was grown before, and is grown once more afterwards.
#[test]
fn a_machine_grows_its_grown_root() {
    if !boot::available() || !oracle::available(&["resize2fs", "ldd", "busybox", "e2fsck", "debugfs"]) {
        return;
    }
    for journaled in [true, false] {
        let image = resizing_disk();
        grow(&image.path(), 9 << 30, journaled).unwrap();
        resized(&image);
        let plan = grow(&image.path(), 30 << 30, !journaled).unwrap();
        geometry(&image.path(), &plan);
        let booted = boot::Boot::new(image.path()).run("busybox dd if=/dev/zero of=/more bs=1M count=200");
        assert_eq!(booted.status, 0, "{}", booted.console);
        check::e2fsck(&image.path());
    }
}
