//! Everything that a tree can hold, as root.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle};
use offshoot_tree::{Change, Device, Leaf, Metadata, Timestamp};
use offshoot_unpack::Error;

use crate::check::{Directory, assert_same, native, unpacks};
use crate::sample::{Sample, metadata, sample, xattrs};
use crate::user::{NOBODY, as_nobody, with_umask};

#[test]
fn every_kind_of_node() {
    let sample = sample(|layer| {
        layer.directory("", Metadata { mode: 0o751, uid: 3, gid: 4, ..metadata() });
        layer.file("etc/hostname", b"vm\n").file("empty", b"").symlink("etc/link", b"/etc/../nowhere");
        let device = Device { major: 4095, minor: (1 << 20) - 1 };
        layer.leaf("dev/char", Metadata { mode: 0o620, ..metadata() }, Leaf::CharDevice(device));
        let device = Device { major: 7, minor: 300 };
        layer.leaf("dev/block", Metadata { mode: 0o660, gid: 6, ..metadata() }, Leaf::BlockDevice(device));
        layer.leaf("dev/fifo", Metadata { mode: 0o4600, uid: 9, ..metadata() }, Leaf::Fifo);
        layer.leaf("dev/socket", Metadata { mode: 0o666, ..metadata() }, Leaf::Socket);
    });
    let Some((_, summary)) = unpacks(&sample) else { return };
    assert_eq!((summary.files, summary.directories, summary.symlinks, summary.specials), (2, 3, 1, 4));
    assert_eq!(summary.bytes_copied, 3);
}

#[test]
fn times_of_any_age() {
    let sample = sample(|layer| {
        for (name, seconds, nanoseconds) in [
            ("old", -2_147_483_648, 0),
            ("before", -1, 999_999_999),
            ("late", 2_147_483_648, 5),
            ("epoch", 0, 0),
        ] {
            let mtime = Timestamp { seconds, nanoseconds };
            layer.leaf(name, Metadata { mtime, ..metadata() }, Leaf::Symlink(b"x"[..].into()));
            layer.directory(&format!("d-{name}"), Metadata { mtime, ..metadata() });
            layer.file(&format!("d-{name}/file"), b"x");
        }
    });
    let Some((_, summary)) = unpacks(&sample) else { return };
    assert_eq!(summary.times_clamped, 0);
}

#[test]
fn times_that_the_filesystem_cannot_hold_are_counted() {
    if !Filesystem::Ext4.available() {
        return;
    }
    let sample = sample(|layer| {
        for (name, seconds) in [("far", 1 << 40), ("gone", -1 << 40), ("late", 1 << 33), ("now", 1 << 30)] {
            let mtime = Timestamp { seconds, nanoseconds: 7 };
            let content = layer.bytes(b"x");
            layer.leaf(&format!("{name}-file"), Metadata { mtime, ..metadata() }, Leaf::File(content));
            layer.leaf(name, Metadata { mtime, ..metadata() }, Leaf::Symlink(b"x"[..].into()));
        }
    });
    let scratch = ScratchFilesystem::new(Filesystem::Ext4, 64 << 20);
    let directory = Directory::on(scratch.path());
    assert_eq!(directory.unpack(&sample, &native()).unwrap().times_clamped, 4);
}

#[test]
fn hard_links_across_directories_leave_times_alone() {
    let sample = sample(|layer| {
        layer.file("b/file", b"one").symlink("b/symlink", b"file");
        layer.leaf("b/fifo", metadata(), Leaf::Fifo);
        layer.link("a/file", "b/file").link("z/y/x", "b/file").link("z/symlink", "b/symlink");
        layer.link("c/fifo", "b/fifo").link("file", "b/file");
        for path in ["", "a", "b", "z", "z/y", "c"] {
            layer.directory(path, metadata());
        }
    });
    let Some((_, summary)) = unpacks(&sample) else { return };
    assert_eq!(summary.hard_links, 5);
}

#[test]
fn attributes() {
    let capability = [1u8, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let sample = sample(|layer| {
        let content = layer.bytes(b"program");
        let set = xattrs([("security.capability", &capability[..]), ("user.note", b"\0x")]);
        let all = Metadata { mode: 0o6555, uid: 1000, gid: 1001, xattrs: set, ..metadata() };
        layer.leaf("program", all, Leaf::File(content));
        let set = xattrs([("trusted.overlay.opaque", &b"y"[..])]);
        layer.directory("d", Metadata { mode: 0o3777, uid: 5, gid: 6, xattrs: set, ..metadata() });
        layer.file("d/inside", b"x");
        let set = xattrs([("trusted.of.link", &b"z"[..])]);
        let of_link = Metadata { uid: 7, gid: 8, xattrs: set, ..metadata() };
        layer.leaf("link", of_link.clone(), Leaf::Symlink(b"/nowhere"[..].into()));
        layer.leaf("fifo", of_link, Leaf::Fifo);
    });
    let Some((_, summary)) = unpacks(&sample) else { return };
    assert_eq!(summary.xattrs_refused, 0);
}

fn of_all_modes() -> Sample {
    sample(|layer| {
        for mode in [0, 0o1, 0o111, 0o400, 0o777, 0o1777, 0o2755, 0o4711, 0o7777] {
            let attributes = Metadata { mode, ..metadata() };
            let content = layer.bytes(b"x");
            layer.leaf(&format!("file-{mode:o}"), attributes.clone(), Leaf::File(content));
            layer.leaf(&format!("fifo-{mode:o}"), attributes.clone(), Leaf::Fifo);
            layer.directory(&format!("d-{mode:o}"), attributes);
            layer.file(&format!("d-{mode:o}/file"), b"x");
        }
        layer.directory("d-0/d", Metadata { mode: 0, ..metadata() }).file("d-0/d/file", b"x");
        let content = layer.bytes(b"x");
        let attributes = Metadata { mode: 0o400, xattrs: xattrs([("user.a", &b"b"[..])]), ..metadata() };
        layer.leaf("read-only-with-attribute", attributes, Leaf::File(content));
    })
}

#[test]
fn modes_whatever_the_umask() {
    if !oracle::root() {
        return;
    }
    for mask in [0, 0o22, 0o777] {
        let (directory, sample) = (Directory::new(), of_all_modes());
        with_umask(mask, || directory.unpack(&sample, &native()).unwrap());
        assert_same(&directory.path, &sample);
    }
}

#[test]
fn a_directory_that_would_pass_something_on() {
    if !oracle::root() {
        return;
    }
    let (directory, sample) = (Directory::new(), of_all_modes());
    // user::rwx,user:5:rwx,group::rwx,mask::rwx,other::---
    let mut list = vec![2, 0, 0, 0];
    for (tag, permissions, id) in [(1u16, 7u16, !0), (2, 7, 5u32), (4, 7, !0), (0x10, 7, !0), (0x20, 0, !0)] {
        list.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        list.extend(id.to_le_bytes());
    }
    for name in ["system.posix_acl_default", "system.posix_acl_access"] {
        rustix::fs::lsetxattr(&directory.path, name, &list, rustix::fs::XattrFlags::empty()).unwrap();
    }
    std::os::unix::fs::chown(&directory.path, Some(3), Some(4)).unwrap();
    std::fs::set_permissions(&directory.path, Permissions::from_mode(0o2777)).unwrap();
    directory.unpack(&sample, &native()).unwrap();
    assert_same(&directory.path, &sample);
}

#[test]
fn access_control_lists_of_the_tree() {
    let list = |group: u16| {
        let mut list = vec![2, 0, 0, 0];
        for (tag, permissions, id) in
            [(1u16, 6u16, !0), (2, 4, 5u32), (4, 4, !0), (0x10, group, !0), (0x20, 0, !0)]
        {
            list.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
            list.extend(id.to_le_bytes());
        }
        list
    };
    let sample = sample(|layer| {
        let content = layer.bytes(b"x");
        let set = xattrs([("system.posix_acl_access", &list(4)[..])]);
        let attributes = Metadata { mode: 0o2640, gid: 1000, xattrs: set, ..metadata() };
        layer.leaf("file", attributes, Leaf::File(content));
        let set = xattrs([("system.posix_acl_default", &list(7)[..])]);
        layer.directory("d", Metadata { mode: 0o2755, gid: 77, xattrs: set, ..metadata() });
        layer.file("d/file", b"x").directory("d/d", metadata());
    });
    unpacks(&sample);
}

#[test]
fn modes_stand_above_access_control_lists() {
    let mut list = vec![2, 0, 0, 0];
    for (tag, permissions, id) in [(1u16, 7u16, !0), (2, 7, 5u32), (4, 7, !0), (0x10, 7, !0), (0x20, 7, !0)] {
        list.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        list.extend(id.to_le_bytes());
    }
    let sample = sample(|layer| {
        let set = xattrs([("system.posix_acl_access", &list[..])]);
        let attributes = Metadata { mode: 0o640, xattrs: set, ..metadata() };
        let content = layer.bytes(b"x");
        layer.leaf("file", attributes.clone(), Leaf::File(content));
        layer.leaf("fifo", attributes, Leaf::Fifo);
    });
    if !oracle::root() {
        return;
    }
    let directory = Directory::new();
    directory.unpack(&sample, &native()).unwrap();
    for name in ["file", "fifo"] {
        let mode = std::fs::metadata(directory.path.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640, "{name}");
    }
}

#[test]
fn as_the_owner_of_all_without_being_root() {
    if !oracle::root() {
        return;
    }
    let mut sample = of_all_modes();
    let mut merge = offshoot_tree::Merge::new();
    let changes = sample.tree.walk().map(|(path, id)| {
        let inode = sample.tree.inode(id);
        let metadata = Metadata { uid: NOBODY, gid: NOBODY, ..inode.metadata.clone() };
        match &inode.node {
            offshoot_tree::Node::Directory(_) => Change::Directory { path, metadata },
            offshoot_tree::Node::Leaf(leaf) => Change::Leaf { path, metadata, leaf: leaf.clone() },
        }
    });
    merge.apply(offshoot_tree::SourceId(0), changes.collect()).unwrap();
    sample.tree = merge.finish();
    let directory = Directory::of_nobody();
    with_umask(0o77, || as_nobody(|| directory.unpack(&sample, &native()).unwrap()));
    assert_same(&directory.path, &sample);
    // What belongs to others cannot be had.
    let (directory, sample) = (Directory::of_nobody(), of_all_modes());
    let error = as_nobody(|| directory.unpack(&sample, &native()).unwrap_err());
    assert!(matches!(error, Error::Host { operation: "set the owner of", .. }), "{error:?}");
}

#[test]
fn sizes_and_holes() {
    let sample = sample(|layer| {
        for (name, pieces, lacks) in [
            ("hole-only", vec![], 0),
            ("short", vec![(0, 1)], 4095),
            ("whole", vec![(0, 1)], 0),
            ("shared", vec![(0, 16)], 0),
            ("shared-tail", vec![(0, 33)], 1),
            ("hole-first", vec![(5, 20)], 77),
            ("many", vec![(0, 1), (2, 17), (1, 1), (40, 300)], 4000),
        ] {
            let mut content = layer.content(&pieces, lacks);
            if name == "hole-only" {
                content.size = 1 << 20;
            }
            layer.leaf(name, metadata(), Leaf::File(content));
        }
        let mut content = layer.content(&[(0, 1)], 0);
        content.size = 123_456;
        layer.leaf("hole-last", metadata(), Leaf::File(content));
    });
    let Some((directory, _)) = unpacks(&sample) else { return };
    let blocks = |name: &str| {
        std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(directory.path.join(name)).unwrap())
    };
    assert_eq!(blocks("hole-only"), 0);
    assert!(blocks("hole-last") <= 16, "{}", blocks("hole-last"));
}
