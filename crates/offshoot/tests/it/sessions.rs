use std::collections::BTreeSet;
use std::path::Path;

use offshoot::{CloneOptions, Digest, Error, ErrorKind, Store};

use crate::image::{Fixture, fixture, names, vm};

#[test]
fn a_session_ends_with_its_guard() {
    let Fixture { store, template, .. } = &fixture();
    let options = CloneOptions { ephemeral: true, ..CloneOptions::default() };
    let session = store.clone_for_session(template, &vm("session"), &options).unwrap();
    assert!(session.path.exists());
    let error = store.clone_for_session(template, &vm("session"), &options).unwrap_err();
    assert!(matches!(error, Error::CloneTaken { .. }), "{error}");
    drop(session);
    assert!(names(store, "clones").is_empty());
    let kept = store.clone_for_session(template, &vm("session"), &options).unwrap().keep().unwrap();
    assert!(kept.path.exists());
    store.release(&vm("session")).unwrap();
    store.clone_for_session(template, &vm("session"), &options).unwrap().release().unwrap();
    assert!(names(store, "clones").is_empty() && names(store, "tmp").is_empty());
}

#[test]
fn sessions_of_many_threads_do_not_meet() {
    let Fixture { store, template, .. } = &fixture();
    let paths = std::sync::Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (paths, options) = (&paths, CloneOptions { ephemeral: true, ..CloneOptions::default() });
            scope.spawn(move || {
                // A handle of its own, as another process has.
                let store = Store::open(store.path()).unwrap();
                for turn in 0..10 {
                    let id = vm(&format!("{thread}/{turn}"));
                    let session = store.clone_for_session(template, &id, &options).unwrap();
                    assert!(paths.lock().unwrap().insert(session.path.clone()));
                }
            });
        }
    });
    assert_eq!(paths.lock().unwrap().len(), 80);
    assert!(names(store, "clones").is_empty());
}

#[test]
fn a_files_digest_follows_the_file() {
    let Fixture { directory, store, .. } = &fixture();
    let path = directory.path().join("memory.snapshot");
    std::fs::write(&path, b"first").unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    assert_eq!(store.file_digest(&path).unwrap(), Digest::of(b"first"));
    // Just made, it could change again within the resolution of its times: nothing is kept.
    assert!(names(store, "digests").is_empty());
    // The same size, and a time of modification that was seen before: the time of change tells.
    file.set_modified(long_ago).unwrap();
    store.file_digest(&path).unwrap();
    std::fs::write(&path, b"other").unwrap();
    file.set_modified(long_ago).unwrap();
    assert_eq!(store.file_digest(&path).unwrap(), Digest::of(b"other"));
    assert!(store.file_digest(&directory.path().join("none")).is_err());
}

/// What is kept is used: the record, changed by hand and without its checksum, is believed as long as the file is the same.
#[test]
fn a_files_digest_is_kept() {
    let Fixture { store, .. } = &fixture();
    // Older than the test, which was compiled from it.
    let old = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let digest = store.file_digest(old).unwrap();
    let record = store.path().join("digests").join(&names(store, "digests")[0]);
    let text = std::fs::read_to_string(&record).unwrap();
    let other = Digest::of(b"something else");
    let changed = text.replace(&digest.to_string(), &other.to_string());
    std::fs::write(&record, &changed).unwrap();
    assert_eq!(store.file_digest(old).unwrap_err().kind(), ErrorKind::Integrity);
    std::fs::write(&record, changed.replace("\"checksum\"", "\"without\"")).unwrap();
    assert_eq!(store.file_digest(old).unwrap(), other);
}
