//! Names that move to another template while they are removed.

use std::fs::{self, File};
use std::path::PathBuf;
use std::thread::{ScopedJoinHandle, scope, yield_now};

use offshoot::{BuildOptions, ImageName, Quiet, Store};

use crate::image::{names, sample_of};
use crate::repairing::is_waited_for;

struct Moving {
    _directory: tempfile::TempDir,
    store: Store,
    images: [ImageName; 2],
    lock: PathBuf,
}

fn moving() -> Moving {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let images = ["first", "second"].map(|name| sample_of(&directory.path().join(name), name.as_bytes()));
    let lock = store.path().join("locks/names-base");
    Moving { _directory: directory, store, images, lock }
}

impl Moving {
    /// The id of the image's template, which has this name then.
    fn build(&self, image: usize, name: &str) -> String {
        let options = BuildOptions { name: Some(name.parse().unwrap()), ..BuildOptions::default() };
        self.store.build(&self.images[image], &options, &Quiet).unwrap().record.id.to_string()
    }

    fn named(&self) -> Option<String> {
        Some(self.store.find_template("base").unwrap()?.record.id.to_string())
    }

    fn hold(&self) -> File {
        let held = File::create(&self.lock).unwrap();
        held.lock().unwrap();
        held
    }

    fn let_go(&self, held: File) {
        fs::remove_file(&self.lock).unwrap();
        drop(held);
    }
}

/// Whether it comes to wait for the lock, instead of being done.
fn waits<T>(thread: &ScopedJoinHandle<'_, T>, held: &File) -> bool {
    while !thread.is_finished() {
        if is_waited_for(held) {
            return true;
        }
        yield_now();
    }
    false
}

#[test]
fn a_name_that_moved_on_is_not_removed() {
    for by_id in [true, false] {
        let moving = moving();
        let (old, new) = (moving.build(0, "base"), moving.build(1, "other"));
        let held = moving.hold();
        scope(|scope| {
            let asked = if by_id { &old } else { "base" };
            let removal = scope.spawn(|| moving.store.remove(asked));
            assert!(waits(&removal, &held), "{asked}");
            // As a build does that has the lock.
            let record = fs::read_to_string(moving.store.path().join("names/other.json")).unwrap();
            let record = record.replace("\"other\"", "\"base\"").replace("\"checksum\"", "\"without\"");
            fs::write(moving.store.path().join("names/base.json"), record).unwrap();
            moving.let_go(held);
            removal.join().unwrap().unwrap();
        });
        assert_eq!(moving.named().as_ref(), Some(&new), "by id: {by_id}");
        assert_eq!(names(&moving.store, "templates"), [new], "what was asked for is gone");
        assert!(names(&moving.store, "locks").is_empty());
    }
}

#[test]
fn a_name_is_not_moved_while_it_is_removed() {
    let moving = moving();
    let old = moving.build(0, "base");
    let held = moving.hold();
    scope(|scope| {
        let build = scope.spawn(|| moving.build(1, "base"));
        assert!(waits(&build, &held));
        assert_eq!(moving.named(), Some(old));
        moving.let_go(held);
        assert_eq!(Some(build.join().unwrap()), moving.named());
    });
}
