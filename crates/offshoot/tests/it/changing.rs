use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use offshoot::{Clone, CloneOptions, ErrorKind, Origin, Store, Strategy};
use offshoot_testkit::{oracle, sha256_file};

use crate::image::{Fixture, fixture, names, stamps, vm};
use crate::running::Running;

fn strategies() -> [CloneOptions; 3] {
    [None, Some(Strategy::Copy), Some(Strategy::Qcow2)]
        .map(|strategy| CloneOptions { strategy, ..CloneOptions::default() })
}

/// Writes into the guest's view of a disk, at a place that no file has.
fn scribble(clone: &Clone) {
    match clone.record.format {
        offshoot::DiskFormat::Raw | offshoot::DiskFormat::Dir => {
            let disk = fs::File::options().write(true).open(&clone.path).unwrap();
            disk.write_all_at(&[7; 4096], clone.record.size_bytes - 4096).unwrap();
        }
        offshoot::DiskFormat::Qcow2 => {
            let place = format!("write -P 7 {} 4096", clone.record.size_bytes - 4096);
            oracle::run(oracle::command("qemu-io").args(["-f", "qcow2", "-c", &place]).arg(&clone.path));
        }
    }
}

fn raw_digest(clone: &Clone, directory: &Path) -> impl PartialEq + std::fmt::Debug + use<> {
    let path = directory.join("converted.raw");
    let format = clone.record.format.as_str();
    oracle::run(
        oracle::command("qemu-img").args(["convert", "-f", format, "-O", "raw"]).arg(&clone.path).arg(&path),
    );
    sha256_file(&path)
}

#[test]
fn a_disk_grows_in_place_and_again() {
    if !oracle::available(&["qemu-img", "e2fsck"]) {
        return;
    }
    for options in strategies() {
        let Fixture { directory, store, template } = &fixture();
        let clone = store.clone_template(template, &vm("vm-1"), &options).unwrap();
        for size in [1 << 30, 3 << 30, (3 << 30) + (200 << 20)] {
            let grown = store.grow(&vm("vm-1"), size).unwrap();
            assert_eq!((grown.record.size_bytes, &grown.path), (size, &clone.path));
            assert_eq!(store.find_clone(&vm("vm-1")).unwrap().as_ref(), Some(&grown));
            let disk = directory.path().join("disk.raw");
            let format = grown.record.format.as_str();
            let mut convert = oracle::command("qemu-img");
            oracle::run(convert.args(["convert", "-f", format, "-O", "raw"]).arg(&grown.path).arg(&disk));
            assert_eq!(disk.metadata().unwrap().len(), size);
            oracle::e2fsck(&disk);
        }
        let before = (stamps(&clone.path), stamps(&clone.path.with_file_name("clone.json")));
        let same = store.grow(&vm("vm-1"), (3 << 30) + (200 << 20)).unwrap();
        assert_eq!((stamps(&same.path), stamps(&same.path.with_file_name("clone.json"))), before);
        let error = store.grow(&vm("vm-1"), 3 << 30).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("would lose data"), "{error}");
        assert!(names(store, "tmp").is_empty());
    }
}

#[test]
fn a_disk_without_a_journal_grows_on_a_copy() {
    if !oracle::available(&["e2fsck"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let options = offshoot::BuildOptions { journal: false, ..Default::default() };
    let template = store.build(&"scratch:".parse().unwrap(), &options, &offshoot::Quiet).unwrap();
    let clone = store.clone_template(&template, &vm("vm-1"), &CloneOptions::default()).unwrap();
    let grown = store.grow(&vm("vm-1"), 8 << 30).unwrap();
    assert_eq!((grown.record.size_bytes, &grown.path), (8 << 30, &clone.path));
    assert_eq!(store.find_clone(&vm("vm-1")).unwrap(), Some(grown.clone()));
    oracle::e2fsck(&grown.path);
    assert!(names(&store, "tmp").is_empty());
}

#[test]
fn reset_gives_the_first_disk_back() {
    if !oracle::available(&["qemu-img", "qemu-io"]) {
        return;
    }
    for options in strategies() {
        let Fixture { directory, store, template } = &fixture();
        let options = CloneOptions { size_bytes: Some(256 << 20), ..options };
        let clone = store.clone_template(template, &vm("vm-1"), &options).unwrap();
        let before = raw_digest(&clone, directory.path());
        scribble(&clone);
        assert_ne!(raw_digest(&clone, directory.path()), before);
        let reset = store.reset(&vm("vm-1")).unwrap();
        assert_eq!(reset, clone);
        assert_eq!(raw_digest(&clone, directory.path()), before);
        assert!(names(store, "tmp").is_empty());
    }
    let Fixture { store, .. } = &fixture();
    assert_eq!(store.reset(&vm("vm-1")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_reset_disk_keeps_its_size() {
    let Fixture { store, template, .. } = &fixture();
    store.clone_template(template, &vm("vm-1"), &CloneOptions::default()).unwrap();
    let grown = store.grow(&vm("vm-1"), 2 << 30).unwrap();
    let reset = store.reset(&vm("vm-1")).unwrap();
    assert_eq!(reset, grown);
    assert_eq!(reset.path.metadata().unwrap().len(), 2 << 30);
}

#[test]
fn a_snapshot_is_a_template() {
    if !oracle::available(&["qemu-img", "qemu-io", "e2fsck"]) {
        return;
    }
    for options in strategies() {
        let Fixture { directory, store, template } = &fixture();
        let options = CloneOptions { size_bytes: Some(256 << 20), ..options };
        let clone = store.clone_template(template, &vm("vm-1"), &options).unwrap();
        scribble(&clone);
        let name = "installed".parse().unwrap();
        let snapshot = store.snapshot(&vm("vm-1"), &name).unwrap();
        assert_eq!(store.find_template("installed").unwrap(), Some(snapshot.clone()));
        let Origin::Snapshot { vm_id, template: parent } = &snapshot.record.origin else {
            panic!("{:?}", snapshot.record.origin);
        };
        assert_eq!((vm_id, parent.id), (&vm("vm-1"), template.record.id));
        let copy = store.clone_template(&snapshot, &vm("vm-2"), &CloneOptions::default()).unwrap();
        assert_eq!(raw_digest(&copy, directory.path()), raw_digest(&clone, directory.path()));
        oracle::e2fsck(&copy.path);
        // The snapshot is nobody's: neither VM's writes come into it.
        let before = sha256_file(&snapshot.path);
        scribble(&copy);
        store.reset(&vm("vm-1")).unwrap();
        assert_eq!(sha256_file(&snapshot.path), before);
        // Another of the same name takes the name over.
        let second = store.snapshot(&vm("vm-1"), &name).unwrap();
        assert_ne!(second.record.id, snapshot.record.id);
        assert_eq!(store.find_template("installed").unwrap(), Some(second));
        // And a clone of the first under the name is a conflict until it is released.
        let moved = store.find_template("installed").unwrap().unwrap();
        let error = store.clone_template(&moved, &vm("vm-2"), &CloneOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(names(store, "tmp").is_empty());
    }
}

/// All hard links are one file, which any of their VMs may have open.
#[test]
fn a_hard_link_is_released_whoever_has_another() {
    if !oracle::available(&["qemu-io"]) {
        return;
    }
    let Fixture { store, template, .. } = &fixture();
    let link =
        CloneOptions { strategy: Some(Strategy::Hardlink), read_only: true, ..CloneOptions::default() };
    store.clone_template(template, &vm("vm-1"), &link).unwrap();
    let other = store.clone_template(template, &vm("vm-2"), &link).unwrap();
    let running = Running::reading(&other.path);
    store.release(&vm("vm-1")).unwrap();
    assert_eq!(names(store, "clones"), ["vm-2"]);
    drop(running);
}

/// As QEMU has it: locks on bytes of the disk, which die with their holder.
#[test]
fn a_disk_in_use_is_left_alone() {
    if !oracle::available(&["qemu-io"]) {
        return;
    }
    let Fixture { directory, store, template } = &fixture();
    let clone = store.clone_template(template, &vm("vm-1"), &CloneOptions::default()).unwrap();
    let running = Running::with(&clone.path);
    // A jail that the VMM runs in, or a backup, may know the disk by another name.
    std::fs::hard_link(&clone.path, directory.path().join("another name")).unwrap();
    let results = [
        store.grow(&vm("vm-1"), 8 << 30).map(drop),
        store.reset(&vm("vm-1")).map(drop),
        store.snapshot(&vm("vm-1"), &"x".parse().unwrap()).map(drop),
        store.release(&vm("vm-1")),
    ];
    for result in results {
        let error = result.unwrap_err();
        assert!(error.to_string().contains("in use") && error.kind() == ErrorKind::Conflict, "{error}");
    }
    drop(running);
    store.release(&vm("vm-1")).unwrap();
}
