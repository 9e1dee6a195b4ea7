//! Directories that GNU tar archived, in each of its formats, compared with what the kernel says of them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use offshoot_tree::{Leaf, Merge, Node, SourceId};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, mknodat, setxattr, utimensat,
};
use tempfile::TempDir;

use crate::archive::{Made, gzip, make, noise, only_file, read, zstd};

/// What matters of one name.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    kind: char,
    mode: u32,
    ids: (u32, u32),
    mtime: (i64, i64),
    links: u64,
    /// Contents, link target or device number.
    what: Vec<u8>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

fn tar(directory: &Path, options: &[&str]) -> Vec<u8> {
    let output = Command::new("tar")
        .env("LC_ALL", "C")
        .arg("-C")
        .arg(directory)
        .args(["--sort=name", "-c"])
        .args(options)
        .args(["-f", "-", "."])
        .output()
        .expect("GNU tar");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// By the kernel; `whole_seconds` for formats that have no others.
fn on_disk(root: &Path, whole_seconds: bool) -> BTreeMap<Vec<u8>, Seen> {
    let mut seen = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let kind = metadata.file_type();
        let (kind, what) = if kind.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            ('d', Vec::new())
        } else if kind.is_symlink() {
            ('l', fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec())
        } else if kind.is_file() {
            ('f', fs::read(&path).unwrap())
        } else if kind.is_fifo() {
            ('p', Vec::new())
        } else {
            let device = metadata.rdev();
            let numbers = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
            (if kind.is_char_device() { 'c' } else { 'b' }, numbers.into_bytes())
        };
        let mut value = vec![0; 1 << 16];
        let xattrs = rustix::fs::lgetxattr(&path, "user.test", &mut value[..])
            .map(|length| vec![(b"user.test".to_vec(), value[..length].to_vec())])
            .unwrap_or_default();
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        seen.insert(
            name,
            Seen {
                kind,
                mode: metadata.mode() & 0o7777,
                ids: (metadata.uid(), metadata.gid()),
                mtime: (metadata.mtime(), if whole_seconds { 0 } else { metadata.mtime_nsec() }),
                links: metadata.nlink(),
                what,
                xattrs,
            },
        );
    }
    seen
}

/// By the pack, through the merge rules.
fn in_pack(made: &Made) -> BTreeMap<Vec<u8>, Seen> {
    let mut merge = Merge::new();
    merge.apply(SourceId(0), made.pack.changes().to_vec()).unwrap();
    let tree = merge.finish();
    let mut seen = BTreeMap::new();
    for (path, id) in tree.walk() {
        let inode = tree.inode(id);
        let (kind, what) = match &inode.node {
            Node::Directory(_) => ('d', Vec::new()),
            Node::Leaf(Leaf::File(content)) => ('f', read(&made.pack, content)),
            Node::Leaf(Leaf::Symlink(target)) => ('l', target.to_vec()),
            Node::Leaf(Leaf::CharDevice(device)) => {
                ('c', format!("{}:{}", device.major, device.minor).into_bytes())
            }
            Node::Leaf(Leaf::BlockDevice(device)) => {
                ('b', format!("{}:{}", device.major, device.minor).into_bytes())
            }
            Node::Leaf(Leaf::Fifo) => ('p', Vec::new()),
            Node::Leaf(Leaf::Socket) => ('s', Vec::new()),
        };
        let metadata = &inode.metadata;
        seen.insert(
            path.as_bytes().to_vec(),
            Seen {
                kind,
                mode: u32::from(metadata.mode),
                ids: (metadata.uid, metadata.gid),
                mtime: (metadata.mtime.seconds, i64::from(metadata.mtime.nanoseconds)),
                links: u64::from(inode.links),
                what,
                xattrs: metadata.xattrs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
            },
        );
    }
    seen
}

fn assert_same(made: &Made, expected: &BTreeMap<Vec<u8>, Seen>, what: &str) {
    let actual = in_pack(made);
    let names = |seen: &BTreeMap<Vec<u8>, Seen>| seen.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&actual), names(expected), "{what}");
    for (name, expected) in expected {
        // The host's filesystem may count a directory's links in another way (btrfs).
        let mut actual_links = actual[name].links;
        if expected.kind == 'd' {
            actual_links = expected.links;
        }
        let actual = &actual[name];
        assert!(
            (actual.kind, actual.mode, actual.ids, actual.mtime, actual_links, &actual.xattrs, &actual.what)
                == (
                    expected.kind,
                    expected.mode,
                    expected.ids,
                    expected.mtime,
                    expected.links,
                    &expected.xattrs,
                    &expected.what
                ),
            "{what}, {}: {:?} is not {:?}",
            name.escape_ascii(),
            Seen { what: Vec::new(), xattrs: actual.xattrs.clone(), ..*actual },
            Seen { what: Vec::new(), xattrs: expected.xattrs.clone(), ..*expected },
        );
    }
}

fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// What every format can say.
fn plain_directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for (name, length) in
        [("empty", 0), ("one", 1), ("block", 4096), ("over", 4097), ("record", 512), ("large", 1_500_000)]
    {
        fs::write(root.join(name), noise(length as u64, length)).unwrap();
    }
    let mut holes = noise(7, 300_000);
    holes[4096..12288].fill(0);
    holes[100_000..200_000].fill(0);
    holes[295_000..].fill(0);
    fs::write(root.join("zeros-within"), &holes).unwrap();
    fs::write(root.join("all-zeros"), vec![0; 50_000]).unwrap();
    fs::create_dir_all(root.join("a/b/c")).unwrap();
    fs::write(root.join("a/b/c/file"), b"deep").unwrap();
    fs::hard_link(root.join("large"), root.join("a/hard")).unwrap();
    symlink("../nowhere/at all", root.join("a/soft")).unwrap();
    for (name, mode) in [("one", 0o4755), ("block", 0o2711), ("a/b", 0o1777), ("over", 0)] {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    if rustix::process::geteuid().is_root() {
        for (name, kind, major, minor) in [
            ("null", FileType::CharacterDevice, 1, 3),
            ("big", FileType::CharacterDevice, 511, 131_071),
            ("disk", FileType::BlockDevice, 8, 17),
        ] {
            let device = rustix::fs::makedev(major, minor);
            mknodat(CWD, root.join(name), kind, Mode::from_raw_mode(0o640), device).unwrap();
        }
        std::os::unix::fs::chown(root.join("record"), Some(12345), Some(54321)).unwrap();
    }
    for (name, seconds) in [("one", 0), ("block", 1), ("a/soft", 1_000_000_000), ("a/b", 8_589_934_591)] {
        set_mtime(&root.join(name), seconds, 0);
    }
    directory
}

/// What only the formats with extensions can say.
fn add_extensions(root: &Path) {
    let long = "long-".repeat(30);
    let longer = format!("{long}/{long}/{long}");
    fs::create_dir_all(root.join(&longer)).unwrap();
    fs::write(root.join(&longer).join(OsStr::from_bytes(b"not \xff UTF-8\n")), b"x").unwrap();
    symlink(&longer, root.join("long-link")).unwrap();
    fs::hard_link(root.join("over"), root.join(&longer).join("hard")).unwrap();
    symlink(format!("{longer}/hard"), root.join("soft-to-hard")).unwrap();
    set_mtime(&root.join("empty"), -1, 0);
    set_mtime(&root.join("fifo"), -86_401, 0);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(root.join("over"), Some(3_000_000_000), Some(4_000_000_000)).unwrap();
    }
}

#[test]
fn plain_formats() {
    let directory = plain_directory();
    // v7 has neither devices nor FIFOs.
    let unknown = ["null", "big", "disk", "fifo"];
    let exclude = unknown.map(|name| format!("--exclude=./{name}"));
    for (format, exclude) in [("v7", &exclude[..]), ("ustar", &[])] {
        let mut expected = on_disk(directory.path(), true);
        expected.retain(|name, _| {
            exclude.is_empty() || !unknown.iter().any(|unknown| unknown.as_bytes() == name)
        });
        let format = format!("--format={format}");
        let options: Vec<&str> = std::iter::once(&format).chain(exclude).map(String::as_str).collect();
        let made = make(&tar(directory.path(), &options)).unwrap();
        assert_same(&made, &expected, &format);
    }
}

#[test]
fn extended_formats_in_every_compression() {
    let directory = plain_directory();
    add_extensions(directory.path());
    for format in ["gnu", "oldgnu"] {
        let archive = tar(directory.path(), &[&format!("--format={format}")]);
        assert_same(&make(&archive).unwrap(), &on_disk(directory.path(), true), format);
    }
    let archive = tar(directory.path(), &["--format=posix"]);
    let expected = on_disk(directory.path(), false);
    let plain = make(&archive).unwrap();
    for (what, blob) in [("plain", archive.clone()), ("gzip", gzip(&archive)), ("zstd", zstd(&archive))] {
        let made = make(&blob).unwrap();
        assert_same(&made, &expected, what);
        assert_eq!(made.pack.changes(), plain.pack.changes());
        assert_eq!(made.packed.diff_id, offshoot_store::Digest::of(&archive));
        assert_eq!(made.packed.blob, offshoot_store::Digest::of(&blob));
        assert_eq!(made.packed.blob_bytes, blob.len() as u64);
        assert_eq!(made.packed.tar_bytes, archive.len() as u64);
    }
}

#[test]
fn nanoseconds_before_and_after_1970() {
    let directory = tempfile::tempdir().unwrap();
    for (name, seconds, nanoseconds) in
        [("a", 1, 1), ("b", -1, 999_999_999), ("c", -5, 250_000_000), ("d", 2_000_000_000, 123_456_789)]
    {
        fs::write(directory.path().join(name), name).unwrap();
        set_mtime(&directory.path().join(name), seconds, nanoseconds);
    }
    let archive = tar(directory.path(), &["--format=posix"]);
    assert_same(&make(&archive).unwrap(), &on_disk(directory.path(), false), "posix");
}

#[test]
fn extended_attributes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"x").unwrap();
    let value = [&b"bytes\0of \xff any = kind\n"[..], &noise(3, 900)].concat();
    if setxattr(&file, "user.test", &value, XattrFlags::empty()).is_err() {
        // This filesystem has no user attributes: nothing to archive.
        return;
    }
    let archive = tar(directory.path(), &["--format=posix", "--xattrs", "--xattrs-include=*"]);
    let expected = on_disk(directory.path(), false);
    assert_eq!(expected[&b"file"[..]].xattrs.len(), 1);
    assert_same(&make(&archive).unwrap(), &expected, "xattrs");
}

#[test]
fn sparse_files_in_every_format() {
    let directory = tempfile::tempdir().unwrap();
    // More pieces than a header (4) and one continuation (21) have room for; not at block boundaries.
    type Pieces = Vec<(u64, usize)>;
    let cases: [(&str, u64, Pieces); 4] = [
        ("pieces", 40 << 20, (0..60).map(|piece| ((piece << 19) + 4096, 6000)).collect()),
        ("hole-last", 10 << 20, vec![(0, 100)]),
        ("hole-first", (10 << 20) + 5, vec![(10 << 20, 5)]),
        ("hole-only", (1 << 33) + 1, vec![]),
    ];
    for options in [
        &["--format=gnu"][..],
        &["--format=oldgnu"],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ] {
        for (name, size, pieces) in &cases {
            let directory = tempfile::tempdir_in(directory.path()).unwrap();
            let path = directory.path().join(name);
            let file = fs::File::create(&path).unwrap();
            file.set_len(*size).unwrap();
            for (offset, length) in pieces {
                let piece = noise(*offset, *length);
                std::os::unix::fs::FileExt::write_all_at(&file, &piece, *offset).unwrap();
            }
            let archive = tar(directory.path(), &[options, &["-S"]].concat());
            assert!(archive.len() < 3 << 20, "{options:?} {name} is not sparse");
            let made = make(&archive).unwrap();
            let changes = made.pack.changes();
            let [_, offshoot_tree::Change::Leaf { leaf: Leaf::File(content), path: inside, .. }] = changes
            else {
                panic!("{options:?} {name}: {changes:?}");
            };
            assert_eq!(inside.as_bytes(), name.as_bytes());
            assert_eq!(content.size, *size, "{options:?} {name}");
            let touched: u64 = pieces
                .iter()
                .map(|(offset, length)| (offset + *length as u64).div_ceil(4096) - offset / 4096)
                .sum();
            assert_eq!(content.data_blocks(), touched, "{options:?} {name}");
            if *size < 1 << 30 {
                assert!(read(&made.pack, content) == fs::read(&path).unwrap(), "{options:?} {name}");
            }
        }
    }
}

#[test]
fn contents_of_any_length_cross_every_border() {
    // Around the sizes of blocks, of the tar's records and of the buffers within.
    let borders = [512, 4096, 8192, 256 << 10, 512 << 10, 1 << 20];
    let lengths = borders.iter().flat_map(|border| [border - 1, *border, border + 1]);
    let directory = tempfile::tempdir().unwrap();
    let mut expected = HashMap::new();
    for length in lengths {
        let contents = noise(length, usize::try_from(length).unwrap());
        fs::write(directory.path().join(length.to_string()), &contents).unwrap();
        expected.insert(length, contents);
    }
    let made = make(&gzip(&tar(directory.path(), &[]))).unwrap();
    assert_same(&made, &on_disk(directory.path(), true), "lengths");
    assert_eq!(made.packed.data_bytes % 4096, 0);
}

#[test]
fn zero_blocks_are_holes() {
    let block = noise(1, 4096);
    let zeros = [0; 4096];
    type Case<'a> = (&'a [&'a [u8]], &'a [(u64, u64, u64)]);
    let cases: [Case<'_>; 6] = [
        (&[&block, &block], &[(0, 0, 2)]),
        (&[&zeros, &block], &[(1, 0, 1)]),
        (&[&block, &zeros, &block], &[(0, 0, 1), (2, 1, 1)]),
        (&[&zeros, &zeros], &[]),
        (&[&block, &[0; 7]], &[(0, 0, 1)]),
        (&[&block, &zeros, &[9]], &[(0, 0, 1), (2, 1, 1)]),
    ];
    for (blocks, extents) in cases {
        let contents: Vec<u8> = blocks.iter().flat_map(|block| block.iter().copied()).collect();
        let made = make(&crate::archive::Tar::new().file(b"f", &contents).finish()).unwrap();
        let (content, bytes) = only_file(&made);
        assert!(bytes == contents);
        let actual: Vec<_> = content
            .extents
            .iter()
            .map(|extent| (extent.logical_block, extent.source_block, extent.block_count))
            .collect();
        assert_eq!(actual, extents);
    }
}
