use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use offshoot_oci::{Error, Platform, directory_tar, media_type};
use offshoot_testkit::{Ignore, Listing, oracle, scratch_directory};
use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use crate::layouts;

pub(crate) fn read(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The error that a stream ends with.
pub(crate) fn failure(mut stream: impl Read) -> Error {
    let mut bytes = Vec::new();
    let error = stream.read_to_end(&mut bytes).unwrap_err();
    // Whoever reads on must not take what came for the whole.
    assert!(stream.read(&mut [0; 512]).is_err());
    *error.into_inner().unwrap().downcast().unwrap()
}

/// Unpacks with GNU tar, whose own list of attributes leaves most out.
pub(crate) fn untar(tar: &[u8], directory: &Path) {
    fs::create_dir(directory).unwrap();
    let mut child = oracle::command("tar")
        .args([
            "--numeric-owner",
            "-p",
            "--xattrs",
            "--xattrs-include=*",
            "--warning=no-timestamp",
            "-xf",
            "-",
            "-C",
        ])
        .arg(directory)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(tar).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.is_empty(), "{text}");
}

pub(crate) fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn node(path: &Path, kind: FileType, device: u64) {
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), device).unwrap();
}

fn own(path: &Path, uid: u32, gid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
}

fn xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

/// `security.capability`: version 2, effective, CAP_NET_RAW.
pub(crate) const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// `system.posix_acl_access`: version 2; user::rw-, user:1000:r--, group::r--, mask::r--, other::r--.
const ACL: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16,
    0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
];

/// One of everything that a filesystem can hold but sockets.
fn everything(root: &Path) {
    let at = |name: &str| root.join(name);
    for directory in ["etc", "etc/deep", "empty", "sticky"] {
        fs::create_dir(at(directory)).unwrap();
    }
    chmod(&at("sticky"), 0o1777);
    chmod(&at("empty"), 0o000);
    fs::write(at("etc/hostname"), b"vm\n").unwrap();
    fs::write(at("etc/block"), vec![b'b'; 512]).unwrap();
    fs::write(at("etc/large"), vec![b'l'; 3_000_001]).unwrap();
    fs::write(at("etc/none"), b"").unwrap();
    chmod(&at("etc/none"), 0o6755);
    own(&at("etc/hostname"), 4_200_000, u32::MAX - 1);
    fs::write(root.join(OsStr::from_bytes(b"etc/\xff\xfe\n")), b"bytes").unwrap();
    fs::write(at("etc/é"), b"text").unwrap();
    let long = "n".repeat(255);
    fs::write(at(&format!("etc/{long}")), b"long").unwrap();
    // Exactly what the header holds, and one more.
    fs::write(at(&"h".repeat(100)), b"100").unwrap();
    fs::write(at(&"h".repeat(101)), b"101").unwrap();
    fs::create_dir(at(&"d".repeat(99))).unwrap();
    fs::create_dir(at(&"d".repeat(100))).unwrap();
    let deep = format!("etc/deep{}", format!("/{}", "x".repeat(60)).repeat(12));
    fs::create_dir_all(at(&deep)).unwrap();
    fs::hard_link(at("etc/hostname"), at("etc/deep/hostname")).unwrap();
    fs::hard_link(at("etc/hostname"), at("another")).unwrap();
    fs::hard_link(at(&format!("etc/{long}")), at("short")).unwrap();
    fs::hard_link(at("short"), at("zzz")).unwrap();
    symlink("hostname", at("etc/link")).unwrap();
    symlink("../../../../etc/passwd", at("etc/out")).unwrap();
    symlink("t".repeat(100), at("etc/link100")).unwrap();
    symlink("t".repeat(3000), at("etc/link3000")).unwrap();
    symlink("/", at("root")).unwrap();
    fs::hard_link(at("etc/link"), at("etc/link-too")).unwrap();
    own(&at("etc/link"), 7, 8);
    node(&at("null"), FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    node(&at("disk"), FileType::BlockDevice, rustix::fs::makedev(4095, (1 << 20) - 1));
    node(&at("fifo"), FileType::Fifo, 0);
    xattr(&at("etc/large"), "user.note", b"\0\xff=\n");
    xattr(&at("etc/large"), "user.empty", b"");
    xattr(&at("etc/block"), "security.capability", &CAPABILITY);
    xattr(&at("etc/é"), "system.posix_acl_access", &ACL);
    xattr(&at("etc"), "user.directory", b"d");
    xattr(&at("etc"), "trusted.big", &[b'v'; 3000]);
    xattr(&at("etc/out"), "trusted.link", b"on a link");
    xattr(&at("null"), "trusted.device", b"on a device");
    fs::write(at("before"), b"").unwrap();
    set_mtime(&at("before"), -1, 500_000_000);
    set_mtime(&at("etc/none"), -2_000_000_000, 0);
    set_mtime(&at("etc/block"), 4_000_000_000, 1);
    set_mtime(&at("etc/large"), 9_000_000_000, 999_999_999);
    set_mtime(&at("etc/out"), 1, 2);
    set_mtime(&at("etc"), 3, 0);
    set_mtime(root, 5, 6);
    chmod(root, 0o750);
}

#[test]
fn gnu_tar_makes_the_same_directory_again() {
    if !oracle::root() || !oracle::available(&["tar"]) {
        return;
    }
    let scratch = scratch_directory();
    let (original, copy) = (scratch.path().join("original"), scratch.path().join("copy"));
    fs::create_dir(&original).unwrap();
    everything(&original);
    let before = Listing::of(&original);
    let tar = read(directory_tar(&original).unwrap());
    assert_eq!(tar.len() % 512, 0);
    assert_eq!(&tar[tar.len() - 1024..], [0; 1024]);
    untar(&tar, &copy);
    before.assert_same(&Listing::of(&copy), &Ignore::default());
    // The copy has other inodes, another order of names, another place.
    let again = read(directory_tar(&copy).unwrap());
    assert!(again == tar, "the stream depends on more than the tree");
    // As a source it is the same stream, as often as one likes.
    let source = layouts::source(&format!("dir:{}", original.display()).parse().unwrap()).unwrap();
    let image = source.resolve(&Platform::host()).unwrap();
    assert!(image.manifest.is_none() && image.config.is_none());
    assert_eq!(image.layers.len(), 1);
    assert_eq!(image.layers[0].media_type.as_deref(), Some(media_type::OCI_LAYER));
    for _ in 0..2 {
        assert!(read(source.open_layer(&image, 0).unwrap()) == tar);
    }
    assert!(source.open_layer(&image, 1).is_err());
}

#[test]
fn the_stream_is_the_same_in_pieces_of_any_size() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        fs::write(directory.path().join(name), name.repeat(700)).unwrap();
    }
    let whole = read(directory_tar(directory.path()).unwrap());
    for size in [1, 7, 511, 513, 4096] {
        let mut stream = directory_tar(directory.path()).unwrap();
        let mut bytes = Vec::new();
        let mut buffer = vec![0; size];
        assert_eq!(stream.read(&mut []).unwrap(), 0);
        loop {
            let count = stream.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            bytes.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(stream.read(&mut buffer).unwrap(), 0);
        assert!(bytes == whole, "{size}");
    }
}

#[test]
fn order_is_by_bytes_and_parents_come_first() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for name in ["b", "a", "a-", "a/z", "a/B", "é"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    drop(std::os::unix::net::UnixListener::bind(root.join("socket")));
    let tar = read(directory_tar(root).unwrap());
    let names: Vec<_> = tar
        .chunks(512)
        .filter(|block| block[257..262] == *b"ustar" && block[156] == b'5')
        .map(|block| {
            String::from_utf8(block[..100].split(|&byte| byte == 0).next().unwrap().to_vec()).unwrap()
        })
        .collect();
    assert_eq!(names, ["./", "a/", "a/B/", "a/z/", "a-/", "b/", "é/"]);
    // The socket was there, and is left out.
    assert!(root.join("socket").exists() && !tar.windows(6).any(|window| window == b"socket"));
}

#[test]
fn names_and_files_that_cannot_be_in_a_layer() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("d")).unwrap();
    for name in [".wh.passwd", ".wh..wh..opq", ".wh."] {
        let path = root.join("d").join(name);
        fs::write(&path, b"").unwrap();
        let error = failure(directory_tar(root).unwrap());
        assert!(matches!(&error, Error::WhiteoutName { path: own } if *own == path), "{error:?}");
        fs::remove_file(path).unwrap();
    }
    let gone = directory_tar(&root.join("gone")).err().unwrap();
    assert!(matches!(gone, Error::NotFound(_)), "{gone:?}");
    fs::write(root.join("file"), b"").unwrap();
    let file = directory_tar(&root.join("file")).err().unwrap();
    assert!(matches!(file, Error::WrongKind { .. }), "{file:?}");
}

#[test]
fn an_attribute_whose_name_has_an_equals_sign() {
    let scratch = scratch_directory();
    let path = scratch.path().join("f");
    fs::write(&path, b"").unwrap();
    xattr(&path, "user.a=b", b"v");
    let error = failure(directory_tar(scratch.path()).unwrap());
    assert!(matches!(&error, Error::XattrName { name, .. } if name == "user.a=b"), "{error:?}");
}

#[test]
fn a_file_that_changes_while_it_is_read() {
    let change = |change: fn(&Path)| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        set_mtime(&path, 1, 0);
        let mut stream = directory_tar(directory.path()).unwrap();
        stream.read_exact(&mut vec![0; 64 << 10]).unwrap();
        change(&path);
        let error = failure(stream);
        assert!(matches!(&error, Error::Changed { path: own } if *own == path), "{error:?}");
    };
    change(|path| File::options().append(true).open(path).unwrap().write_all(b"more").unwrap());
    change(|path| File::options().write(true).open(path).unwrap().set_len(100 << 10).unwrap());
    change(|path| fs::write(path, vec![b'y'; 1 << 20]).unwrap());
    // The size alone tells.
    change(|path| {
        File::options().append(true).open(path).unwrap().write_all(b"more").unwrap();
        set_mtime(path, 1, 0);
    });
}

#[test]
fn a_tree_that_changes_while_it_is_walked() {
    let change = |change: fn(&Path), name: &str| {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("b")).unwrap();
        fs::write(directory.path().join("c"), b"").unwrap();
        let mut stream = directory_tar(directory.path()).unwrap();
        // The names of the top are read, the entries are not yet.
        stream.read_exact(&mut [0; 10]).unwrap();
        change(directory.path());
        let error = failure(stream);
        let path = directory.path().join(name);
        assert!(matches!(&error, Error::Changed { path: own } if *own == path), "{error:?}");
    };
    change(|root| fs::remove_file(root.join("c")).unwrap(), "c");
    change(|root| fs::remove_dir(root.join("b")).unwrap(), "b");
    // A link in a directory's place is a link, and not followed.
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("b")).unwrap();
    let mut stream = directory_tar(directory.path()).unwrap();
    let mut start = [0; 10];
    stream.read_exact(&mut start).unwrap();
    fs::remove_dir(directory.path().join("b")).unwrap();
    symlink("/etc", directory.path().join("b")).unwrap();
    let tar = [&start[..], &read(stream)].concat();
    assert!(tar.chunks(512).any(|block| block[156] == b'2' && block.starts_with(b"b\0")));
    assert!(!tar.windows(6).any(|window| window == b"passwd"));
}
