use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use offshoot::{Clone, CloneOptions, DiskFormat, Error, ErrorKind, Store, Strategy, Template};
use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle, scratch_directory, sha256_file};

use crate::image::{Fixture, fixture, names, store, vm};

fn with(strategy: Strategy) -> CloneOptions {
    CloneOptions { strategy: Some(strategy), ..CloneOptions::default() }
}

/// The guest's view of a clone's disk as a raw file.
fn raw(clone: &Clone, directory: &Path) -> std::path::PathBuf {
    let path = directory.join(format!("{}.raw", clone.record.vm_id));
    let format = clone.record.format.as_str();
    oracle::run(
        oracle::command("qemu-img").args(["convert", "-f", format, "-O", "raw"]).arg(&clone.path).arg(&path),
    );
    path
}

#[test]
fn an_overlay_is_the_template_until_it_is_written() {
    let Fixture { directory, store, template } = &fixture();
    let clone = store.clone_template(template, &vm("vm-1"), &with(Strategy::Qcow2)).unwrap();
    assert_eq!((clone.record.format, clone.record.strategy), (DiskFormat::Qcow2, Strategy::Qcow2));
    assert!(clone.path.ends_with("clones/vm-1/rootfs.qcow2"));
    if !oracle::available(&["qemu-img", "qemu-io"]) {
        return;
    }
    oracle::run(oracle::command("qemu-img").arg("check").arg(&clone.path));
    let chain = oracle::run(oracle::command("qemu-img").args(["info", "--backing-chain"]).arg(&clone.path));
    assert!(
        chain.contains(&format!("backing file: ../../templates/{}/rootfs.ext4", template.record.id)),
        "{chain}"
    );
    assert!(chain.contains("backing file format: raw"), "{chain}");
    assert_eq!(sha256_file(&raw(&clone, directory.path())), sha256_file(&template.path));
    let before = sha256_file(&template.path);
    oracle::run(oracle::command("qemu-io").args(["-f", "qcow2", "-c", "write -P 7 1M 64k"]).arg(&clone.path));
    assert_eq!(sha256_file(&template.path), before);
    // The store may be moved, and the overlay still finds its template.
    let moved = directory.path().join("moved");
    fs::rename(store.path(), &moved).unwrap();
    oracle::run(oracle::command("qemu-img").arg("check").arg(moved.join("clones/vm-1/rootfs.qcow2")));
    let again = Store::open(&moved).unwrap();
    let found = again.clone_template(
        &again.find_template(&template.record.id.to_string()).unwrap().unwrap(),
        &vm("vm-1"),
        &CloneOptions::default(),
    );
    assert!(found.unwrap().path.starts_with(&moved));
}

#[test]
fn a_hard_link_is_the_template_and_cannot_be_written() {
    let Fixture { store, template, .. } = &fixture();
    let error = store.clone_template(template, &vm("vm-1"), &with(Strategy::Hardlink)).unwrap_err();
    assert!(matches!(error, Error::HardlinkWritable), "{error}");
    assert_eq!(error.kind(), ErrorKind::Usage);
    let options = CloneOptions { read_only: true, ..with(Strategy::Hardlink) };
    let clone = store.clone_template(template, &vm("vm-1"), &options).unwrap();
    let metadata = fs::metadata(&clone.path).unwrap();
    assert_eq!(metadata.ino(), fs::metadata(&template.path).unwrap().ino());
    assert_eq!(metadata.permissions().mode() & 0o222, 0);
    assert_eq!(store.clone_template(template, &vm("vm-1"), &options).unwrap(), clone);
    assert_eq!(store.grow(&vm("vm-1"), 8 << 30).unwrap_err().kind(), ErrorKind::Conflict);
    store.release(&vm("vm-1")).unwrap();
    assert!(template.path.exists());
}

#[test]
fn every_strategy_gives_a_disk_of_the_size_asked_for() {
    if !oracle::available(&["qemu-img", "e2fsck"]) {
        return;
    }
    for filesystem in [Filesystem::Ext4, Filesystem::Xfs] {
        if !filesystem.available() {
            continue;
        }
        let scratch = ScratchFilesystem::new(filesystem, 2 << 30);
        let (store, template) = store(scratch.path());
        for strategy in [Strategy::Reflink, Strategy::Copy, Strategy::Qcow2] {
            let options = CloneOptions { size_bytes: Some(5 << 30), ..with(strategy) };
            let clone = match store.clone_template(&template, &vm(strategy.as_str()), &options) {
                Err(error) => {
                    assert_eq!((filesystem, strategy), (Filesystem::Ext4, Strategy::Reflink), "{error}");
                    assert_eq!(error.kind(), ErrorKind::Unsupported);
                    continue;
                }
                Ok(clone) => clone,
            };
            assert_eq!(clone.record.size_bytes, 5 << 30);
            let disk = raw(&clone, scratch.path());
            assert_eq!(disk.metadata().unwrap().len(), 5 << 30, "{strategy}");
            oracle::e2fsck(&disk);
            fs::remove_file(disk).unwrap();
            assert_eq!(store.clone_template(&template, &vm(strategy.as_str()), &options).unwrap(), clone);
        }
        assert!(names(&store, "tmp").is_empty());
    }
}

#[test]
fn a_disk_is_never_smaller_than_its_template() {
    let Fixture { store, template, .. } = &fixture();
    for strategy in [None, Some(Strategy::Qcow2)] {
        let options = CloneOptions {
            strategy,
            size_bytes: Some(template.record.size_bytes - 4096),
            ..CloneOptions::default()
        };
        let error = store.clone_template(template, &vm("vm-1"), &options).unwrap_err();
        assert!(error.to_string().contains("would lose data"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
    assert!(names(store, "clones").is_empty() && names(store, "tmp").is_empty());
}

#[test]
fn another_size_is_a_conflict_and_no_size_is_any() {
    let Fixture { store, template, .. } = &fixture();
    let sized = |size_bytes| CloneOptions { size_bytes, ..CloneOptions::default() };
    let clone = store.clone_template(template, &vm("vm-1"), &sized(Some(2 << 30))).unwrap();
    let error = store.clone_template(template, &vm("vm-1"), &sized(Some(3 << 30))).unwrap_err();
    assert!(matches!(error, Error::CloneConflict { field: "size", .. }), "{error}");
    assert!(error.to_string().contains("2147483648") && error.to_string().contains("3221225472"), "{error}");
    assert_eq!(store.clone_template(template, &vm("vm-1"), &sized(None)).unwrap(), clone);
    // Grown since: the size it was made with still is the same clone.
    let grown = store.grow(&vm("vm-1"), 4 << 30).unwrap();
    for size in [2, 4] {
        assert_eq!(store.clone_template(template, &vm("vm-1"), &sized(Some(size << 30))).unwrap(), grown);
    }
}

#[test]
fn a_filesystem_gets_a_uuid_of_its_own() {
    if !oracle::available(&["dumpe2fs", "e2fsck", "qemu-img"]) {
        return;
    }
    let Fixture { directory, store, template } = &fixture();
    for strategy in [None, Some(Strategy::Qcow2)] {
        let name = strategy.map_or("copy", Strategy::as_str);
        let options = CloneOptions { strategy, fresh_uuid: true, ..CloneOptions::default() };
        let clone = store.clone_template(template, &vm(name), &options).unwrap();
        let uuid = clone.record.uuid.unwrap().to_string();
        let disk = raw(&clone, directory.path());
        oracle::e2fsck(&disk);
        let shown = |path: &Path| oracle::run(oracle::command("dumpe2fs").arg("-h").arg(path));
        assert!(shown(&disk).contains(&uuid) && !shown(&template.path).contains(&uuid));
        assert_eq!(store.clone_template(template, &vm(name), &options).unwrap(), clone);
        let error =
            store.clone_template(template, &vm(name), &CloneOptions { strategy, ..CloneOptions::default() });
        assert!(matches!(error, Err(Error::CloneConflict { field: "UUID", .. })));
    }
}

/// Files for one VM: its disk is built from the packs, and is not the template's.
#[test]
fn files_for_one_vm_alone() {
    if !oracle::available(&["debugfs", "e2fsck"]) {
        return;
    }
    let Fixture { directory, store, template } = &fixture();
    let key = directory.path().join("key");
    fs::write(&key, b"for vm-1 alone").unwrap();
    let injected = |text: &str| CloneOptions {
        injections: vec![format!("{}:{text}", key.display()).parse().unwrap()],
        size_bytes: Some(2 << 30),
        ..CloneOptions::default()
    };
    let options = injected("/etc/key:0600:1000:1001");
    let clone = store.clone_template(template, &vm("vm-1"), &options).unwrap();
    oracle::e2fsck(&clone.path);
    let show =
        |command: &str, disk: &Path| oracle::run(oracle::command("debugfs").args(["-R", command]).arg(disk));
    assert_eq!(show("cat /etc/key", &clone.path), "for vm-1 alone");
    let status = show("stat /etc/key", &clone.path);
    assert!(status.contains("0600") && status.contains("1000") && status.contains("1001"), "{status}");
    assert!(!show("ls /etc", &template.path).contains("key"));
    assert_eq!(store.clone_template(template, &vm("vm-1"), &options).unwrap(), clone);
    for other in [injected("/etc/other"), CloneOptions { injections: Vec::new(), ..options.clone() }] {
        let error = store.clone_template(template, &vm("vm-1"), &other).unwrap_err();
        assert!(matches!(error, Error::CloneConflict { field: "set of injected files", .. }), "{error}");
    }
    // Reset gives the same disk again, files and all.
    let before = sha256_file(&clone.path);
    fs::File::options().write(true).open(&clone.path).unwrap().write_all_at(b"gone", 1 << 20).unwrap();
    assert_eq!(store.reset(&vm("vm-1")).unwrap().record, clone.record);
    assert_eq!(sha256_file(&clone.path), before);
    // What was not built from layers has none to add to.
    let snapshot = store.snapshot(&vm("vm-1"), &"snapshot".parse().unwrap()).unwrap();
    let error = store.clone_template(&snapshot, &vm("vm-2"), &options).unwrap_err();
    assert!(matches!(error, Error::NotBuilt { .. }), "{error}");
}

/// Past what the template's filesystem has room for, a new disk is built instead of grown.
#[test]
fn larger_than_the_reservation() {
    if !oracle::available(&["e2fsck"]) {
        return;
    }
    let directory = scratch_directory();
    let (store, template): (Store, Template) = store(directory.path());
    let size_bytes = Some(600 << 30);
    let options = CloneOptions { size_bytes, ..CloneOptions::default() };
    let clone = store.clone_template(&template, &vm("vm-1"), &options).unwrap();
    assert_eq!(clone.record.size_bytes, 600 << 30);
    assert!(clone.record.built_from.is_some());
    oracle::e2fsck(&clone.path);
    assert_eq!(store.clone_template(&template, &vm("vm-1"), &options).unwrap(), clone);
    // One that has lived cannot be built anew.
    store.clone_template(&template, &vm("vm-2"), &CloneOptions::default()).unwrap();
    let error = store.grow(&vm("vm-2"), 600 << 30).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let snapshot = store.snapshot(&vm("vm-2"), &"snapshot".parse().unwrap()).unwrap();
    assert!(store.clone_template(&snapshot, &vm("vm-3"), &options).is_err());
    assert!(names(&store, "tmp").is_empty());
}
