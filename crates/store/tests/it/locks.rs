use std::sync::atomic::{AtomicUsize, Ordering};

use offshoot_store::{Area, EntryName, StoreDir, lock_disk};
use offshoot_testkit::oracle;

#[test]
fn one_at_a_time_makes_a_thing() {
    let directory = tempfile::tempdir().unwrap();
    let inside = AtomicUsize::new(0);
    let turns = AtomicUsize::new(0);
    let name = EntryName::encode("layer");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // A store of its own, as another process has one.
                let store = StoreDir::open(directory.path()).unwrap();
                for _ in 0..50 {
                    let _lock = store.lock_key(Area::Layers, &name).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two hold the lock");
                    std::thread::yield_now();
                    turns.fetch_add(1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(turns.load(Ordering::SeqCst), 400);
    assert_eq!(std::fs::read_dir(directory.path().join("locks")).unwrap().count(), 0);
}

#[test]
fn locks_of_different_things_do_not_meet() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    let name = EntryName::encode("x");
    let _layer = store.lock_key(Area::Layers, &name).unwrap();
    let _template = store.lock_key(Area::Templates, &name).unwrap();
    let _other = store.lock_key(Area::Layers, &EntryName::encode("y")).unwrap();
}

#[test]
fn a_disk_stays_locked_when_another_handle_on_it_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("rootfs.ext4");
    std::fs::write(&disk, "disk").unwrap();
    let open = || std::fs::File::options().read(true).write(true).open(&disk).unwrap();
    let locked = open();
    assert!(lock_disk(&locked).unwrap());
    // As a survey of the store, or a digest, opens it and closes it again.
    drop(std::fs::File::open(&disk).unwrap());
    assert!(!lock_disk(&open()).unwrap());
    // Nor does a VMM get it.
    if oracle::available(&["qemu-io"]) {
        let mut vmm = oracle::command("qemu-io");
        let refused = vmm.args(["-f", "raw", "-c", "write 0 4"]).arg(&disk).output().unwrap();
        assert!(String::from_utf8_lossy(&refused.stderr).contains("lock"), "{refused:?}");
    }
    drop(locked);
    assert!(lock_disk(&open()).unwrap());
}

#[test]
fn who_tries_for_a_lock_leaves_it_to_its_holder() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    let name = EntryName::encode("vm");
    let held = store.lock_key(Area::Clones, &name).unwrap();
    for _ in 0..2 {
        assert!(store.try_lock_key(Area::Clones, &name).unwrap().is_none());
    }
    drop(held);
    assert!(store.try_lock_key(Area::Clones, &name).unwrap().is_some());
    assert_eq!(std::fs::read_dir(directory.path().join("locks")).unwrap().count(), 0);
}
