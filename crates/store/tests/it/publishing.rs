use std::fs;
use std::path::Path;

use offshoot_store::{
    Area, Digest, Durability, EntryName, Error, Published, Quarantined, RecordArea, StoreDir,
};

fn entries(root: &Path, directory: &str) -> usize {
    fs::read_dir(root.join(directory)).unwrap().count()
}

fn listed(store: &StoreDir) -> Vec<Option<String>> {
    let each = store.each_entry_record(Area::Clones, "record.json").unwrap();
    each.into_iter().map(|(_, record)| record.unwrap()).collect()
}

fn values(store: &StoreDir) -> Vec<Result<u32, Error>> {
    store.each_record(RecordArea::Names).unwrap().into_iter().map(|(_, value)| value).collect()
}

#[test]
fn a_staged_directory_is_published_whole_or_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let store = StoreDir::open(root).unwrap();
    let name = EntryName::encode("vm/1");
    let publish = |text: &str| {
        let staging = store.stage().unwrap();
        staging.write_record("record.json", &text, Durability::Durable).unwrap();
        staging.publish(Area::Clones, &name, Durability::Durable).unwrap()
    };
    drop(store.stage().unwrap());
    assert_eq!(publish("first"), Published::Now);
    assert_eq!(publish("second"), Published::Already);
    assert_eq!(entries(root, "tmp"), 0);
    let record: Option<String> = store.entry_record(Area::Clones, &name, "record.json").unwrap();
    assert_eq!(record.as_deref(), Some("first"));
    assert_eq!(listed(&store), [Some("first".to_owned())]);

    assert!(store.retire(Area::Clones, &name, Durability::Durable).unwrap());
    assert!(!store.retire(Area::Clones, &name, Durability::Durable).unwrap());
    assert!(!store.contains(Area::Clones, &name).unwrap());
    assert_eq!(entries(root, "tmp"), 0);
}

#[test]
fn an_entry_is_replaced_in_one_step_and_its_record_too() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let store = StoreDir::open(root).unwrap();
    let name = EntryName::encode("vm");
    let staged = |text: &str| {
        let staging = store.stage().unwrap();
        staging.write_record("record.json", &text, Durability::Durable).unwrap();
        staging
    };
    let record = || store.entry_record::<String>(Area::Clones, &name, "record.json").unwrap();
    let error = staged("none").replace(Area::Clones, &name, Durability::Durable).unwrap_err();
    assert!(matches!(error, Error::Io { operation: "replace", .. }), "{error}");
    assert_eq!((record(), entries(root, "tmp")), (None, 0));
    staged("first").publish(Area::Clones, &name, Durability::Durable).unwrap();
    staged("second").replace(Area::Clones, &name, Durability::Durable).unwrap();
    assert_eq!((record().as_deref(), entries(root, "tmp")), (Some("second"), 0));
    store.put_entry_record(Area::Clones, &name, "record.json", &"third", Durability::Durable).unwrap();
    assert_eq!((record().as_deref(), entries(root, "tmp")), (Some("third"), 0));
}

#[test]
fn what_is_quarantined_is_kept_with_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let store = StoreDir::open(root).unwrap();
    let disk = root.join("clones/disk");
    assert_eq!(store.quarantine(&disk, "bad magic").unwrap(), None);
    assert_eq!(entries(root, "quarantine"), 0);
    let mut kept = Vec::new();
    for content in ["first", "second"] {
        fs::write(&disk, content).unwrap();
        kept.push(store.quarantine(&disk, "bad magic").unwrap().unwrap());
        assert!(!disk.exists());
    }
    assert_eq!(fs::read_to_string(&kept[0]).unwrap(), "first");
    assert_eq!(fs::read_to_string(&kept[1]).unwrap(), "second");
    let reason = fs::read(kept[0].with_file_name("reason.json")).unwrap();
    let reason: Quarantined = serde_json::from_slice(&reason).unwrap();
    assert_eq!((reason.reason.as_str(), reason.origin.as_path()), ("bad magic", Path::new("clones/disk")));
}

#[test]
fn what_was_quarantined_is_put_back_where_nothing_else_is() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let store = StoreDir::open(root).unwrap();
    let disk = root.join("clones/disk");
    fs::write(&disk, "first").unwrap();
    let aside = store.quarantine(&disk, "bad magic").unwrap().unwrap();
    fs::write(&disk, "second").unwrap();
    assert!(!store.put_back(&aside, &disk).unwrap());
    assert_eq!(fs::read_to_string(&disk).unwrap(), "second");
    fs::remove_file(&disk).unwrap();
    assert!(store.put_back(&aside, &disk).unwrap());
    assert_eq!(fs::read_to_string(&disk).unwrap(), "first");
    assert_eq!(entries(root, "quarantine"), 0);
    assert!(store.put_back(&aside, &root.join("clones/other")).is_err());
    // What cannot be moved, or not be replaced, leaves no reason behind either.
    let deep = root.join("clones/disk/deep");
    assert!(store.quarantine(&deep, "below a file").is_err());
    assert!(store.quarantine_replaced(&disk, &root.join("tmp/nothing"), "bad").is_err());
    assert_eq!(fs::read_to_string(&disk).unwrap(), "first");
    fs::remove_file(&disk).unwrap();
    fs::create_dir(&disk).unwrap();
    assert!(store.quarantine_replaced(&disk, &root.join("tmp/nothing"), "bad").is_err());
    assert!(disk.is_dir());
    assert_eq!(entries(root, "quarantine"), 0);
}

/// The reason and the thing never have one name.
#[test]
fn what_is_called_as_the_reason_is_set_aside_too() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let store = StoreDir::open(root).unwrap();
    let (record, clone) = (root.join("names/reason.json"), root.join("clones/reason.json"));
    fs::write(&record, "a record").unwrap();
    fs::create_dir(&clone).unwrap();
    let replaced = root.join("digests/reason.json");
    fs::write(&replaced, "another record").unwrap();
    let staged = root.join("tmp/staged");
    fs::write(&staged, "a good one").unwrap();
    let aside = [&record, &clone].map(|path| store.quarantine(path, "torn").unwrap().unwrap());
    store.quarantine_replaced(&replaced, &staged, "torn").unwrap();
    assert_eq!(fs::read_to_string(&replaced).unwrap(), "a good one");
    assert_eq!(fs::read_to_string(&aside[0]).unwrap(), "a record");
    for name in store.quarantine_names().unwrap() {
        let place = root.join("quarantine").join(name);
        let reason = fs::read(place.join("why.json")).unwrap();
        let reason: Quarantined = serde_json::from_slice(&reason).unwrap();
        assert!(reason.reason == "torn" && reason.origin.ends_with("reason.json"), "{reason:?}");
        assert!(place.join("reason.json").exists());
    }
    for (aside, path) in aside.iter().zip([&record, &clone]) {
        assert!(store.put_back(aside, path).unwrap());
    }
    assert_eq!((entries(root, "quarantine"), clone.is_dir()), (1, true));
}

#[test]
fn records_are_replaced_and_listed() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    let name = EntryName::encode("..");
    assert_eq!(store.record::<u32>(RecordArea::Names, &name).unwrap(), None);
    store.put_record(RecordArea::Names, &name, &1).unwrap();
    store.put_record(RecordArea::Names, &name, &2).unwrap();
    store.put_record(RecordArea::Names, &EntryName::encode("a"), &3).unwrap();
    assert_eq!(store.record(RecordArea::Names, &name).unwrap(), Some(2));
    assert_eq!(values(&store).into_iter().map(Result::unwrap).collect::<Vec<_>>(), [2, 3]);
    fs::write(directory.path().join("names/a.json"), "{").unwrap();
    assert!(values(&store).iter().any(|value| matches!(value, Err(Error::Record { .. }))));
}

#[test]
fn a_blob_is_what_its_name_says_or_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    let (digest, _) = store.put_blob(b"bytes").unwrap();
    assert_eq!(store.put_blob(b"bytes").unwrap().0, digest);
    assert_eq!(store.blob(digest, 100).unwrap().as_deref(), Some(&b"bytes"[..]));
    assert_eq!(store.blob(Digest::of(b"other"), 100).unwrap(), None);
    let path = directory.path().join("blobs/sha256").join(digest.hex());
    fs::write(path, b"bytez").unwrap();
    assert!(matches!(store.blob(digest, 100), Err(Error::Blob { .. })));
    assert!(matches!(store.blob(digest, 2), Err(Error::Blob { .. })), "too large is not read whole");
    assert_eq!(store.put_blob(b"bytes").unwrap().0, digest);
    assert_eq!(store.blob(digest, 100).unwrap().as_deref(), Some(&b"bytes"[..]), "put again, it is healed");
}
