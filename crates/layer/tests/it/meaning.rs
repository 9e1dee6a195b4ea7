//! What entries mean: types, names, whiteouts, attributes.

use offshoot_layer::{Error, TarProblem};
use offshoot_tree::{Change, Device, Leaf, Timestamp};

use crate::archive::{Header, Tar, gzip, make, only_file};

/// A change in short.
fn short(change: &Change) -> String {
    match change {
        Change::Directory { path, .. } => format!("directory {path}"),
        Change::Leaf { path, leaf, .. } => match leaf {
            Leaf::File(content) => format!("file {path} {}", content.size),
            Leaf::Symlink(target) => format!("symlink {path} {}", target.escape_ascii()),
            Leaf::CharDevice(Device { major, minor }) => format!("char {path} {major}:{minor}"),
            Leaf::BlockDevice(Device { major, minor }) => format!("block {path} {major}:{minor}"),
            Leaf::Fifo => format!("fifo {path}"),
            Leaf::Socket => format!("socket {path}"),
        },
        Change::HardLink { path, target } => format!("link {path} {target}"),
        Change::Whiteout { path } => format!("whiteout {path}"),
        Change::OpaqueWhiteout { path } => format!("opaque {path}"),
    }
}

fn changes(tar: Tar) -> Vec<String> {
    make(&tar.finish()).unwrap().pack.changes().iter().map(short).collect()
}

fn problem(tar: Tar) -> TarProblem {
    match make(&tar.finish()) {
        Err(Error::Tar { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_type() {
    let header = |name: &[u8], typeflag| Header::new(name, typeflag, 0);
    for (tar, expected) in [
        (Tar::new().file(b"./a/b", b"xyz"), "file /a/b 3"),
        (Tar::new().file(b"/abs", b""), "file /abs 0"),
        (Tar::new().entry(Header::new(b"old", 0, 2), b"xy"), "file /old 2"),
        (Tar::new().entry(Header::new(b"contiguous", b'7', 2), b"xy"), "file /contiguous 2"),
        (Tar::new().directory(b"d/"), "directory /d"),
        (Tar::new().directory(b"./"), "directory /"),
        (Tar::new().directory(b"/"), "directory /"),
        (Tar::new().entry(header(b"v7dir/", 0), b""), "directory /v7dir"),
        (Tar::new().entry(header(b"s", b'2').link(b"../../x//y"), b""), "symlink /s ../../x//y"),
        (Tar::new().entry(header(b"h", b'1').link(b"./d/t"), b""), "link /h /d/t"),
        (Tar::new().entry(header(b"h", b'1').link(b"/d/t"), b""), "link /h /d/t"),
        (
            Tar::new().entry(header(b"c", b'3').number(329..337, 4095).number(337..345, 1_048_575), b""),
            "char /c 4095:1048575",
        ),
        (Tar::new().entry(header(b"b", b'4').number(329..337, 8).number(337..345, 1), b""), "block /b 8:1"),
        (Tar::new().entry(header(b"p", b'6'), b""), "fifo /p"),
        // A prefix counts in ustar; where GNU has other things there, it does not.
        (Tar::new().entry(header(b"name", b'0').bytes(345, b"some/prefix"), b""), "file /some/prefix/name 0"),
        (Tar::new().entry(header(b"name", b'0').gnu().bytes(345, b"12345"), b""), "file /name 0"),
        (Tar::new().entry(header(b"name", b'0').bytes(257, &[0; 8]).bytes(345, b"x"), b""), "file /name 0"),
        // Links and directories have no contents, whatever their size says.
        (Tar::new().entry(Header::new(b"h", b'1', 9999).link(b"t"), b""), "link /h /t"),
        (Tar::new().entry(Header::new(b"d", b'5', 9999), b""), "directory /d"),
        // Names of exactly the field's length have no NUL.
        (Tar::new().file(&[b'n'; 100], b""), &format!("file /{} 0", "n".repeat(100))),
    ] {
        assert_eq!(changes(tar.file(b"next", b"")), [expected, "file /next 0"]);
    }
}

#[test]
fn whiteouts() {
    for (name, expected) in [
        (&b".wh.a"[..], "whiteout /a"),
        (b"d/.wh.a b", "whiteout /d/a b"),
        (b"./d/.wh..hidden", "whiteout /d/.hidden"),
        (b"d/.wh..wh..opq", "opaque /d"),
        (b".wh..wh..opq", "opaque /"),
        (b"d/.wh", "file /d/.wh 3"),
        (b"d/a.wh.b", "file /d/a.wh.b 3"),
    ] {
        assert_eq!(changes(Tar::new().file(name, b"xyz")), [expected]);
    }
    for name in [&b".wh..wh.aufs"[..], b".wh..wh.plnk/12.34", b"d/.wh..wh.orph", b".wh..wh.plnk/"] {
        assert_eq!(changes(Tar::new().file(name, b"xyz").file(b"f", b"")), ["file /f 0"]);
    }
    // By name alone, whatever the type: hard links to AUFS's anchor were common once.
    let link = Header::new(b".wh.gone", b'1', 0).link(b".wh..wh.aufs");
    assert_eq!(changes(Tar::new().entry(link, b"").directory(b".wh.d/")), ["whiteout /gone", "whiteout /d"]);
    for name in
        [&b".wh."[..], b"d/.wh.", b".wh..", b".wh...", b".wh.a/b", b".wh.a/.wh.b", b".wh.a/.wh..wh..opq"]
    {
        assert_eq!(problem(Tar::new().file(name, b"")), TarProblem::Whiteout, "{}", name.escape_ascii());
    }
}

#[test]
fn attributes() {
    let long = [b'l'; 300];
    let tar = Tar::new()
        .pax(&[
            ("path", &[b"pax/", &long[..200]].concat()),
            ("uid", b"4294967294"),
            ("gid", b"7"),
            ("mtime", b"-1.5"),
            ("SCHILY.xattr.user.a", b"1"),
            ("SCHILY.xattr.user.empty", b""),
            ("SCHILY.xattr.security.capability", b"\x01\0\0\x02"),
            ("SCHILY.xattr.system.posix_acl_access", b"acl"),
            ("SCHILY.xattr.system.other", b"dropped"),
            ("SCHILY.xattr.com.apple.quarantine", b"dropped"),
            ("SCHILY.xattr.user.", b"dropped"),
            ("LIBARCHIVE.xattr.user.b", b"eA=="),
        ])
        .entry(Header::new(b"short", b'0', 0).number(100..108, 0o107_755), b"");
    let made = make(&tar.finish()).unwrap();
    let [Change::Leaf { path, metadata, .. }] = made.pack.changes() else { panic!() };
    assert_eq!(path.as_bytes(), [b"pax/", &long[..200]].concat());
    assert_eq!((metadata.mode, metadata.uid, metadata.gid), (0o7755, u32::MAX - 1, 7));
    assert_eq!(metadata.mtime, Timestamp { seconds: -2, nanoseconds: 500_000_000 });
    let xattrs: Vec<_> = metadata.xattrs.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(
        xattrs,
        [
            (&b"security.capability"[..], &b"\x01\0\0\x02"[..]),
            (b"system.posix_acl_access", b"acl"),
            (b"user.a", b"1"),
            (b"user.empty", b""),
        ]
    );
}

#[test]
fn base_256_numbers() {
    let header = Header::new(b"f", b'0', 0)
        .bytes(108, b"\x80\0\0\0\xff\xff\xff\xfe")
        .bytes(124, b"\x80\0\0\0\0\0\0\0\0\0\0\x03")
        .bytes(136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe");
    let made = make(&Tar::new().entry(header, b"xyz").finish()).unwrap();
    assert_eq!(only_file(&made).1, b"xyz");
    let [Change::Leaf { metadata, .. }] = made.pack.changes() else { panic!() };
    assert_eq!((metadata.uid, metadata.mtime.seconds), (4_294_967_294, -2));
}

#[test]
fn extended_headers_apply_once_and_globals_never() {
    let global = crate::archive::pax_records(&[("path", b"global"), ("uid", b"99")]);
    let tar = Tar::new()
        .pax(&[("path", b"first")])
        .file(b"a", b"1")
        .file(b"b", b"2")
        .entry(Header::new(b"pax_global_header", b'g', global.len() as u64), &global)
        .file(b"c", b"3")
        .long(b'L', b"gnu-long")
        .long(b'K', b"gnu-target")
        .entry(Header::new(b"x", b'2', 0).gnu().link(b"y"), b"")
        .pax(&[("linkpath", b"pax-target"), ("size", b"0")])
        .entry(Header::new(b"z", b'2', 5), b"")
        .pax(&[("size", b"3")])
        .entry(Header::new(b"sized", b'0', 0), b"xyz");
    assert_eq!(
        changes(tar),
        [
            "file /first 1",
            "file /b 1",
            "file /c 1",
            "symlink /gnu-long gnu-target",
            "symlink /z pax-target",
            "file /sized 3",
        ]
    );
    let global_only = Tar::new().entry(Header::new(b"g", b'g', global.len() as u64), &global);
    assert!(changes(global_only).is_empty());
    let twice = Tar::new().long(b'L', b"one").pax(&[("path", b"other")]).file(b"x", b"");
    assert_eq!(problem(twice), TarProblem::TwoNames);
    let same = Tar::new().long(b'L', b"one").pax(&[("path", b"one")]).file(b"x", b"");
    assert_eq!(changes(same), ["file /one 0"]);
}

#[test]
fn the_end_of_an_archive() {
    let tar = Tar::new().file(b"a", b"x");
    for (what, blob, entries) in [
        ("nothing at all", vec![], 0),
        ("zeros alone", vec![0; 1024], 0),
        ("no zero blocks", tar.0.clone(), 1),
        ("one zero block", [&tar.0[..], &[0; 512]].concat(), 1),
        ("many zero blocks", [&tar.0[..], &[0; 9000]].concat(), 1),
        ("something behind the end", [&tar.0[..], &[0; 1024], b"trailing bytes"].concat(), 1),
        ("an archive behind the end", [&tar.0[..], &[0; 1024], &tar.0[..]].concat(), 1),
    ] {
        for blob in [blob.clone(), gzip(&blob)] {
            let made = make(&blob).unwrap();
            assert_eq!(made.packed.entries, entries, "{what}");
        }
        // All of it counts for the digest.
        let expected = offshoot_store::Digest::of(&blob);
        assert_eq!(make(&gzip(&blob)).unwrap().packed.diff_id, expected, "{what}");
    }
    let lone = [&tar.0[..], &[0; 512], &tar.0[..]].concat();
    assert_eq!(problem(Tar(lone)), TarProblem::LoneZeroBlock);
}
