//! Moments at which a collection and something else meet, each made to happen.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use offshoot::{
    BuildOptions, CloneOptions, Collectable, CollectionOptions, CollectionOutcome, CollectionReason,
    ErrorKind, Event, KeepFree, KeptReason, Progress, PullOptions, Quiet, Store,
};
use offshoot_testkit::{Filesystem, ScratchFilesystem};

use crate::collecting::{AT_ONCE, age};
use crate::collecting_oddities::of_a_dead_session;
use crate::image::{Fixture, fixture, names, sample, vm};

/// Collects all that can go, as another process would, at every event.
struct Collecting {
    root: PathBuf,
    collections: AtomicUsize,
    in_use: AtomicUsize,
}

impl Progress for Collecting {
    fn event(&self, _event: Event) {
        let store = Store::open(&self.root).unwrap();
        let options = CollectionOptions { keep_free: Some(KeepFree::Percent(100)), ..AT_ONCE };
        let plan = store.plan_collection(&options).unwrap();
        assert!(plan.problems.is_empty(), "{:?}", plan.problems);
        for collected in store.collect(&plan).unwrap().entries {
            assert!(!matches!(collected.outcome, CollectionOutcome::Failed(_)), "{collected:?}");
        }
        let in_use = plan.kept.iter().filter(|kept| kept.reason == KeptReason::InUse);
        self.in_use.fetch_max(in_use.map(|kept| kept.count).sum(), Ordering::Relaxed);
        self.collections.fetch_add(1, Ordering::Relaxed);
    }
}

/// Between a blob or a pack and the record that names it, only the puller knows of it.
#[test]
fn a_pull_loses_nothing_to_a_collection_at_any_of_its_steps() {
    let directory = tempfile::tempdir().unwrap();
    let image = sample(&directory.path().join("image"));
    let store = Store::open(&directory.path().join("store")).unwrap();
    let collecting = Collecting {
        root: store.path().to_owned(),
        collections: AtomicUsize::new(0),
        in_use: AtomicUsize::new(0),
    };
    let pulled = store.pull(&image, &PullOptions::default(), &collecting).unwrap();
    assert!(collecting.collections.into_inner() >= 4);
    assert!(collecting.in_use.into_inner() >= 1, "a pack was there before its image's record");
    let layers: Vec<_> = pulled.layers.iter().map(|layer| layer.diff_id.hex()).collect();
    let mut packs = names(&store, "layers");
    packs.sort();
    assert!(layers.iter().all(|layer| packs.contains(layer)), "{layers:?} {packs:?}");
    for blob in [pulled.manifest_digest, pulled.config_digest] {
        assert!(store.has_blob(blob).unwrap());
    }
    // Neither does a build, whose packs could be evicted.
    let collecting = Collecting {
        root: store.path().to_owned(),
        collections: AtomicUsize::new(0),
        in_use: AtomicUsize::new(0),
    };
    let template = store.build(&image, &BuildOptions::default(), &collecting).unwrap();
    assert!(template.path.is_file() && collecting.collections.into_inner() >= 2);
}

/// What became of each entry.
fn tally(store: &Store, plan: &offshoot::CollectionPlan) -> (usize, usize, u64) {
    let collection = store.collect(plan).unwrap();
    let count = |wanted: fn(&CollectionOutcome) -> bool| {
        collection.entries.iter().filter(|collected| wanted(&collected.outcome)).count()
    };
    let removed = count(|outcome| matches!(outcome, CollectionOutcome::Removed));
    // Also what the other one is at just now, and what that refers to.
    let others = count(|outcome| matches!(outcome, CollectionOutcome::Gone | CollectionOutcome::Kept(_)));
    assert_eq!(removed + others, collection.entries.len(), "{:?}", collection.entries);
    (removed, others, collection.bytes)
}

#[test]
fn of_two_collections_each_thing_goes_with_one() {
    let Fixture { directory: _directory, store, template } = fixture();
    let reference = template.record.image.as_ref().unwrap().reference.clone();
    drop(template);
    store.remove(&reference).unwrap();
    let garbage = || {
        for number in 0..40 {
            fs::create_dir(store.path().join(format!("tmp/1f-2e-0.{number:x}"))).unwrap();
            fs::write(store.path().join(format!("locks/layers-{number}")), "").unwrap();
        }
    };
    garbage();
    // One after the other, by plans of the same moment.
    let other = Store::open(store.path()).unwrap();
    let (first, second) =
        (store.plan_collection(&AT_ONCE).unwrap(), other.plan_collection(&AT_ONCE).unwrap());
    assert_eq!((first.entries.len(), &first.entries), (85, &second.entries));
    assert_eq!(tally(&store, &first), (85, 0, first.bytes));
    assert_eq!(tally(&other, &second), (0, 85, 0), "what others freed is not this one's");
    // And at once.
    garbage();
    drop(store.build(&reference.parse().unwrap(), &BuildOptions::default(), &Quiet).unwrap());
    store.remove(&reference).unwrap();
    let (first, second) =
        (store.plan_collection(&AT_ONCE).unwrap(), other.plan_collection(&AT_ONCE).unwrap());
    let (ours, theirs) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| tally(&other, &second));
        (tally(&store, &first), theirs.join().unwrap())
    });
    assert!(ours.0 + theirs.0 <= first.entries.len(), "{ours:?} {theirs:?}");
    // What one held while the other looked is the next one's, but nothing is lost or met twice.
    let rest = store.plan_collection(&AT_ONCE).unwrap();
    assert_eq!(ours.0 + theirs.0 + rest.entries.len(), first.entries.len());
    tally(&store, &rest);
    for part in ["templates", "layers", "blobs/sha256", "tmp", "locks"] {
        assert!(names(&store, part).is_empty(), "{part}");
    }
}

#[test]
fn names_that_come_and_go_meanwhile() {
    let Fixture { directory: _directory, store, template } = fixture();
    let reference = template.record.image.as_ref().unwrap().reference.clone();
    drop(template);
    let named = |name: &str| {
        let options = BuildOptions { name: Some(name.parse().unwrap()), ..BuildOptions::default() };
        drop(store.build(&reference.parse().unwrap(), &options, &Quiet).unwrap());
    };
    // Planned as garbage, it gets a name.
    store.remove(&reference).unwrap();
    let plan = store.plan_collection(&AT_ONCE).unwrap();
    named("base");
    store.remove(&reference).unwrap();
    let of_template = |plan: &offshoot::CollectionPlan| {
        let collection = store.collect(plan).unwrap();
        let templates = collection.entries.into_iter().filter(|it| it.entry.what == Collectable::Template);
        templates.map(|collected| collected.outcome).next()
    };
    assert!(matches!(of_template(&plan), Some(CollectionOutcome::Kept(KeptReason::Named))));
    // Planned to stay, it loses its name, and with it goes itself.
    let plan = store.plan_collection(&AT_ONCE).unwrap();
    store.remove("base").unwrap();
    assert!(of_template(&plan).is_none(), "no more is done than what was planned");
    assert!(names(&store, "templates").is_empty());
    assert!(store.plan_collection(&AT_ONCE).unwrap().problems.is_empty());
    // All the time.
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let store = Store::open(store.path()).unwrap();
            let mut collections = 0;
            while !done.load(Ordering::Relaxed) || collections < 5 {
                let plan = store.plan_collection(&AT_ONCE).unwrap();
                let collection = store.collect(&plan).unwrap();
                assert!(
                    plan.problems.is_empty() && collection.problems.is_empty(),
                    "{plan:?} {collection:?}"
                );
                collections += 1;
            }
        });
        for _ in 0..10 {
            named("base");
            // A collection's look at it is no use of it.
            store.remove("base").unwrap();
        }
        done.store(true, Ordering::Relaxed);
        collector.join().unwrap();
    });
}

/// By a clock that was set back, all was used in days to come: it is as old as that is far.
#[test]
fn a_clock_that_was_set_back() {
    let Fixture { directory: _directory, store, template } = fixture();
    store.remove(&template.record.image.as_ref().unwrap().reference).unwrap();
    drop(template);
    let set = |seconds: u64| {
        let ahead = std::time::SystemTime::now() + std::time::Duration::from_secs(seconds);
        for part in ["templates", "layers", "blobs/sha256"] {
            for name in names(&store, part) {
                let path: &Path = &store.path().join(part).join(name);
                fs::File::open(path).unwrap().set_modified(ahead).unwrap();
            }
        }
    };
    let options = CollectionOptions::default();
    set(3000);
    let plan = store.plan_collection(&options).unwrap();
    assert!(plan.entries.is_empty(), "within the grace period on either side: {:?}", plan.entries);
    set(4000);
    let plan = store.plan_collection(&options).unwrap();
    assert_eq!(plan.entries.len(), 5);
    // Used by the clock that is right now: it is young, and so is noted.
    let template = names(&store, "templates").remove(0);
    drop(store.find_template(&template).unwrap());
    let collection = store.collect(&plan).unwrap();
    assert!(matches!(collection.entries[0].outcome, CollectionOutcome::Kept(KeptReason::Young)));
    assert_eq!(names(&store, "templates"), [template]);
}

#[test]
fn room_of_what_cannot_go_is_said_to_be_missing() {
    let Fixture { directory: _directory, store, template } = fixture();
    let directory = CloneOptions { as_directory: true, ..CloneOptions::default() };
    store.clone_template(&template, &vm("a"), &directory).unwrap();
    drop(template);
    for part in ["templates", "layers", "blobs/sha256"] {
        names(&store, part).iter().for_each(|name| age(&store.path().join(part).join(name), 7200));
    }
    for (keep_free, is_missing) in
        [(KeepFree::Bytes(0), false), (KeepFree::Percent(0), false), (KeepFree::Percent(100), true)]
    {
        let options = CollectionOptions { keep_free: Some(keep_free), ..CollectionOptions::default() };
        let plan = store.plan_collection(&options).unwrap();
        assert!(plan.entries.is_empty() && plan.bytes == 0, "{:?}", plan.entries);
        let room = plan.room.unwrap();
        assert_eq!(room.missing_bytes, room.wanted_bytes.saturating_sub(room.available_bytes));
        assert_eq!(room.missing_bytes > 0, is_missing, "{keep_free:?}");
        assert!(store.collect(&plan).unwrap().entries.is_empty());
    }
    // More than there are bytes to count with.
    let options = CollectionOptions { keep_free: Some(KeepFree::Bytes(u64::MAX)), ..AT_ONCE };
    let room = store.plan_collection(&options).unwrap().room.unwrap();
    assert_eq!(room.missing_bytes, u64::MAX - room.available_bytes);
}

#[test]
fn room_is_also_made_of_packs_that_templates_alone_have() {
    let Fixture { directory: _directory, store, template } = fixture();
    let reference = template.record.image.as_ref().unwrap().reference.clone();
    let options = BuildOptions { name: Some("base".parse().unwrap()), ..BuildOptions::default() };
    drop((store.build(&reference.parse().unwrap(), &options, &Quiet).unwrap(), template));
    store.remove(&reference).unwrap();
    let options = CollectionOptions { keep_free: Some(KeepFree::Percent(100)), ..AT_ONCE };
    let plan = store.plan_collection(&options).unwrap();
    let packs = plan.entries.iter().filter(|entry| entry.what == Collectable::Pack);
    assert_eq!(packs.count(), 2, "{:?}", plan.entries);
    // They come into use, so that less becomes free than was planned.
    let template = store.find_template("base").unwrap().unwrap();
    let directory = CloneOptions { as_directory: true, ..CloneOptions::default() };
    store.clone_template(&template, &vm("a"), &directory).unwrap();
    let collection = store.collect(&plan).unwrap();
    let room = collection.room.unwrap();
    assert!(collection.bytes < plan.bytes);
    // What others do on this filesystem meanwhile counts for as much as it helps.
    let counted = room.wanted_bytes - room.available_bytes - collection.bytes;
    assert!((1..=counted).contains(&room.missing_bytes), "{room:?} {counted}");
    assert_eq!(names(&store, "layers").len(), 2);
}

#[test]
fn nothing_is_evicted_where_garbage_is_enough() {
    if !Filesystem::Ext4.available() {
        return;
    }
    let scratch = ScratchFilesystem::new(Filesystem::Ext4, 256 << 20);
    let (store, template) = crate::image::store(scratch.path());
    drop(template);
    let leftover = store.path().join("tmp/1f-2e-0.3");
    fs::write(&leftover, vec![7; 32 << 20]).unwrap();
    fs::File::open(&leftover).unwrap().sync_all().unwrap();
    let plan = |keep_free| {
        let options = CollectionOptions { keep_free: Some(KeepFree::Bytes(keep_free)), ..AT_ONCE };
        store.plan_collection(&options).unwrap()
    };
    let available = plan(0).room.unwrap().available_bytes;
    let enough = plan(available + (16 << 20));
    let reasons = |plan: &offshoot::CollectionPlan| {
        plan.entries.iter().map(|entry| entry.reason).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(reasons(&enough), [CollectionReason::OwnerGone].into());
    assert_eq!(enough.room.unwrap().missing_bytes, 0);
    // A little more than the garbage has: the template, or packs, go too.
    let more = plan(available + (32 << 20) + 4096);
    assert_eq!(reasons(&more), [CollectionReason::OwnerGone, CollectionReason::RoomWanted].into());
    assert_eq!(more.room.unwrap().missing_bytes, 0);
    store.collect(&more).unwrap();
    assert!(!leftover.exists());
}

/// Of two that want the same room, who comes second finds it made.
#[test]
fn room_that_others_made_is_there() {
    if !Filesystem::Ext4.available() {
        return;
    }
    let scratch = ScratchFilesystem::new(Filesystem::Ext4, 256 << 20);
    let (store, template) = crate::image::store(scratch.path());
    drop(template);
    let leftovers = ["3", "4"].map(|number| store.path().join("tmp/1f-2e-0").with_extension(number));
    for leftover in &leftovers {
        fs::write(leftover, vec![7; 32 << 20]).unwrap();
        fs::File::open(leftover).unwrap().sync_all().unwrap();
    }
    let available = rustix::fs::statvfs(scratch.path()).map(|it| it.f_bavail * it.f_frsize).unwrap();
    let keep_free = Some(KeepFree::Bytes(available + (48 << 20)));
    let plan = || store.plan_collection(&CollectionOptions { keep_free, ..AT_ONCE }).unwrap();
    let (first, second) = (plan(), plan());
    let missing = |plan| store.collect(plan).unwrap().room.unwrap().missing_bytes;
    assert_eq!((first.entries.len(), first.room.unwrap().missing_bytes), (2, 0));
    // One goes by itself.
    fs::remove_file(&leftovers[0]).unwrap();
    assert_eq!([missing(&first), missing(&second)], [0, 0]);
    // What others wrote is in the way as it was.
    fs::write(scratch.path().join("other"), vec![7; 32 << 20]).unwrap();
    fs::File::open(scratch.path().join("other")).unwrap().sync_all().unwrap();
    assert!((8 << 20..32 << 20).contains(&missing(&second)));
}

#[test]
fn what_only_a_dead_session_needs_goes_with_it() {
    let Fixture { directory: _directory, store, template } = fixture();
    let reference = template.record.image.as_ref().unwrap().reference.clone();
    let directory = CloneOptions { as_directory: true, ..CloneOptions::default() };
    let clone = store.clone_template(&template, &vm("a"), &directory).unwrap();
    drop(template);
    of_a_dead_session(&clone);
    fs::remove_file(store.path().join("images").join(&names(&store, "images")[0])).unwrap();
    assert_eq!(store.remove(&reference).unwrap_err().kind(), ErrorKind::NotFound);
    let plan = crate::collecting::collect(&store);
    assert_eq!(plan.entries.len(), 6, "all at once: {:?}", plan.entries);
    for part in ["clones", "templates", "layers", "blobs/sha256", "tmp"] {
        assert!(names(&store, part).is_empty(), "{part}");
    }
}

#[test]
fn a_dead_sessions_clone_is_looked_at_again() {
    let Fixture { directory: _directory, store, template } = fixture();
    let options = CloneOptions::default();
    let outcome = |plan: &offshoot::CollectionPlan| {
        let clones = store.collect(plan).unwrap().entries.into_iter();
        clones.filter(|it| it.entry.what == Collectable::Clone).map(|it| it.outcome).next().unwrap()
    };
    let clone = store.clone_template(&template, &vm("a"), &options).unwrap();
    of_a_dead_session(&clone);
    let plan = store.plan_collection(&AT_ONCE).unwrap();
    // Somebody is at work on it.
    let key = store.path().join("locks/clones-a");
    let working = fs::File::create(&key).unwrap();
    working.lock().unwrap();
    assert!(matches!(outcome(&plan), CollectionOutcome::Kept(KeptReason::InUse)));
    drop(working);
    fs::remove_file(key).unwrap();
    // It is released, and its id is somebody else's.
    store.release(&vm("a")).unwrap();
    assert!(matches!(outcome(&plan), CollectionOutcome::Gone));
    store.clone_template(&template, &vm("a"), &options).unwrap();
    assert!(matches!(outcome(&plan), CollectionOutcome::Kept(KeptReason::NotReleased)));
    store.release(&vm("a")).unwrap();
    let session = store.clone_for_session(&template, &vm("a"), &options).unwrap();
    assert!(matches!(outcome(&plan), CollectionOutcome::Kept(KeptReason::InUse)));
    assert!(session.path.exists());
}
