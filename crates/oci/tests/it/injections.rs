use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use offshoot_oci::{Error, ErrorKind, Injection, InjectionRefusal, Missing, injection_tar};
use offshoot_testkit::{Listing, oracle, scratch_directory};

use crate::directories::{CAPABILITY, failure, read, set_mtime, untar};

fn inject(source: &Path, rest: &str) -> Injection {
    format!("{}:{rest}", source.display()).parse().unwrap()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_and_trees_where_they_are_wanted() {
    if !oracle::root() || !oracle::available(&["tar"]) {
        return;
    }
    let scratch = scratch_directory();
    let host = scratch.path().join("host");
    fs::create_dir_all(host.join("tree/sub")).unwrap();
    fs::create_dir(host.join("nothing")).unwrap();
    fs::write(host.join("init"), b"#!/bin/sh\n").unwrap();
    chmod(&host.join("init"), 0o640);
    set_mtime(&host.join("init"), 7, 8);
    std::os::unix::fs::chown(host.join("init"), Some(1000), Some(1000)).unwrap();
    let set = |name, value: &[u8]| {
        rustix::fs::setxattr(host.join("init"), name, value, rustix::fs::XattrFlags::empty())
    };
    set("security.capability", &CAPABILITY).unwrap();
    set("user.note", b"host's").unwrap();
    symlink("init", host.join("link")).unwrap();
    fs::write(host.join("tree/a"), b"a").unwrap();
    fs::hard_link(host.join("tree/a"), host.join("tree/sub/b")).unwrap();
    symlink("/etc/passwd", host.join("tree/sub/link")).unwrap();
    chmod(&host.join("tree"), 0o700);
    chmod(&host.join("tree/sub"), 0o711);

    let tar = read(
        injection_tar(&[
            inject(&host.join("init"), "/sbin/init:0755"),
            inject(&host.join("link"), "/etc/as-it-is"),
            inject(&host.join("tree"), "/opt/tree"),
            inject(&host.join("tree"), "/"),
            inject(&host.join("nothing"), "/var/nothing"),
            inject(&host.join("nothing"), "/"),
        ])
        .unwrap(),
    );
    // Parents, and directories that the image may have, are not mentioned.
    let names: Vec<_> = tar
        .chunks(512)
        .filter(|block| block[257..262] == *b"ustar" && block[156] != b'x')
        .map(|block| {
            str::from_utf8(block[..100].split(|&byte| byte == 0).next().unwrap()).unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        names,
        [
            "sbin/init",
            "etc/as-it-is",
            "opt/tree/a",
            "opt/tree/sub/",
            "opt/tree/sub/b",
            "opt/tree/sub/link",
            "a",
            "sub/",
            "sub/b",
            "sub/link",
            "var/nothing/",
        ]
    );
    let copy = scratch.path().join("copy");
    untar(&tar, &copy);
    let listing = Listing::of(&copy);
    let entry = |path: &str| &listing.entries()[path.as_bytes()];
    assert_eq!((entry("sbin/init").mode, entry("sbin/init").mtime), (0o755, (7, 8)));
    assert_eq!(entry("etc/as-it-is").mode, 0o640);
    assert_eq!(entry("etc/as-it-is").size, Some(10));
    for path in ["sbin/init", "etc/as-it-is"] {
        assert_eq!((entry(path).uid, entry(path).gid), (0, 0));
        let xattrs: Vec<_> = entry(path).xattrs.iter().collect();
        assert_eq!(xattrs, [(&b"security.capability".to_vec(), &CAPABILITY.to_vec())]);
    }
    assert_eq!(entry("opt/tree/sub").mode, 0o711);
    assert_eq!(entry("opt/tree/sub/b").same_as.as_deref(), Some(&b"opt/tree/a"[..]));
    assert_eq!(entry("sub/b").same_as.as_deref(), Some(&b"a"[..]));
    assert_eq!(entry("sub/link").target.as_deref(), Some(&b"/etc/passwd"[..]));
}

#[test]
fn what_cannot_be_injected_is_said_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::write(root.join("file"), b"").unwrap();
    assert!(Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
    symlink("gone", root.join("dangling")).unwrap();
    for (source, rest, expected) in [
        ("file", "/", InjectionRefusal::FileAsRoot),
        ("file", "/etc/.wh.passwd", InjectionRefusal::WhiteoutName),
        ("file", "/.wh.etc/passwd", InjectionRefusal::WhiteoutName),
        ("pipe", "/p", InjectionRefusal::NeitherFileNorDirectory),
        (".", "/opt:0755", InjectionRefusal::ModeOfDirectory),
    ] {
        let error = injection_tar(&[inject(&root.join(source), rest)]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(matches!(error, Error::Injection { problem, .. } if problem == expected), "{error:?}");
    }
    for source in ["gone", "dangling"] {
        let error = injection_tar(&[inject(&root.join(source), "/x")]).err().unwrap();
        assert!(matches!(error, Error::NotFound(Missing::Path(_))), "{error:?}");
    }
    fs::write(root.join(".wh.x"), b"").unwrap();
    let error = failure(injection_tar(&[inject(root, "/x")]).unwrap());
    assert!(matches!(error, Error::WhiteoutName { .. }), "{error:?}");
}

#[test]
fn a_source_that_goes_fails_the_stream() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("first"), directory.path().join("second"));
    fs::write(&first, b"1").unwrap();
    fs::write(&second, b"2").unwrap();
    let stream = injection_tar(&[inject(&first, "/1"), inject(&second, "/2")]).unwrap();
    fs::remove_file(&second).unwrap();
    let error = failure(stream);
    assert!(matches!(&error, Error::NotFound(Missing::Path(path)) if *path == second), "{error:?}");
    assert!(read(injection_tar(&[]).unwrap()) == [0; 1024]);
}
