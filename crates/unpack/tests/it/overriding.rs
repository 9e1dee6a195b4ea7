//! Owners, modes and devices in an extended attribute.

use std::collections::BTreeMap;

use offshoot_testkit::{Entry, Kind, oracle, sha256};
use offshoot_tree::{Device, Leaf, Metadata};
use offshoot_unpack::{OVERRIDE_STAT, Ownership};

use crate::check::{Directory, assert_listed, expected, overriding};
use crate::sample::{Sample, metadata, sample, xattrs};
use crate::user::{NOBODY, as_nobody, with_umask};

/// What the kernel must show where ownership is recorded. Leaves out what the caller may not set.
pub(crate) fn recorded(sample: &Sample, owner: u32, may_set: fn(&[u8]) -> bool) -> BTreeMap<Vec<u8>, Entry> {
    let mut all = expected(sample);
    for entry in all.values_mut() {
        let (kind, mode) = (entry.kind, entry.mode);
        let word = match (kind, entry.device) {
            (Kind::File, _) => "file".to_owned(),
            (Kind::Directory, _) => "dir".to_owned(),
            (Kind::Symlink, _) => "symlink".to_owned(),
            (Kind::Fifo, _) => "pipe".to_owned(),
            (Kind::Socket, _) => "socket".to_owned(),
            (Kind::CharacterDevice, device) => format!("char-{}-{}", device.unwrap().0, device.unwrap().1),
            (Kind::BlockDevice, device) => format!("block-{}-{}", device.unwrap().0, device.unwrap().1),
        };
        let record = format!("{}:{}:{:04o}:{word}", entry.uid, entry.gid, mode);
        (entry.uid, entry.gid) = (owner, owner);
        entry.xattrs.retain(|name, _| may_set(name));
        if kind == Kind::Symlink {
            entry.xattrs.retain(|name, _| !name.starts_with(b"user."));
            continue;
        }
        entry.xattrs.insert(OVERRIDE_STAT.into(), record.into_bytes());
        entry.mode = mode & 0o777 | if kind == Kind::Directory { 0o700 } else { 0o600 };
        if !matches!(kind, Kind::File | Kind::Directory) {
            (entry.kind, entry.size, entry.sha256) = (Kind::File, Some(0), Some(sha256(b"")));
            entry.device = None;
        }
    }
    all
}

fn everything() -> Sample {
    sample(|layer| {
        layer.directory("", Metadata { mode: 0o555, uid: 3, gid: 4, ..metadata() });
        layer.directory("closed", Metadata { mode: 0, uid: 100_000, gid: 5, ..metadata() });
        layer.directory("closed/more", Metadata { mode: 0o1777, ..metadata() });
        layer
            .file("closed/more/file", b"x")
            .symlink("link", b"/etc/passwd")
            .link("again", "closed/more/file");
        layer.link("link-again", "link");
        let content = layer.bytes(b"su");
        let all = xattrs([
            ("user.note", &b"kept"[..]),
            ("trusted.note", b"root's"),
            ("security.capability", &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("user.containers.override_stat", b"1:1:0777:file"),
            ("system.posix_acl_access", b"\x02\0\0\0"),
        ]);
        layer.leaf("su", Metadata { mode: 0o4111, gid: 7, xattrs: all, ..metadata() }, Leaf::File(content));
        let content = layer.bytes(b"");
        layer.leaf("unreadable", Metadata { mode: 0, ..metadata() }, Leaf::File(content));
        let device = Device { major: 1, minor: 3 };
        layer.leaf("null", Metadata { mode: 0o666, ..metadata() }, Leaf::CharDevice(device));
        layer.leaf("disk", Metadata { mode: 0o660, gid: 6, ..metadata() }, Leaf::BlockDevice(device));
        layer.leaf("fifo", Metadata { mode: 0o6010, uid: 9, ..metadata() }, Leaf::Fifo);
        layer.leaf("socket", metadata(), Leaf::Socket);
        layer.link("null-again", "null");
    })
}

#[test]
fn without_privileges() {
    if !oracle::root() {
        return;
    }
    let (directory, sample) = (Directory::of_nobody(), everything());
    let summary = with_umask(0o77, || as_nobody(|| directory.unpack(&sample, &overriding()).unwrap()));
    let may_set = |name: &[u8]| name.starts_with(b"user.note");
    assert_listed(&directory.path, &recorded(&sample, NOBODY, may_set));
    assert_eq!((summary.specials, summary.specials_recorded, summary.owners_lost), (0, 4, 1));
    assert_eq!((summary.files, summary.directories, summary.hard_links), (3, 3, 3));
    let refused: Vec<_> = summary.refused.iter().map(|one| (one.path.to_string(), &*one.name)).collect();
    let su = |name: &'static str| ("/su".to_owned(), name.as_bytes());
    assert_eq!(
        refused,
        [su("security.capability"), su("system.posix_acl_access"), su("trusted.note"), su(OVERRIDE_STAT)]
    );
    assert_eq!(summary.xattrs_refused, 4);
    as_nobody(|| offshoot_store::remove_tree(&directory.path).unwrap());
}

#[test]
fn as_root() {
    if !oracle::root() {
        return;
    }
    let (directory, sample) = (Directory::new(), everything());
    let summary = directory.unpack(&sample, &overriding()).unwrap();
    let may_set = |name: &[u8]| name != OVERRIDE_STAT.as_bytes() && !name.starts_with(b"system.");
    assert_listed(&directory.path, &recorded(&sample, 0, may_set));
    assert_eq!(summary.xattrs_refused, 2);
}

#[test]
fn is_chosen_by_what_the_process_may() {
    if !oracle::root() {
        return;
    }
    assert_eq!(Ownership::for_this_process(), Ownership::Native);
    assert_eq!(as_nobody(Ownership::for_this_process), Ownership::OverrideXattr);
}

/// Root of a user namespace cannot make devices, nor give files to just anybody.
#[test]
fn is_chosen_by_root_of_a_user_namespace() {
    const INSIDE: &str = "OFFSHOOT_TEST_IN_A_USER_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        assert!(rustix::process::geteuid().is_root());
        assert_eq!(Ownership::for_this_process(), Ownership::OverrideXattr);
        let (directory, sample) = (Directory::new(), everything());
        directory.unpack(&sample, &offshoot_unpack::Options::default()).unwrap();
        let may_set = |name: &[u8]| name.starts_with(b"user.note") || name == b"security.capability";
        assert_listed(&directory.path, &recorded(&sample, 0, may_set));
        return;
    }
    if !oracle::available(&["unshare"]) {
        return;
    }
    let mut unshare = oracle::command("unshare");
    if !oracle::output(unshare.args(["--user", "--map-root-user", "true"])).status.success() {
        oracle::skip("no user namespaces");
        return;
    }
    let mut unshare = oracle::command("unshare");
    unshare.args(["--user", "--map-root-user"]).arg(std::env::current_exe().unwrap());
    unshare.args(["--exact", "overriding::is_chosen_by_root_of_a_user_namespace"]).env(INSIDE, "1");
    let printed = oracle::run(&mut unshare);
    assert!(printed.contains("1 passed"), "{printed}");
}
