use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use offshoot_store::{Area, Claimed, Durability, EntryName, LeftoverKind, OwnerId, Published, StoreDir};

fn name() -> EntryName {
    EntryName::encode("entry")
}

/// An entry with that content, of the area where others are made from it.
fn publish(store: &StoreDir, content: &str) -> offshoot_store::Lease {
    let staging = store.stage().unwrap();
    fs::write(staging.path().join("content"), content).unwrap();
    let (published, lease) = staging.publish_leased(Area::Templates, &name()).unwrap();
    assert_eq!(published, Published::Now);
    lease
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

#[test]
fn what_is_leased_cannot_be_claimed_and_what_is_claimed_goes() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    let other = StoreDir::open(directory.path()).unwrap();
    let claim = || other.claim(Area::Templates, &name()).unwrap();
    assert!(matches!(claim(), Claimed::Gone));
    assert!(store.lease(Area::Templates, &name()).unwrap().is_none());
    let first = publish(&store, "content");
    let second = other.lease(Area::Templates, &name()).unwrap().unwrap();
    for lease in [first, second] {
        assert!(matches!(claim(), Claimed::InUse));
        drop(lease);
    }
    let Claimed::Free(claimed) = claim() else { panic!("nobody has it") };
    assert!(matches!(claim(), Claimed::InUse), "one claim at a time");
    assert_eq!(claimed.path(), store.entry_path(Area::Templates, &name()));
    // Not looked at, but dropped: it stays.
    drop(claimed);
    assert!(store.contains(Area::Templates, &name()).unwrap());
    let Claimed::Free(claimed) = claim() else { panic!("nobody has it") };
    let retired = claimed.retire(&other).unwrap().unwrap();
    assert!(!store.contains(Area::Templates, &name()).unwrap());
    assert_eq!(fs::read_dir(directory.path().join("tmp")).unwrap().count(), 1);
    retired.discard().unwrap();
    assert_eq!(fs::read_dir(directory.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn who_waits_for_what_goes_finds_nothing_or_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    drop(publish(&store, "first"));
    for next in [None, Some("second")] {
        let Claimed::Free(claimed) = store.claim(Area::Templates, &name()).unwrap() else { panic!("in use") };
        let waiting = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                waiting.store(true, Ordering::SeqCst);
                store.lease(Area::Templates, &name()).unwrap()
            });
            while !waiting.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            let retired = claimed.retire(&store).unwrap().unwrap();
            let lease = next.map(|content| publish(&store, content));
            drop(retired);
            let got = waiter.join().unwrap();
            assert!(got.is_none() || next.is_some());
            if got.is_some() {
                let content = fs::read(store.entry_path(Area::Templates, &name()).join("content")).unwrap();
                assert_eq!(Some(content.as_slice()), next.map(str::as_bytes));
                drop(lease);
                assert!(matches!(store.claim(Area::Templates, &name()).unwrap(), Claimed::InUse));
            }
        });
        if next.is_none() {
            drop(publish(&store, "first"));
        }
    }
}

/// Whoever waited for the claim of something that went has none on what took its place.
#[test]
fn a_claim_is_never_on_what_came_later() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    for _ in 0..100 {
        drop(publish(&store, "first"));
        let Claimed::Free(first) = store.claim(Area::Templates, &name()).unwrap() else { panic!("in use") };
        let waiting = AtomicBool::new(false);
        let second = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                waiting.store(true, Ordering::SeqCst);
                store.claim_after_others(Area::Templates, &name()).unwrap()
            });
            while !waiting.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            let retired = first.retire(&store).unwrap().unwrap();
            let second = publish(&store, "second");
            drop(retired);
            let claimed = waiter.join().unwrap();
            assert!(!matches!(claimed, Claimed::Free(_)), "the second one is in use");
            second
        });
        drop(second);
        let Claimed::Free(second) = store.claim(Area::Templates, &name()).unwrap() else { panic!("in use") };
        second.retire(&store).unwrap().unwrap().discard().unwrap();
    }
}

#[test]
fn of_two_who_publish_both_have_a_lease_on_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    let first = publish(&store, "first");
    let staging = store.stage().unwrap();
    fs::write(staging.path().join("content"), "second").unwrap();
    let (published, second) = staging.publish_leased(Area::Templates, &name()).unwrap();
    assert_eq!(published, Published::Already);
    drop(first);
    assert!(matches!(store.claim(Area::Templates, &name()).unwrap(), Claimed::InUse));
    drop(second);
    let content = store.entry_path(Area::Templates, &name()).join("content");
    assert_eq!(fs::read_to_string(content).unwrap(), "first");
}

#[test]
fn a_use_is_noted_once_a_minute() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    let lease = publish(&store, "content");
    let path = store.entry_path(Area::Templates, &name());
    let set = |time| File::open(&path).unwrap().set_modified(time).unwrap();
    let now = SystemTime::now();
    for (seconds, noted) in [(0, false), (50, false), (70, true), (1_000_000, true)] {
        for time in [now - Duration::from_secs(seconds), now + Duration::from_secs(seconds)] {
            set(time);
            let before = modified(&path);
            drop(store.lease(Area::Templates, &name()).unwrap());
            assert_eq!(modified(&path) != before, noted, "{seconds}");
        }
    }
    // What has been held for long is noted when it is used again, not by being held.
    set(now - Duration::from_secs(1000));
    lease.mark_used();
    assert_eq!(modified(&path), now - Duration::from_secs(1000), "published less than a minute ago");
    drop(lease);
    let Claimed::Free(claim) = store.claim(Area::Templates, &name()).unwrap() else { panic!("in use") };
    assert_eq!(claim.used_at(), now - Duration::from_secs(1000));
}

#[test]
fn a_blob_stays_as_long_as_its_lease() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    let (digest, first) = store.put_blob(b"bytes").unwrap();
    let (_, second) = store.put_blob(b"bytes").unwrap();
    drop(first);
    assert!(matches!(store.claim_blob(digest).unwrap(), Claimed::InUse));
    drop(second);
    // One that is damaged is replaced, and the lease is on the new one.
    let path = directory.path().join("blobs/sha256").join(digest.hex());
    fs::write(&path, b"bytez").unwrap();
    let (_, third) = store.put_blob(b"bytes").unwrap();
    assert!(matches!(store.claim_blob(digest).unwrap(), Claimed::InUse));
    drop(third);
    let Claimed::Free(claim) = store.claim_blob(digest).unwrap() else { panic!("in use") };
    claim.retire(&store).unwrap().unwrap().discard().unwrap();
    assert!(!path.exists());
    for part in ["tmp", "locks"] {
        assert_eq!(fs::read_dir(directory.path().join(part)).unwrap().count(), 0, "{part}");
    }
}

#[test]
fn an_owner_is_alive_as_long_as_its_store_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    let owners = || fs::read_dir(directory.path().join("owners")).unwrap().count();
    assert_eq!(owners(), 0, "to look is not to own");
    let other = StoreDir::open(directory.path()).unwrap();
    let owner = store.owner().unwrap().clone();
    assert_eq!(store.owner().unwrap(), &owner);
    assert_ne!(other.owner().unwrap(), &owner);
    assert!(store.is_alive(&owner).unwrap() && other.is_alive(&owner).unwrap());
    let staging = store.stage().unwrap();
    fs::write(staging.path().join("file"), "content").unwrap();
    assert!(other.leftovers().unwrap().is_empty());
    // As if it were killed.
    std::mem::forget(staging);
    drop(store);
    assert!(!other.is_alive(&owner).unwrap());
    let leftovers: Vec<_> = other.leftovers().unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(leftovers.len(), 1);
    assert_eq!(leftovers[0].kind, LeftoverKind::Staging);
    assert!(other.remove_leftover(&leftovers[0]).unwrap());
    assert!(!other.remove_leftover(&leftovers[0]).unwrap(), "it is gone");
    assert_eq!(owners(), 1);
    drop(other);
    assert_eq!(owners(), 0);
}

#[test]
fn many_threads_are_one_owner() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    let owners: std::collections::BTreeSet<OwnerId> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| store.owner().unwrap().clone())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(owners.len(), 1);
    assert_eq!(fs::read_dir(directory.path().join("owners")).unwrap().count(), 1);
}

/// Owners that come and go while others take away what the dead ones left.
#[test]
fn what_a_live_owner_has_is_never_taken_for_a_dead_ones() {
    let directory = tempfile::tempdir().unwrap();
    drop(StoreDir::open(directory.path()).unwrap());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sweepers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let store = StoreDir::open(directory.path()).unwrap();
                    while !done.load(Ordering::Relaxed) {
                        for leftover in store.leftovers().unwrap() {
                            store.remove_leftover(&leftover.unwrap()).unwrap();
                        }
                    }
                })
            })
            .collect();
        let makers: Vec<_> = (0..2)
            .map(|maker| {
                let root = directory.path();
                scope.spawn(move || {
                    for round in 0..150 {
                        let store = StoreDir::open(root).unwrap();
                        let entry = EntryName::encode(&format!("{maker}-{round}"));
                        let _key = store.lock_key(Area::Clones, &entry).unwrap();
                        let staging = store.stage().unwrap();
                        fs::write(staging.path().join("file"), "content").unwrap();
                        store.leftovers().unwrap();
                        assert!(staging.path().join("file").exists());
                        staging.publish(Area::Clones, &entry, Durability::Ephemeral).unwrap();
                        // One in three dies on the way.
                        if round % 3 == 0 {
                            std::mem::forget(store.stage().unwrap());
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = makers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        sweepers.into_iter().for_each(|sweeper| sweeper.join().unwrap());
        ended.into_iter().for_each(|ended| ended.unwrap());
    });
    let store = StoreDir::open(directory.path()).unwrap();
    for leftover in store.leftovers().unwrap() {
        store.remove_leftover(&leftover.unwrap()).unwrap();
    }
    assert_eq!(store.entry_names(Area::Clones).unwrap().len(), 300);
    assert_eq!(fs::read_dir(directory.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_told_is_said_and_left() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    // Not followed.
    std::os::unix::fs::symlink("/etc/passwd", directory.path().join("locks/link")).unwrap();
    let leftovers = store.leftovers().unwrap();
    assert!(matches!(leftovers[..], [Err(_)]), "{leftovers:?}");
}

#[test]
fn who_only_looks_does_not_use() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    drop(publish(&store, "content"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                drop(store.claim(Area::Templates, &name()).unwrap());
            }
        });
        let claimed = (0..1000).map(|_| store.claim_after_others(Area::Templates, &name()).unwrap());
        let free = claimed.filter(|claimed| matches!(claimed, Claimed::Free(_))).count();
        done.store(true, Ordering::Relaxed);
        looking.join().unwrap();
        assert_eq!(free, 1000);
    });
    let lease = store.lease(Area::Templates, &name()).unwrap();
    assert!(matches!(store.claim_after_others(Area::Templates, &name()).unwrap(), Claimed::InUse));
    drop(lease);
}

/// What a person moves, though it is claimed, is not there any more; what came in its place stays.
#[test]
fn only_what_was_claimed_is_retired() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    drop(publish(&store, "first"));
    let Claimed::Free(claimed) = store.claim(Area::Templates, &name()).unwrap() else { panic!("in use") };
    let path = store.entry_path(Area::Templates, &name());
    let aside = store.quarantine(&path, "damaged").unwrap().unwrap();
    let second = publish(&store, "second");
    assert!(claimed.retire(&store).unwrap().is_none());
    assert_eq!(fs::read_to_string(path.join("content")).unwrap(), "second");
    assert_eq!(fs::read_to_string(aside.join("content")).unwrap(), "first");
    drop(second);
    let Claimed::Free(claimed) = store.claim(Area::Templates, &name()).unwrap() else { panic!("in use") };
    fs::rename(&path, directory.path().join("elsewhere")).unwrap();
    assert!(claimed.retire(&store).unwrap().is_none());
    assert_eq!(fs::read_dir(directory.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn what_is_kept_is_not_used_and_not_claimed() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreDir::open(directory.path()).unwrap();
    let path = store.entry_path(Area::Templates, &name());
    assert!(store.keep(&path).unwrap().is_none());
    drop(publish(&store, "content"));
    let long_ago = SystemTime::now() - Duration::from_secs(1000);
    File::open(&path).unwrap().set_modified(long_ago).unwrap();
    let kept = store.keep(&path).unwrap().unwrap();
    assert!(matches!(store.claim(Area::Templates, &name()).unwrap(), Claimed::InUse));
    drop(kept);
    let Claimed::Free(claim) = store.claim(Area::Templates, &name()).unwrap() else { panic!("in use") };
    assert_eq!(claim.used_at(), long_ago);
    drop(claim);
    // What nobody can claim needs not be kept.
    fs::rename(&path, directory.path().join("elsewhere")).unwrap();
    for oddity in ["link", "socket"] {
        match oddity {
            "link" => std::os::unix::fs::symlink(directory.path(), &path).unwrap(),
            _ => drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
        }
        assert!(store.keep(&path).unwrap().is_none(), "{oddity}");
        assert!(store.claim(Area::Templates, &name()).is_err(), "{oddity}");
        fs::remove_file(&path).unwrap();
    }
    // Of another failure it is not known whether others have it too.
    fs::write(&path, b"").unwrap();
    assert!(store.keep(&path.join("below")).is_err());
}
