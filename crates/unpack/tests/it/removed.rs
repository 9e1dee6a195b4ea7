//! Directories that go, and what must not go with them.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use offshoot_store::remove_tree;
use offshoot_testkit::oracle;

use crate::check::{Directory, native};
use crate::sample::sample;
use crate::user::{as_nobody, give_away};

#[test]
fn all_of_it() {
    let directory = Directory::new();
    let victim = tempfile::tempdir().unwrap();
    fs::write(victim.path().join("precious"), b"precious").unwrap();
    let path = &directory.path;
    fs::create_dir_all(path.join("a/b/c")).unwrap();
    for number in 0..3000 {
        fs::write(path.join(format!("a/b/{number}")), b"").unwrap();
    }
    symlink(victim.path(), path.join("a/link")).unwrap();
    symlink("nowhere", path.join("a/b/c/link")).unwrap();
    symlink("..", path.join("up")).unwrap();
    fs::hard_link(path.join("a/b/7"), path.join("seven")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, path.join("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    remove_tree(path).unwrap();
    assert!(!path.exists());
    assert!(path.parent().unwrap().exists());
    assert_eq!(fs::read(victim.path().join("precious")).unwrap(), b"precious");
}

#[test]
fn what_its_owner_may_not_enter() {
    if !oracle::root() {
        return;
    }
    let directory = Directory::of_nobody();
    as_nobody(|| {
        let path = &directory.path;
        let mut below = path.clone();
        for (name, mode) in [("none", 0), ("read", 0o500), ("enter", 0o100), ("write", 0o300)] {
            below.push(name);
            fs::create_dir(&below).unwrap();
            fs::write(below.join("file"), b"").unwrap();
            fs::create_dir(below.join(format!("empty-{mode:o}"))).unwrap();
        }
        for mode in [0o300, 0o100, 0o500, 0] {
            fs::set_permissions(&below, fs::Permissions::from_mode(mode)).unwrap();
            below.pop();
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
        remove_tree(path).unwrap();
        assert!(!path.exists());
    });
}

#[test]
fn not_what_belongs_to_others() {
    if !oracle::root() {
        return;
    }
    let directory = Directory::of_nobody();
    let foreign = directory.path.join("foreign");
    fs::create_dir_all(foreign.join("d")).unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o755)).unwrap();
    let error = as_nobody(|| remove_tree(&directory.path).unwrap_err());
    assert_eq!((error.operation, &error.path), ("remove", &foreign.join("d")), "{error:?}");
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o700)).unwrap();
    let error = as_nobody(|| remove_tree(&directory.path).unwrap_err());
    assert_eq!((error.operation, &error.path), ("open", &foreign), "{error:?}");
    give_away(&foreign);
}

#[test]
fn not_what_is_mounted_below() {
    if !oracle::root() || !oracle::available(&["mount", "umount"]) {
        return;
    }
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("precious"), b"precious").unwrap();
    for below in ["mounted", "a/mounted", ""] {
        let directory = Directory::new();
        let at = if below.is_empty() { directory.path.clone() } else { directory.path.join(below) };
        fs::create_dir_all(&at).unwrap();
        let _mount = Bound::new(other.path(), &at);
        let error = remove_tree(&directory.path).unwrap_err();
        assert_eq!((error.path.as_path(), error.source.kind()), (at.as_path(), ErrorKind::CrossesDevices));
        assert_eq!(fs::read(other.path().join("precious")).unwrap(), b"precious");
    }
}

/// A bind mount, which is of the same device.
struct Bound<'a>(&'a Path);

impl<'a> Bound<'a> {
    fn new(from: &Path, to: &'a Path) -> Self {
        oracle::run(oracle::command("mount").arg("--bind").arg(from).arg(to));
        Self(to)
    }
}

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        oracle::run(oracle::command("umount").arg(self.0));
    }
}

#[test]
fn only_directories() {
    let directory = Directory::new();
    let parent = directory.path.parent().unwrap();
    let (file, link) = (parent.join("file"), parent.join("link"));
    fs::write(&file, b"").unwrap();
    symlink(&directory.path, &link).unwrap();
    for path in [&file, &link] {
        let error = remove_tree(path).unwrap_err();
        assert_eq!(error.operation, "open");
        assert!(path.symlink_metadata().is_ok() && directory.path.exists());
    }
    let error = remove_tree(&parent.join("missing")).unwrap_err();
    assert_eq!(error.source.kind(), ErrorKind::NotFound);
    for path in ["/", "..", "rootfs/..", ""] {
        assert_eq!(
            remove_tree(Path::new(path)).unwrap_err().source.kind(),
            ErrorKind::InvalidInput,
            "{path}"
        );
    }
}

#[test]
fn what_was_unpacked() {
    let sample = sample(|layer| {
        for number in 0..2000 {
            layer.file(&format!("{}/{}/{number}", number % 5, number % 31), b"x");
        }
    });
    if !oracle::root() {
        return;
    }
    let directory = Directory::new();
    directory.unpack(&sample, &native()).unwrap();
    remove_tree(&directory.path).unwrap();
    assert!(!directory.path.exists());
}
