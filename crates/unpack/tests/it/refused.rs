//! What is not begun, and what is stopped.

use std::fs::{self, File};
use std::sync::atomic::{AtomicU64, Ordering};

use offshoot_testkit::oracle;
use offshoot_tree::{Content, Device, Extent, Leaf, Metadata, SourceId, Timestamp};
use offshoot_unpack::{Error, Options, Problem};

use crate::check::{Directory, native, overriding};
use crate::sample::{Layer, merge, metadata, sample, xattrs};

#[test]
fn a_directory_that_holds_something() {
    let sample = sample(|layer| {
        layer.file("etc/passwd", b"x");
    });
    let victim = tempfile::tempdir().unwrap();
    let directory = Directory::new();
    std::os::unix::fs::symlink(victim.path(), directory.path.join("etc")).unwrap();
    let before = fs::metadata(&directory.path).unwrap();
    let error = directory.unpack(&sample, &overriding()).unwrap_err();
    assert!(matches!(error, Error::NotEmpty), "{error:?}");
    let after = fs::metadata(&directory.path).unwrap();
    assert_eq!(before.permissions(), after.permissions());
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);
}

#[test]
fn something_that_is_no_directory() {
    let sample = sample(|layer| {
        layer.file("file", b"x");
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    let opened = File::open(file.path()).unwrap();
    let error = offshoot_unpack::unpack(&sample.tree, &sample.packs, &opened, &overriding()).unwrap_err();
    assert!(matches!(error, Error::Host { operation: "read the directory", .. }), "{error:?}");
}

#[test]
fn what_linux_cannot_have() {
    let extent =
        |logical_block, source_block, block_count| Extent { logical_block, source_block, block_count };
    let file = |size, source, extents| Leaf::File(Content { size, source: SourceId(source), extents });
    let long = vec![b'x'; 4096];
    let bad = |logical_block| Problem::BadExtent { logical_block };
    let cases: Vec<(Leaf, Problem)> = vec![
        (Leaf::Symlink(b""[..].into()), Problem::SymlinkLength { bytes: 0, limit: 4095 }),
        (Leaf::Symlink(long.into()), Problem::SymlinkLength { bytes: 4096, limit: 4095 }),
        (Leaf::Symlink(b"a\0b"[..].into()), Problem::SymlinkNul),
        (Leaf::CharDevice(Device { major: 4096, minor: 0 }), Problem::DeviceNumber { major: 4096, minor: 0 }),
        (
            Leaf::BlockDevice(Device { major: 0, minor: 1 << 20 }),
            Problem::DeviceNumber { major: 0, minor: 1 << 20 },
        ),
        (file(1 << 63, 0, vec![]), Problem::FileTooLarge { bytes: 1 << 63 }),
        (file(4096, 0, vec![extent(0, 0, 0)]), bad(0)),
        (file(4096, 0, vec![extent(0, 0, 2)]), bad(0)),
        (file(9000, 0, vec![extent(1, 0, 1), extent(1, 0, 1)]), bad(1)),
        (file(9000, 0, vec![extent(u64::MAX, 0, 2)]), bad(u64::MAX)),
        (file(9000, 0, vec![extent(0, u64::MAX, 2)]), bad(0)),
        (file(9000, 0, vec![extent(0, 1 << 51, 1)]), bad(0)),
        (file(9000, 0, vec![extent(0, 1, 2)]), Problem::NotInPack { logical_block: 0, pack: 0 }),
    ];
    for (leaf, expected) in cases {
        let mut layer = Layer::new();
        layer.content(&[(0, 2)], 0);
        layer.leaf("d/it", metadata(), leaf);
        assert_unrepresentable(layer, &expected);
    }
    for (attributes, expected) in [
        (Metadata { uid: u32::MAX, ..metadata() }, Problem::Owner { uid: u32::MAX, gid: 0 }),
        (Metadata { gid: u32::MAX, ..metadata() }, Problem::Owner { uid: 0, gid: u32::MAX }),
        (
            // UTIME_NOW.
            Metadata { mtime: Timestamp { seconds: 0, nanoseconds: 0x3fff_ffff }, ..metadata() },
            Problem::Nanoseconds { nanoseconds: 0x3fff_ffff },
        ),
    ] {
        let mut layer = Layer::new();
        layer.directory("d/it", attributes);
        assert_unrepresentable(layer, &expected);
    }
}

fn assert_unrepresentable(layer: Layer, expected: &Problem) {
    let directory = Directory::new();
    match directory.unpack(&merge(vec![layer]), &overriding()) {
        Err(Error::Unrepresentable { path, problem }) => {
            assert_eq!((path.to_string(), &problem), ("/d/it".to_owned(), expected));
        }
        other => panic!("{expected:?}: {other:?}"),
    }
    assert_eq!(fs::read_dir(&directory.path).unwrap().count(), 0, "nothing was begun");
}

#[test]
fn a_pack_that_is_not_there() {
    let mut sample = sample(|layer| {
        layer.file("file", b"x");
    });
    sample.packs.clear();
    let error = Directory::new().unpack(&sample, &overriding()).unwrap_err();
    let problem = Problem::NotInPack { logical_block: 0, pack: 0 };
    assert!(matches!(error, Error::Unrepresentable { problem: found, .. } if found == problem));
}

#[test]
fn attributes_that_the_kernel_will_not_have() {
    if !oracle::root() {
        return;
    }
    let (large, long) = (vec![0; (64 << 10) + 1], format!("user.{}", "x".repeat(251)));
    let sample = sample(|layer| {
        let content = layer.bytes(b"x");
        let set = xattrs([
            ("user.fits", &b""[..]),
            ("user.large", &large),
            (&long, b"x"),
            ("user.", b"x"),
            ("nowhere", b"x"),
            ("security.capability", b"nonsense"),
            ("user.a\0b", b"x"),
        ]);
        layer.leaf("file", Metadata { xattrs: set, ..metadata() }, Leaf::File(content));
        layer.leaf(
            "link",
            Metadata { xattrs: xattrs([("user.a", &b"b"[..])]), ..metadata() },
            Leaf::Symlink(b"file"[..].into()),
        );
    });
    let directory = Directory::new();
    let summary = directory.unpack(&sample, &native()).unwrap();
    assert_eq!(summary.xattrs_refused, 7);
    let listing = offshoot_testkit::Listing::of(&directory.path);
    let names: Vec<_> = listing.entries()[&b"file"[..]].xattrs.keys().map(Vec::as_slice).collect();
    assert_eq!(names, [b"user.fits"]);
}

#[test]
fn an_attribute_that_there_is_no_room_for() {
    if !oracle::root() {
        return;
    }
    let value = vec![0; 60 << 10];
    let sample = sample(|layer| {
        let content = layer.bytes(b"x");
        let set = xattrs([("user.large", &value[..])]);
        layer.leaf("file", Metadata { xattrs: set, ..metadata() }, Leaf::File(content));
    });
    if !offshoot_testkit::Filesystem::Ext4.available() {
        return;
    }
    let scratch = offshoot_testkit::ScratchFilesystem::new(offshoot_testkit::Filesystem::Ext4, 64 << 20);
    let error = Directory::on(scratch.path()).unpack(&sample, &native()).unwrap_err();
    assert_eq!(error.to_string(), "failed to set an extended attribute of /file");
}

#[test]
fn when_told_to_stop() {
    let sample = sample(|layer| {
        for number in 0..100 {
            layer.file(&format!("d{}/{number}", number % 7), b"x");
        }
        layer.link("link", "d1/1");
    });
    let total = AtomicU64::new(0);
    let count = || {
        total.fetch_add(1, Ordering::Relaxed);
        false
    };
    Directory::new().unpack(&sample, &Options { cancelled: Some(&count), ..overriding() }).unwrap();
    let total = total.into_inner();
    assert_eq!(total, 108, "once an entry");
    for stop in [1, 2, 50, total] {
        let asked = AtomicU64::new(0);
        let cancelled = || asked.fetch_add(1, Ordering::Relaxed) + 1 >= stop;
        let options = Options { cancelled: Some(&cancelled), ..overriding() };
        let error = Directory::new().unpack(&sample, &options).unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{error:?}");
        assert!(asked.into_inner() <= stop + 4, "it stops soon");
    }
}

#[test]
fn progress_is_told_in_full() {
    let sample = sample(|layer| {
        let content = layer.content(&[(0, 3), (2, 40)], 17);
        layer.leaf("file", metadata(), Leaf::File(content));
        layer.file("small", b"four");
    });
    let bytes = AtomicU64::new(0);
    let progress = |more| {
        bytes.fetch_add(more, Ordering::Relaxed);
    };
    let options = Options { progress: Some(&progress), sync: true, ..overriding() };
    let summary = Directory::new().unpack(&sample, &options).unwrap();
    assert_eq!(bytes.into_inner(), 43 * 4096 - 17 + 4);
    assert_eq!(summary.bytes_shared + summary.bytes_copied, 43 * 4096 - 17 + 4);
    assert_eq!(offshoot_unpack::content_bytes(&sample.tree), 43 * 4096 - 17 + 4);
}
