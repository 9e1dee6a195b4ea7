use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

use offshoot::{BuildOptions, CloneOptions, Error, ErrorKind, Quiet, Strategy};

use crate::image::{Fixture, fixture, names, stamps, vm};

#[test]
fn a_clone_is_a_file_of_its_own() {
    let Fixture { store, template, .. } = &fixture();
    let before = fs::read(&template.path).unwrap();
    let clone = store.clone_template(template, &vm("vm-1"), &CloneOptions::default()).unwrap();
    let other = store.clone_template(template, &vm("vm-2"), &CloneOptions::default()).unwrap();
    assert!(fs::read(&clone.path).unwrap() == before);
    let file = fs::File::options().write(true).open(&clone.path).unwrap();
    file.write_all_at(b"written", 1 << 20).unwrap();
    for untouched in [&template.path, &other.path] {
        assert!(fs::read(untouched).unwrap() == before);
        assert_ne!(fs::metadata(untouched).unwrap().ino(), file.metadata().unwrap().ino());
    }
}

#[test]
fn the_same_clone_again_changes_nothing() {
    let Fixture { store, template, .. } = &fixture();
    let options = CloneOptions::default();
    let first = store.clone_template(template, &vm("vm-1"), &options).unwrap();
    let before = (stamps(&first.path), stamps(&first.path.with_file_name("clone.json")));
    assert_eq!(store.clone_template(template, &vm("vm-1"), &options).unwrap(), first);
    assert_eq!((stamps(&first.path), stamps(&first.path.with_file_name("clone.json"))), before);
    assert!(names(store, "tmp").is_empty());
}

#[test]
fn another_clone_of_that_id_is_a_conflict() {
    let Fixture { store, template, .. } = &fixture();
    let copy = CloneOptions { strategy: Some(Strategy::Copy), ..CloneOptions::default() };
    let clone = store.clone_template(template, &vm("vm-1"), &copy).unwrap();
    let empty = store.build(&"scratch:".parse().unwrap(), &BuildOptions::default(), &Quiet).unwrap();
    let read_only = CloneOptions { read_only: true, ..CloneOptions::default() };
    let reflink = CloneOptions { strategy: Some(Strategy::Reflink), ..CloneOptions::default() };
    for (template, options, field) in [
        (&empty, &CloneOptions::default(), "template"),
        (template, &read_only, "read-only flag"),
        (template, &reflink, "strategy"),
    ] {
        let error = store.clone_template(template, &vm("vm-1"), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(matches!(error, Error::CloneConflict { field: found, .. } if found == field), "{field}");
    }
    assert_eq!(store.find_clone(&vm("vm-1")).unwrap(), Some(clone));
}

#[test]
fn a_durable_clone_is_not_answered_with_an_ephemeral_one() {
    let Fixture { store, template, .. } = &fixture();
    let ephemeral = CloneOptions { ephemeral: true, ..CloneOptions::default() };
    let clone = store.clone_template(template, &vm("vm-1"), &ephemeral).unwrap();
    assert_eq!(store.clone_template(template, &vm("vm-1"), &ephemeral).unwrap(), clone);
    let error = store.clone_template(template, &vm("vm-1"), &CloneOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

#[test]
fn ids_that_look_alike_are_different_clones() {
    let Fixture { store, template, .. } = &fixture();
    let ids = ["vm/1", "vm_1", "VM_1", "..", ".", "a%2Fb", "a/b", "é", &"é".repeat(64)];
    for id in ids {
        let clone = store.clone_template(template, &vm(id), &CloneOptions::default()).unwrap();
        assert!(clone.path.starts_with(store.path().join("clones")), "{id}");
    }
    let mut listed: Vec<_> =
        store.clones().unwrap().into_iter().map(|clone| clone.record.vm_id.to_string()).collect();
    listed.sort();
    let mut expected = ids.map(str::to_owned);
    expected.sort();
    assert_eq!(listed, expected);
    for id in ids {
        store.release(&vm(id)).unwrap();
    }
    assert!(names(store, "clones").is_empty() && store.path().exists());
}

#[test]
fn release_is_idempotent_and_complete() {
    let Fixture { store, template, .. } = &fixture();
    store.clone_template(template, &vm("vm-1"), &CloneOptions::default()).unwrap();
    store.release(&vm("vm-1")).unwrap();
    store.release(&vm("vm-1")).unwrap();
    assert_eq!(store.find_clone(&vm("vm-1")).unwrap(), None);
    assert!(names(store, "tmp").is_empty());
}

#[test]
fn a_read_only_clone_cannot_be_written_by_mode() {
    let Fixture { store, template, .. } = &fixture();
    let options = CloneOptions { read_only: true, ..CloneOptions::default() };
    let clone = store.clone_template(template, &vm("vm-1"), &options).unwrap();
    assert_eq!(fs::metadata(&clone.path).unwrap().permissions().mode() & 0o222, 0);
    let writable = store.clone_template(template, &vm("vm-2"), &CloneOptions::default()).unwrap();
    assert_eq!(fs::metadata(&writable.path).unwrap().permissions().mode() & 0o200, 0o200);
}
