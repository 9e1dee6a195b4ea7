//! What a collection takes, what it leaves, and why.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use offshoot::{
    BuildOptions, CloneOptions, Collectable, CollectionOptions, CollectionOutcome, CollectionPlan,
    CollectionReason, Digest, Error, ErrorKind, KeepFree, KeptReason, Quiet, Store, Strategy, Template,
};

use crate::image::{Fixture, fixture, names, vm};

pub(crate) const AT_ONCE: CollectionOptions =
    CollectionOptions { grace: Duration::ZERO, keep_free: None, quarantine: false };

/// What goes, and why.
fn going(plan: &CollectionPlan) -> Vec<(Collectable, CollectionReason)> {
    plan.entries.iter().map(|entry| (entry.what, entry.reason)).collect()
}

fn kept(plan: &CollectionPlan, what: Collectable) -> Vec<(KeptReason, usize)> {
    plan.kept.iter().filter(|kept| kept.what == what).map(|kept| (kept.reason, kept.count)).collect()
}

/// Carries out a plan of all that is garbage now; all of it must go.
pub(crate) fn collect(store: &Store) -> CollectionPlan {
    let plan = store.plan_collection(&AT_ONCE).unwrap();
    assert!(plan.problems.is_empty(), "{:?}", plan.problems);
    for collected in store.collect(&plan).unwrap().entries {
        assert!(matches!(collected.outcome, CollectionOutcome::Removed), "{collected:?}");
    }
    plan
}

/// The same image with another name for what is built of it.
fn named(store: &Store, template: &Template, name: &str) -> Template {
    let reference = template.record.image.as_ref().unwrap().reference.clone();
    let options = BuildOptions { name: Some(name.parse().unwrap()), ..BuildOptions::default() };
    store.build(&reference.parse().unwrap(), &options, &Quiet).unwrap()
}

/// As if it had not been used for that long.
pub(crate) fn age(path: &Path, seconds: u64) {
    File::open(path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

#[test]
fn what_is_of_an_image_stays_until_the_image_is_removed() {
    let Fixture { directory: _directory, store, template } = fixture();
    let reference = template.record.image.as_ref().unwrap().reference.clone();
    drop(template);
    let plan = collect(&store);
    assert_eq!(going(&plan), []);
    assert_eq!(kept(&plan, Collectable::Template), [(KeptReason::OfAnImage, 1)]);
    assert_eq!(kept(&plan, Collectable::Pack), [(KeptReason::OfAnImage, 2)]);
    assert_eq!(kept(&plan, Collectable::Blob), [(KeptReason::OfAnImage, 2)]);
    store.remove(&reference).unwrap();
    let plan = collect(&store);
    assert_eq!(
        going(&plan),
        [
            (Collectable::Template, CollectionReason::Outdated),
            (Collectable::Pack, CollectionReason::Unreferenced),
            (Collectable::Pack, CollectionReason::Unreferenced),
            (Collectable::Blob, CollectionReason::Unreferenced),
            (Collectable::Blob, CollectionReason::Unreferenced),
        ]
    );
    assert!(plan.bytes > 100_000, "{plan:?}");
    for part in ["templates", "layers", "blobs/sha256", "tmp", "locks"] {
        assert!(names(&store, part).is_empty(), "{part}");
    }
    assert_eq!(store.remove(&reference).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn what_is_used_or_named_or_stood_on_stays() {
    let Fixture { directory: _directory, store, template } = fixture();
    let reference = template.record.image.as_ref().unwrap().reference.clone();
    store.remove(&reference).unwrap();
    // Held by this very process.
    let plan = collect(&store);
    assert_eq!(kept(&plan, Collectable::Template), [(KeptReason::InUse, 1)]);
    assert_eq!(kept(&plan, Collectable::Pack), [(KeptReason::OfATemplate, 2)]);
    let again = template.clone();
    drop(template);
    assert_eq!(kept(&collect(&store), Collectable::Template), [(KeptReason::InUse, 1)]);
    store.clone_template(&again, &vm("a"), &CloneOptions::default()).unwrap();
    drop(again);
    let plan = collect(&store);
    assert_eq!(kept(&plan, Collectable::Template), [(KeptReason::Cloned, 1)]);
    assert_eq!(kept(&plan, Collectable::Clone), [(KeptReason::NotReleased, 1)]);
    store.snapshot(&vm("a"), &"kept".parse().unwrap()).unwrap();
    store.release(&vm("a")).unwrap();
    let plan = collect(&store);
    // What the snapshot came from is not needed by it.
    assert_eq!(kept(&plan, Collectable::Template), [(KeptReason::Named, 1)]);
    assert_eq!(kept(&plan, Collectable::Pack), []);
    assert!(store.find_template("kept").unwrap().is_some());
    store.remove("kept").unwrap();
    assert!(names(&store, "templates").is_empty());
}

#[test]
fn a_snapshot_whose_name_has_moved_on_goes() {
    let Fixture { directory: _directory, store, template } = fixture();
    store.clone_template(&template, &vm("a"), &CloneOptions::default()).unwrap();
    let first = store.snapshot(&vm("a"), &"snapshot".parse().unwrap()).unwrap().record.id;
    store.snapshot(&vm("a"), &"snapshot".parse().unwrap()).unwrap();
    let plan = collect(&store);
    assert_eq!(going(&plan), [(Collectable::Template, CollectionReason::Outdated)]);
    drop(template);
    assert_eq!(plan.entries[0].id, first.to_string());
}

#[test]
fn what_was_used_lately_stays() {
    let Fixture { directory: _directory, store, template } = fixture();
    store.remove(&template.record.image.as_ref().unwrap().reference).unwrap();
    let directory = template.path.parent().unwrap().to_owned();
    let all = template.clone();
    drop((template, all));
    let options = CollectionOptions::default();
    let plan = store.plan_collection(&options).unwrap();
    assert_eq!(going(&plan), []);
    assert_eq!(kept(&plan, Collectable::Template), [(KeptReason::Young, 1)]);
    assert_eq!(kept(&plan, Collectable::Blob), [(KeptReason::Young, 2)]);
    age(&directory, 3700);
    let plan = store.plan_collection(&options).unwrap();
    assert_eq!(going(&plan), [(Collectable::Template, CollectionReason::Outdated)]);
    // To look at it is to use it.
    let id = directory.file_name().unwrap().to_str().unwrap();
    drop(store.find_template(id).unwrap());
    let outcome = &store.collect(&plan).unwrap().entries[0].outcome;
    assert!(matches!(outcome, CollectionOutcome::Kept(KeptReason::Young)), "{outcome:?}");
    // By a clock that was wrong, it will be used in two hours.
    File::open(&directory).unwrap().set_modified(SystemTime::now() + Duration::from_secs(7200)).unwrap();
    assert_eq!(store.plan_collection(&options).unwrap().entries.len(), 1);
}

/// What became of the templates and packs of a plan.
fn outcomes(store: &Store, plan: &CollectionPlan) -> Vec<Option<KeptReason>> {
    let entries = store.collect(plan).unwrap().entries.into_iter();
    let entries = entries.filter(|collected| collected.entry.what != Collectable::Blob);
    let outcomes = entries.map(|collected| match collected.outcome {
        CollectionOutcome::Kept(reason) => Some(reason),
        CollectionOutcome::Removed => None,
        outcome => panic!("{outcome:?}"),
    });
    outcomes.collect()
}

#[test]
fn what_came_into_use_after_the_plan_was_made_stays() {
    let Fixture { directory: _directory, store, template } = fixture();
    let reference = template.record.image.as_ref().unwrap().reference.clone();
    store.remove(&reference).unwrap();
    let id = template.record.id.to_string();
    drop(template);
    let plan = store.plan_collection(&AT_ONCE).unwrap();
    assert_eq!(plan.entries.len(), 5);
    let of_template = Some(KeptReason::OfATemplate);
    let held = store.find_template(&id).unwrap().unwrap();
    assert_eq!(outcomes(&store, &plan), [Some(KeptReason::InUse), of_template, of_template]);
    store.clone_template(&held, &vm("a"), &CloneOptions::default()).unwrap();
    drop(held);
    assert_eq!(outcomes(&store, &plan), [Some(KeptReason::Cloned), of_template, of_template]);
    store.release(&vm("a")).unwrap();
    let of_image = Some(KeptReason::OfAnImage);
    drop(store.build(&reference.parse().unwrap(), &BuildOptions::default(), &Quiet).unwrap());
    assert_eq!(outcomes(&store, &plan), [of_image; 3]);
    store.remove(&reference).unwrap();
    assert_eq!(outcomes(&store, &plan), [None; 3]);
}

#[test]
fn an_image_that_moved_on_leaves_its_template_behind() {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().join("files");
    fs::create_dir(&files).unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let image = format!("dir:{}", files.display()).parse().unwrap();
    let build = |content: &str| {
        fs::write(files.join("file"), content).unwrap();
        store.build(&image, &BuildOptions::default(), &Quiet).unwrap().record.id
    };
    let first = build("first");
    assert_eq!(going(&collect(&store)), []);
    let second = build("second");
    let plan = collect(&store);
    let expected = [Collectable::Template, Collectable::Pack, Collectable::Blob, Collectable::Blob];
    assert_eq!(plan.entries.iter().map(|entry| entry.what).collect::<Vec<_>>(), expected);
    assert_eq!(plan.entries[0].id, first.to_string());
    assert!(store.find_template(&second.to_string()).unwrap().is_some());
}

#[test]
fn what_cannot_be_read_keeps_all_that_it_may_speak_of() {
    /// A record that is made unreadable, and what goes all the same.
    type Case<'a> = (&'a str, fn(&str) -> String, &'a [Collectable]);
    let record = |name: &str| format!("templates/{name}/template.json");
    let blobs: &[_] = &[Collectable::Blob, Collectable::Blob];
    let cases: [Case<'_>; 4] = [
        ("clone", |_| "clones/a/clone.json".to_owned(), blobs),
        ("name", |_| "names/base.json".to_owned(), blobs),
        ("image", |_| "images/x.json".to_owned(), &[]),
        ("template", record, blobs),
    ];
    for (what, path, expected) in cases {
        let Fixture { directory: _directory, store, template } = fixture();
        let id = template.record.id.to_string();
        store.remove(&template.record.image.as_ref().unwrap().reference).unwrap();
        drop(template);
        let path = store.path().join(path(&id));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "{").unwrap();
        let plan = store.plan_collection(&AT_ONCE).unwrap();
        assert_eq!(plan.entries.iter().map(|entry| entry.what).collect::<Vec<_>>(), expected, "{what}");
        assert_eq!(plan.problems.len(), 1, "{what}");
        assert!(plan.problems[0].to_string().contains(path.to_str().unwrap()), "{:?}", plan.problems);
        assert_eq!(plan.problems[0].kind(), ErrorKind::Integrity);
        store.collect(&plan).unwrap();
        assert_eq!(names(&store, "templates"), std::slice::from_ref(&id), "{what}");
        assert_eq!(names(&store, "layers").len(), 2, "{what}");
        if what != "image" {
            let removed = store.remove(&id);
            assert_eq!(removed.unwrap_err().kind(), ErrorKind::Integrity, "{what}");
        }
        // A plan that was made before it became unreadable is not carried out either.
        fs::remove_file(&path).unwrap();
        if what == "clone" {
            let plan = store.plan_collection(&AT_ONCE).unwrap();
            assert!(matches!(plan.problems[..], [Error::NoRecord { .. }]), "{:?}", plan.problems);
            fs::remove_dir(path.parent().unwrap()).unwrap();
        }
        if what != "template" {
            let plan = store.plan_collection(&AT_ONCE).unwrap();
            assert!(!plan.entries.is_empty());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "{").unwrap();
            assert_eq!(outcomes(&store, &plan)[..1], [Some(KeptReason::Unjudged)], "{what}");
        }
    }
}

#[test]
fn what_dead_processes_left_goes_at_once_and_what_live_ones_have_stays() {
    let Fixture { directory: _directory, store, template } = fixture();
    let root = store.path().to_owned();
    fs::create_dir_all(root.join("tmp/1f-2e-0.3/deep/er")).unwrap();
    fs::write(root.join("tmp/1f-2e-0.4"), "a record").unwrap();
    fs::create_dir(root.join("tmp/of-no-form-that-is-known")).unwrap();
    fs::write(root.join("locks/layers-x"), "").unwrap();
    fs::write(root.join("owners/1f-2e-0"), "").unwrap();
    fs::write(root.join("downloads/x.partial"), "half").unwrap();
    fs::write(root.join("downloads/y.partial"), "half").unwrap();
    age(&root.join("downloads/x.partial"), 3700);
    let held = File::open(root.join("downloads/y.partial")).unwrap();
    age(&root.join("downloads/y.partial"), 3700);
    held.lock().unwrap();
    let lock = File::create(root.join("locks/layers-y")).unwrap();
    lock.lock().unwrap();
    // This process is alive, and so is what it makes.
    let owner = names(&store, "owners").into_iter().find(|name| name != "1f-2e-0").unwrap();
    fs::create_dir(root.join(format!("tmp/{owner}.ff"))).unwrap();
    let plan = store.plan_collection(&CollectionOptions::default()).unwrap();
    store.collect(&plan).unwrap();
    assert_eq!(plan.entries.len(), 6, "{:?}", plan.entries);
    assert_eq!(names(&store, "tmp"), [format!("{owner}.ff")]);
    assert_eq!(names(&store, "locks"), ["layers-y"]);
    assert_eq!(names(&store, "owners"), [owner]);
    assert_eq!(names(&store, "downloads"), ["y.partial"]);
    drop((held, template));
    let plan = store.plan_collection(&CollectionOptions::default()).unwrap();
    assert_eq!(going(&plan), [(Collectable::Download, CollectionReason::NotContinued)]);
    fs::write(root.join("downloads/y.partial"), "more").unwrap();
    let plan = store.plan_collection(&CollectionOptions::default()).unwrap();
    assert_eq!(kept(&plan, Collectable::Download), [(KeptReason::Young, 1)]);
}

#[test]
fn digests_go_with_their_files() {
    let Fixture { directory: _directory, store, template } = fixture();
    let old = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    store.file_digest(old).unwrap();
    assert_eq!(going(&collect(&store)), []);
    // Its file is another one now, or so it says.
    let record = store.path().join("digests").join(&names(&store, "digests")[0]);
    let text = fs::read_to_string(&record).unwrap();
    let text = text.replace("size_bytes\": ", "size_bytes\": 9");
    // One without a checksum is believed.
    fs::write(&record, text.replace("\"checksum\"", "\"without\"")).unwrap();
    assert_eq!(going(&collect(&store)), [(Collectable::Digest, CollectionReason::FileChanged)]);
    assert!(names(&store, "digests").is_empty());
    drop(template);
}

#[test]
fn quarantine_is_asked_for() {
    let Fixture { directory: _directory, store, template } = fixture();
    let reference = template.record.image.as_ref().unwrap().reference.clone();
    let options = CloneOptions { strategy: Some(Strategy::Qcow2), ..CloneOptions::default() };
    for (id, damage) in [("a", "rootfs.qcow2"), ("b", "clone.json")] {
        let clone = store.clone_template(&template, &vm(id), &options).unwrap();
        if damage == "clone.json" {
            fs::write(clone.path.with_file_name(damage), "{").unwrap();
        } else {
            fs::write(&clone.path, "no overlay").unwrap();
        }
        let recreate = CloneOptions { recreate: true, ..options.clone() };
        store.clone_template(&template, &vm(id), &recreate).unwrap();
        store.release(&vm(id)).unwrap();
    }
    drop(template);
    store.remove(&reference).unwrap();
    let plan = collect(&store);
    assert_eq!(kept(&plan, Collectable::Quarantine), [(KeptReason::NotAskedFor, 2)]);
    // What is left in them can only be read on their template.
    assert_eq!(kept(&plan, Collectable::Template), [(KeptReason::Quarantined, 1)]);
    // In the order of time: the one whose record says nothing is the last to go.
    let mut quarantined = names(&store, "quarantine");
    quarantined.sort();
    for name in quarantined {
        let asked = CollectionOptions { quarantine: true, ..CollectionOptions::default() };
        let plan = store.plan_collection(&asked).unwrap();
        assert!(kept(&plan, Collectable::Quarantine).iter().all(|(reason, _)| *reason == KeptReason::Young));
        let path = store.path().join("quarantine").join(name);
        age(&path, 3700);
        let plan = store.plan_collection(&asked).unwrap();
        assert_eq!(plan.entries[0].path, path);
        store.collect(&plan).unwrap();
        assert!(!path.exists());
        if !names(&store, "quarantine").is_empty() {
            assert_eq!(kept(&collect(&store), Collectable::Template), [(KeptReason::Quarantined, 1)]);
        }
    }
    collect(&store);
    assert!(names(&store, "templates").is_empty());
}

#[test]
fn room_is_made_of_what_was_not_used_for_longest() {
    let Fixture { directory: _directory, store, template } = fixture();
    let named = named(&store, &template, "base");
    assert_eq!(named.record.id, template.record.id);
    let other = BuildOptions { size: offshoot::DiskSize::Bytes(32 << 20), ..BuildOptions::default() };
    let reference = template.record.image.as_ref().unwrap().reference.parse().unwrap();
    let other = store.build(&reference, &other, &Quiet).unwrap();
    let packs: Vec<_> =
        names(&store, "layers").iter().map(|name| store.path().join("layers").join(name)).collect();
    let unnamed = other.path.parent().unwrap().to_owned();
    drop((template, named, other));
    age(&unnamed, 7200);
    packs.iter().zip([9000, 8000]).for_each(|(pack, seconds)| age(pack, seconds));
    let plan = |keep_free| {
        let options = CollectionOptions { keep_free: Some(keep_free), ..CollectionOptions::default() };
        store.plan_collection(&options).unwrap()
    };
    assert!(plan(KeepFree::Bytes(0)).entries.is_empty());
    let all = plan(KeepFree::Percent(100));
    assert_eq!(all.entries.len(), 3);
    assert!(all.entries.iter().all(|entry| entry.reason == CollectionReason::RoomWanted));
    let paths: Vec<_> = all.entries.iter().map(|entry| entry.path.clone()).collect();
    assert_eq!(paths, [&packs[0], &packs[1], &unnamed].map(Clone::clone));
    let room = all.room.unwrap();
    assert_eq!(room.missing_bytes, room.wanted_bytes - room.available_bytes - all.bytes);
    // A template that has a name is not made room of, and neither is what was used a moment ago.
    assert_eq!(kept(&all, Collectable::Template), [(KeptReason::Named, 1)]);
    drop(store.find_template(unnamed.file_name().unwrap().to_str().unwrap()).unwrap());
    assert_eq!(plan(KeepFree::Percent(100)).entries.len(), 2);
    age(&packs[1], 0);
    let little = plan(KeepFree::Percent(100));
    assert_eq!(little.entries.iter().map(|entry| &entry.path).collect::<Vec<_>>(), [&packs[0]]);
    // The template that was built from it still stands.
    store.collect(&little).unwrap();
    assert!(!packs[0].exists());
    let template = store.find_template("base").unwrap().unwrap();
    store.clone_template(&template, &vm("a"), &CloneOptions::default()).unwrap();
    let directory = CloneOptions { as_directory: true, ..CloneOptions::default() };
    let error = store.clone_template(&template, &vm("b"), &directory).unwrap_err();
    assert!(matches!(error, Error::NoPack { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // To build it again is to pull it again.
    store.build(&reference, &BuildOptions::default(), &Quiet).unwrap();
    store.clone_template(&template, &vm("b"), &directory).unwrap();
    // What a clone is written anew from when it is reset is never made room of.
    packs.iter().for_each(|pack| age(pack, 9000));
    assert_eq!(kept(&plan(KeepFree::Percent(100)), Collectable::Pack), [(KeptReason::Cloned, 2)]);
}

#[test]
fn what_is_removed_is_what_was_named() {
    let Fixture { directory: _directory, store, template } = fixture();
    let reference = template.record.image.as_ref().unwrap().reference.clone();
    let id = template.record.id.to_string();
    drop(named(&store, &template, "first"));
    drop(named(&store, &template, "second"));
    store.clone_template(&template, &vm("a"), &CloneOptions::default()).unwrap();
    drop(template);
    let stood_on = |name: &str| {
        let error = store.remove(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("the clone a stands on it"), "{error}");
        assert!(matches!(error, Error::StoodOn { clones, .. } if clones == [vm("a")]));
    };
    stood_on(&id);
    stood_on(&reference);
    // There is another one.
    store.remove("first").unwrap();
    stood_on("second");
    assert_eq!(store.remove("first").unwrap_err().kind(), ErrorKind::NotFound);
    store.release(&vm("a")).unwrap();
    let held = store.find_template("second").unwrap().unwrap();
    assert!(matches!(store.remove(&id), Err(Error::TemplateInUse { .. })));
    // Whoever has it keeps it, without its name.
    store.remove("second").unwrap();
    assert!(names(&store, "names").is_empty());
    assert!(held.path.exists());
    drop(held);
    store.remove(&id).unwrap();
    assert!(names(&store, "templates").is_empty());
    assert_eq!(store.remove(&id).unwrap_err().kind(), ErrorKind::NotFound);
    store.remove(&reference).unwrap();
    assert!(names(&store, "images").is_empty());
    assert_eq!(store.remove("base").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.remove("").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(names(&store, "layers").len(), 2, "they are left to a collection");
}

#[test]
fn of_many_clones_an_error_names_some() {
    let Fixture { directory: _directory, store, template } = fixture();
    let ids: Vec<_> = (10..25).map(|number| vm(&format!("vm-{number}"))).collect();
    for id in &ids {
        store.clone_template(&template, id, &CloneOptions::default()).unwrap();
    }
    let id = template.record.id.to_string();
    drop(template);
    let error = store.remove(&id).unwrap_err();
    assert!(error.to_string().contains("vm-18, vm-19 and 5 more stand on it"), "{error}");
    assert!(matches!(error, Error::StoodOn { clones, .. } if clones == ids));
}

#[test]
fn a_name_that_stands_for_nothing_is_removed() {
    let Fixture { directory: _directory, store, template } = fixture();
    let template = named(&store, &template, "base");
    fs::remove_dir_all(template.path.parent().unwrap()).unwrap();
    assert_eq!(store.find_template("base").unwrap(), None);
    store.remove("base").unwrap();
    assert!(names(&store, "names").is_empty());
}

#[test]
fn a_blob_of_no_image_goes() {
    let Fixture { directory: _directory, store, template } = fixture();
    store.put_blob(Digest::of(b"{}"), b"{}").unwrap();
    assert_eq!(going(&collect(&store)), [(Collectable::Blob, CollectionReason::Unreferenced)]);
    let options = BuildOptions::default();
    let reference = template.record.image.as_ref().unwrap().reference.parse().unwrap();
    assert_eq!(store.build(&reference, &options, &Quiet).unwrap(), template);
}
