//! Every oracle over one image.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use offshoot_ext4::Options;
use offshoot_testkit::{Kind, Listing, LoopMount, oracle, sha256};
use offshoot_tree::{Leaf, Node, Tree};

use crate::image::Image;
use crate::sample::Packs;

/// Builds an image and has e2fsck, the kernel and ext4-view look at it.
pub(crate) fn everything(tree: &Tree, packs: &Packs, options: &Options) -> Image {
    let image = Image::new(tree, packs, options).unwrap();
    everything_of(tree, packs, &image);
    image
}

/// Has e2fsck, the kernel and ext4-view look at an image.
pub(crate) fn everything_of(tree: &Tree, packs: &Packs, image: &Image) {
    e2fsck(&image.path());
    kernel(tree, packs, &image.path());
    view(tree, packs, &image.path());
}

/// e2fsck finds nothing, not even something to optimise; nor do we.
pub(crate) fn e2fsck(image: &Path) {
    offshoot_ext4::check_structure(&std::fs::File::open(image).unwrap()).unwrap();
    if !oracle::available(&["e2fsck"]) {
        return;
    }
    let output = oracle::run(oracle::command("e2fsck").arg("-fn").arg(image));
    // Five passes and a summary; everything else would be a complaint.
    // A machine's clock may be ahead by a second.
    let clock = |line: &str| {
        line.contains("is in the future") || line.starts_with("\t(by less than a day") || line.is_empty()
    };
    let complaints: Vec<&str> =
        output.lines().filter(|line| !line.starts_with("Pass ") && !clock(line)).collect();
    assert_eq!(complaints.len(), 1, "{output}");
}

/// The kernel's view of the image is the tree, path by path.
pub(crate) fn kernel(tree: &Tree, packs: &Packs, image: &Path) {
    if !oracle::root() || !oracle::available(&["mount", "umount"]) {
        return;
    }
    let mount = LoopMount::read_only(image);
    compare(tree, packs, &Listing::of(mount.path()));
    let walk = tree.walk().filter(|(_, id)| tree.inode(*id).directory().is_some());
    for (path, id) in walk {
        // Every name is found by a lookup of its own, and directories count their subdirectories.
        let path = mount.path().join(OsStr::from_bytes(path.as_bytes()));
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        let links = std::os::unix::fs::MetadataExt::nlink(&metadata);
        let made = id == Tree::ROOT && tree.inode(id).directory().unwrap().get(&b"lost+found"[..]).is_none();
        let expected = u64::from(tree.inode(id).links) + u64::from(made);
        assert_eq!(links, if expected > 65_000 { 1 } else { expected }, "{}", path.display());
    }
    mount.unmount();
}

fn compare(tree: &Tree, packs: &Packs, listing: &Listing) {
    let mut found: BTreeMap<&[u8], _> =
        listing.entries().iter().map(|(path, entry)| (path.as_slice(), entry)).collect();
    let mut names: BTreeMap<_, Vec<Vec<u8>>> = BTreeMap::new();
    for (path, id) in tree.walk() {
        names.entry(id).or_default().push(path.as_bytes().to_vec());
    }
    for (path, id) in tree.walk() {
        let inode = tree.inode(id);
        let entry = found.remove(path.as_bytes()).unwrap_or_else(|| panic!("{path} is missing"));
        let metadata = &inode.metadata;
        let (kind, size, device) = match &inode.node {
            Node::Directory(_) => (Kind::Directory, None, None),
            Node::Leaf(Leaf::File(content)) => (Kind::File, Some(content.size), None),
            Node::Leaf(Leaf::Symlink(target)) => (Kind::Symlink, Some(target.len() as u64), None),
            Node::Leaf(Leaf::CharDevice(device)) => (Kind::CharacterDevice, None, Some(device)),
            Node::Leaf(Leaf::BlockDevice(device)) => (Kind::BlockDevice, None, Some(device)),
            Node::Leaf(Leaf::Fifo) => (Kind::Fifo, None, None),
            Node::Leaf(Leaf::Socket) => (Kind::Socket, None, None),
        };
        assert_eq!(entry.kind, kind, "{path}");
        assert_eq!(entry.mode, u32::from(metadata.mode), "{path}");
        assert_eq!((entry.uid, entry.gid), (metadata.uid, metadata.gid), "{path}");
        assert_eq!(entry.size, size, "{path}");
        let mtime = (metadata.mtime.seconds, i64::from(metadata.mtime.nanoseconds));
        assert_eq!(entry.mtime, mtime, "{path}");
        assert_eq!(entry.device, device.map(|device| (device.major, device.minor)), "{path}");
        let xattrs: BTreeMap<Vec<u8>, Vec<u8>> =
            metadata.xattrs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        assert_eq!(entry.xattrs, xattrs, "{path}");
        if kind != Kind::Directory {
            assert_eq!(entry.links, Some(u64::from(inode.links)), "{path}");
            let all = &names[&id];
            let first = (all.len() > 1).then(|| all.iter().min().unwrap().clone());
            assert_eq!(entry.same_as, first, "{path}");
        }
        match &inode.node {
            Node::Leaf(Leaf::File(content)) => {
                assert_eq!(entry.sha256, Some(sha256(&packs.read(content))), "{path}");
            }
            Node::Leaf(Leaf::Symlink(target)) => {
                assert_eq!(entry.target.as_deref(), Some(&target[..]), "{path}");
            }
            _ => {}
        }
    }
    let left: Vec<_> = found.keys().filter(|path| **path != b"lost+found").collect();
    assert!(left.is_empty(), "not in the tree: {left:?}");
}

/// ext4-view reads the same.
pub(crate) fn view(tree: &Tree, packs: &Packs, image: &Path) {
    let view = ext4_view::Ext4::load_from_path(image).unwrap();
    for (path, id) in tree.walk() {
        let inode = tree.inode(id);
        let full = [b"/", path.as_bytes()].concat();
        let full = ext4_view::Path::new(&full);
        let metadata = view.symlink_metadata(full).unwrap();
        assert_eq!(metadata.mode() & 0o7777, inode.metadata.mode, "{path}");
        assert_eq!((metadata.uid(), metadata.gid()), (inode.metadata.uid, inode.metadata.gid), "{path}");
        match &inode.node {
            Node::Directory(children) => {
                let mut names: Vec<Vec<u8>> = view
                    .read_dir(full)
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name().as_ref().to_vec())
                    .filter(|name| !matches!(name.as_slice(), b"." | b".."))
                    .collect();
                names.sort();
                names.retain(|name| {
                    !path.is_root() || name != b"lost+found" || children.contains_key(&name[..])
                });
                let expected: Vec<Vec<u8>> = children.keys().map(|name| name.as_bytes().to_vec()).collect();
                assert_eq!(names, expected, "{path}");
            }
            Node::Leaf(Leaf::File(content)) if content.size < 64 << 20 => {
                assert!(view.read(full).unwrap() == packs.read(content), "{path}: contents differ");
            }
            Node::Leaf(Leaf::Symlink(target)) => {
                assert_eq!(view.read_link(full).unwrap().as_ref(), &target[..], "{path}");
            }
            Node::Leaf(_) => {}
        }
    }
}

/// resize2fs can make it larger, and e2fsck likes what comes out.
pub(crate) fn growth(image: &Path, bytes: u64) {
    if !oracle::available(&["e2fsck", "resize2fs"]) {
        return;
    }
    let grown = image.with_extension("grown");
    oracle::run(oracle::command("cp").arg("--sparse=always").arg(image).arg(&grown));
    std::fs::File::options().write(true).open(&grown).unwrap().set_len(bytes).unwrap();
    oracle::run(oracle::command("resize2fs").arg(&grown));
    oracle::e2fsck(&grown);
    std::fs::remove_file(&grown).unwrap();
}
