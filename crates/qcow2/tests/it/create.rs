//! Empty overlays.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use offshoot_qcow2::{Access, Error, Overlay, create, inspect};

use crate::qemu;

#[test]
fn qemu_finds_new_overlays_clean() {
    if !qemu::available() {
        return;
    }
    let (directory, backing, contents) = qemu::with_backing(1 << 20);
    for size in [1 << 20, (1 << 20) + 512, 5 << 20, 512 << 20, (512 << 20) + 512, 1 << 40, 5 << 40] {
        let name = format!("{size}.qcow2");
        let path = directory.path().join(&name);
        create(&path, "backing.raw", size).unwrap();
        qemu::check(directory.path(), &name);
        let info = qemu::img(directory.path(), &["info", "--backing-chain", "--output=json", &name]);
        for expected in [
            format!("\"virtual-size\": {size}"),
            "\"backing-filename\": \"backing.raw\"".to_owned(),
            "\"backing-filename-format\": \"raw\"".to_owned(),
            "\"full-backing-filename\": \"backing.raw\"".to_owned(),
            "\"format\": \"raw\"".to_owned(),
            "\"cluster-size\": 65536".to_owned(),
            "\"compat\": \"1.1\"".to_owned(),
            "\"lazy-refcounts\": false".to_owned(),
            "\"refcount-bits\": 16".to_owned(),
        ] {
            assert!(info.contains(&expected), "{expected} is not in {info}");
        }
        let ours = inspect(&File::open(&path).unwrap(), &path).unwrap();
        assert_eq!(ours.virtual_size_bytes, size);
        assert_eq!(ours.cluster_size_bytes, 65536);
        let named = ours.backing.unwrap();
        assert_eq!((named.path.as_str(), named.format.as_deref()), ("backing.raw", Some("raw")));
        assert!(!ours.dirty && !ours.marked_corrupt && ours.snapshots == 0);
        let overlay = Overlay::open(&path, &backing, Access::Read).unwrap();
        assert_eq!(overlay.size_bytes(), size);
        let mut bytes = vec![9; 1 << 20];
        overlay.read_at(0, &mut bytes).unwrap();
        assert!(bytes == contents, "{size}");
    }
}

#[test]
fn an_empty_overlay_takes_little_of_the_disk() {
    let (directory, _, _) = qemu::with_backing(512);
    let path = directory.path().join("overlay");
    let file = create(&path, "backing.raw", 1 << 40).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 256 << 10);
    assert!(file.metadata().unwrap().blocks() * 512 <= 64 << 10);
}

#[test]
fn names_are_kept_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let long = "d/".repeat(511) + "f";
    for (index, name) in
        ["a", "../../templates/x,y=z/rootfs.ext4", "é ü", &long, "json:{}"].iter().enumerate()
    {
        let path = directory.path().join(index.to_string());
        create(&path, name, 512).unwrap();
        let info = inspect(&File::open(&path).unwrap(), &path).unwrap();
        assert_eq!(info.backing.unwrap().path, *name);
    }
}

#[test]
fn what_a_header_cannot_say_is_refused_before_anything_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("overlay");
    for name in ["", "a\0b", &"n".repeat(1024)] {
        assert!(matches!(create(&path, name, 512), Err(Error::BackingName { .. })), "{name:?}");
    }
    for size in [0, 511, 513, (2 << 50) + 512, u64::MAX, u64::MAX - 511] {
        assert!(matches!(create(&path, "backing", size), Err(Error::Size { .. })), "{size}");
    }
    assert!(!path.exists());
    create(&path, "backing", 2 << 50).unwrap();
}

#[test]
fn nothing_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("overlay");
    fs::write(&path, "precious").unwrap();
    assert!(matches!(create(&path, "backing", 512), Err(Error::Io { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}
