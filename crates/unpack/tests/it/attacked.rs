//! Somebody with the same rights changes the directory meanwhile. It can go wrong, but not elsewhere.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use offshoot_tree::{Leaf, Metadata};
use offshoot_unpack::{Error, Options};

use crate::check::{Directory, overriding};
use crate::sample::{Sample, metadata, sample};

/// Unpacks while `attack` is made before the entry of that number is; what lies outside must stay as it is.
fn attacked(sample: &Sample, before: u64, attack: impl Fn(&Path, &Path) + Sync) -> Error {
    let (directory, victim) = (Directory::new(), tempfile::tempdir().unwrap());
    fs::write(victim.path().join("precious"), b"precious").unwrap();
    let listed = offshoot_testkit::Listing::of(victim.path());
    let asked = AtomicU64::new(0);
    let cancelled = || {
        if asked.fetch_add(1, Ordering::Relaxed) == before {
            attack(&directory.path, victim.path());
        }
        false
    };
    let options = Options { cancelled: Some(&cancelled), ..overriding() };
    let error = directory.unpack(sample, &options).unwrap_err();
    listed.assert_same(&offshoot_testkit::Listing::of(victim.path()), &offshoot_testkit::Ignore::default());
    error
}

#[test]
fn names_that_are_there_already() {
    let sample = sample(|layer| {
        layer.file("precious", b"x");
    });
    let error = attacked(&sample, 0, |directory, victim| {
        symlink(victim.join("precious"), directory.join("precious")).unwrap();
    });
    assert!(matches!(&error, Error::NameTaken { path } if path.to_string() == "/precious"), "{error:?}");
    let error = attacked(&sample, 0, |directory, victim| {
        symlink(victim.join("new"), directory.join("precious")).unwrap();
    });
    assert!(matches!(error, Error::NameTaken { .. }), "{error:?}");
    let error = attacked(&sample, 0, |directory, victim| {
        fs::hard_link(victim.join("precious"), directory.join("precious")).unwrap_or_else(|_| {
            fs::write(directory.join("precious"), b"").unwrap();
        });
        fs::remove_file(directory.join("precious")).unwrap();
        fs::create_dir(directory.join("precious")).unwrap();
    });
    assert!(matches!(error, Error::NameTaken { .. }), "{error:?}");
}

#[test]
fn every_kind_of_name_that_is_taken() {
    for leaf in [Leaf::Fifo, Leaf::Socket, Leaf::Symlink(b"x"[..].into())] {
        let sample = sample(|layer| {
            layer.leaf("it", metadata(), leaf);
        });
        let error = attacked(&sample, 0, |directory, victim| symlink(victim, directory.join("it")).unwrap());
        assert!(matches!(error, Error::NameTaken { .. }), "{error:?}");
    }
    let sample = sample(|layer| {
        layer.directory("it", metadata());
    });
    let error = attacked(&sample, 0, |directory, victim| symlink(victim, directory.join("it")).unwrap());
    assert!(matches!(error, Error::NameTaken { .. }), "{error:?}");
}

#[test]
fn a_directory_that_became_a_link() {
    // Made in the order of their names: `a` is there when `b` is about to be.
    let sample = sample(|layer| {
        layer.file("a/precious", b"x").file("b", b"x");
    });
    let error = attacked(&sample, 1, |directory, victim| {
        fs::rename(directory.join("a"), directory.join("moved")).unwrap();
        symlink(victim, directory.join("a")).unwrap();
    });
    assert!(
        matches!(&error, Error::Host { operation: "open", path, .. } if path.to_string() == "/a"),
        "{error:?}"
    );
}

#[test]
fn a_parent_that_became_a_link_before_a_hard_link_is_made() {
    let sample = sample(|layer| {
        layer.file("a/precious", b"x").link("b/precious", "a/precious");
    });
    // a, b, a/precious; then the link.
    for name in ["a", "b"] {
        let error = attacked(&sample, 3, |directory, victim| {
            fs::rename(directory.join(name), directory.join("moved")).unwrap();
            symlink(victim, directory.join(name)).unwrap();
        });
        assert!(matches!(error, Error::Host { operation: "open the directory of", .. }), "{error:?}");
    }
}

#[test]
fn a_late_directory_that_became_a_link() {
    let sample = sample(|layer| {
        layer.directory("closed", Metadata { mode: 0, ..metadata() }).file("z", b"x").link("y", "z");
    });
    let error = attacked(&sample, 2, |directory, victim| {
        fs::remove_dir(directory.join("closed")).unwrap();
        symlink(victim, directory.join("closed")).unwrap();
    });
    assert!(matches!(error, Error::Host { operation: "open", .. }), "{error:?}");
}

#[test]
fn nobody_else_enters_meanwhile() {
    let sample = sample(|layer| {
        layer.directory("", Metadata { mode: 0o777, ..metadata() });
        layer.file("a/file", b"x").file("b", b"x").link("c/link", "b");
    });
    let directory = Directory::new();
    fs::set_permissions(&directory.path, fs::Permissions::from_mode(0o777)).unwrap();
    let modes = Mutex::new(Vec::new());
    let cancelled = || {
        modes.lock().unwrap().push(fs::metadata(&directory.path).unwrap().permissions().mode() & 0o7777);
        false
    };
    directory.unpack(&sample, &Options { cancelled: Some(&cancelled), ..overriding() }).unwrap();
    assert_eq!(modes.into_inner().unwrap(), [0o700; 5]);
    assert_eq!(fs::metadata(&directory.path).unwrap().permissions().mode() & 0o7777, 0o777);
}
