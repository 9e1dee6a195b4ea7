//! A collection of a store in which something is what nothing of ours makes.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::Duration;

use offshoot::{
    BuildOptions, Clone, CloneOptions, Collectable, CollectionOptions, CollectionOutcome, CollectionReason,
    Digest, Error, ErrorKind, KeepFree, KeptReason, Quiet, Store, Strategy, Template,
};
use offshoot_testkit::oracle;

use crate::collecting::{AT_ONCE, age};
use crate::image::{Fixture, fixture, names, vm};

fn pipe(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    oracle::run(oracle::command("mkfifo").arg(path));
}

/// Something that is garbage whatever else there is.
const GARBAGE: &str = "tmp/1f-2e-0.3";

#[test]
fn what_cannot_be_opened_is_told_and_all_else_is_done() {
    type Plant = fn(&Path);
    let link: Plant = |path| symlink("/etc", path).unwrap();
    let zeros = "0".repeat(64);
    let entry = |area: &str| format!("{area}/{zeros}");
    let cases: [(String, Plant, Option<Collectable>); 13] = [
        (entry("layers"), link, Some(Collectable::Pack)),
        (entry("templates"), link, Some(Collectable::Template)),
        (entry("templates"), |path| symlink(path, path).unwrap(), Some(Collectable::Template)),
        (entry("blobs/sha256"), link, Some(Collectable::Blob)),
        (entry("blobs/sha256"), |path| symlink(path, path).unwrap(), Some(Collectable::Blob)),
        ("locks/x".to_owned(), link, None),
        ("downloads/x.partial".to_owned(), link, None),
        ("clones/x".to_owned(), |path| symlink("nowhere", path).unwrap(), None),
        ("clones/x/clone.json".to_owned(), pipe, None),
        ("names/x.json".to_owned(), pipe, None),
        ("images/x.json".to_owned(), pipe, None),
        ("digests/x.json".to_owned(), pipe, None),
        ("quarantine/x/y/clone.json".to_owned(), pipe, None),
    ];
    for (path, plant, unjudged) in cases {
        let Fixture { directory: _directory, store, template } = fixture();
        drop(template);
        plant(&store.path().join(&path));
        fs::create_dir(store.path().join(GARBAGE)).unwrap();
        let plan = store.plan_collection(&AT_ONCE).unwrap();
        assert_eq!(plan.problems.len(), 1, "{path}: {:?}", plan.problems);
        assert!(
            plan.problems.iter().all(|problem| problem.to_string().contains(store.path().to_str().unwrap()))
        );
        let kept =
            |what| plan.kept.iter().any(|kept| kept.what == what && kept.reason == KeptReason::Unjudged);
        assert!(unjudged.is_none_or(kept), "{path}: {:?}", plan.kept);
        let collection = store.collect(&plan).unwrap();
        assert!(collection.problems.is_empty(), "{path}: they are told once: {:?}", collection.problems);
        assert!(!store.path().join(GARBAGE).exists(), "{path}");
        assert!(fs::symlink_metadata(store.path().join(&path)).is_ok(), "{path}");
        assert_eq!(names(&store, "templates").len(), 1 + usize::from(path.starts_with("templates")));
        store.usage().unwrap();
    }
}

/// A clone of a session whose process is gone.
pub(crate) fn of_a_dead_session(clone: &Clone) {
    let record = clone.path.with_file_name("clone.json");
    let text = fs::read_to_string(&record).unwrap();
    let text = text.replacen('{', "{\"session\": \"1f-2e-0.7\",", 1).replace("\"checksum\"", "\"without\"");
    fs::write(&record, text).unwrap();
}

#[test]
fn a_session_whose_owner_cannot_be_looked_at_stays() {
    let Fixture { directory: _directory, store, template } = fixture();
    let clone = store.clone_template(&template, &vm("a"), &CloneOptions::default()).unwrap();
    of_a_dead_session(&clone);
    let owner = store.path().join("owners/1f-2e-0");
    symlink("/etc/passwd", &owner).unwrap();
    let plan = store.plan_collection(&AT_ONCE).unwrap();
    // It is met as a lock, and as whose the session is.
    assert_eq!(plan.problems.len(), 1, "{:?}", plan.problems);
    assert!(plan.entries.is_empty(), "{:?}", plan.entries);
    fs::remove_file(owner).unwrap();
    let plan = store.plan_collection(&AT_ONCE).unwrap();
    assert_eq!(plan.entries[0].what, Collectable::Clone);
    store.collect(&plan).unwrap();
    assert!(names(&store, "clones").is_empty());
}

/// Of what is in quarantine and cannot be read, nobody knows what it stands on.
#[test]
fn a_quarantine_that_cannot_be_read_keeps_templates() {
    for file in ["clone.json", "rootfs.qcow2"] {
        let Fixture { directory: _directory, store, template } = fixture();
        let reference = template.record.image.as_ref().unwrap().reference.clone();
        drop(template);
        store.remove(&reference).unwrap();
        pipe(&store.path().join("quarantine/x/vm").join(file));
        let plan = store.plan_collection(&AT_ONCE).unwrap();
        assert_eq!(plan.problems.len(), 1, "{file}: {:?}", plan.problems);
        assert_eq!(plan.problems[0].kind(), ErrorKind::Integrity, "{file}");
        store.collect(&plan).unwrap();
        assert_eq!(names(&store, "templates").len(), 1, "{file}");
        // What is damaged in another way is no problem: it is there because it is.
        fs::remove_file(store.path().join("quarantine/x/vm").join(file)).unwrap();
        fs::write(store.path().join("quarantine/x/vm").join(file), "{").unwrap();
        fs::write(store.path().join("quarantine/stray"), "").unwrap();
        crate::collecting::collect(&store);
        assert!(names(&store, "templates").is_empty(), "{file}");
    }
}

#[test]
fn a_pipe_for_a_record_keeps_nobody_waiting() {
    let Fixture { directory: _directory, store, template } = fixture();
    let options = CloneOptions { strategy: Some(Strategy::Copy), ..CloneOptions::default() };
    let clone = store.clone_template(&template, &vm("a/b"), &options).unwrap();
    let record = clone.path.with_file_name("clone.json");
    fs::remove_file(&record).unwrap();
    pipe(&record);
    fs::remove_file(&clone.path).unwrap();
    pipe(&clone.path);
    let usage = store.usage().unwrap();
    assert!(usage.items.iter().any(|item| item.name == "a%2Fb"), "{:?}", usage.items);
    let id = template.record.id.to_string();
    drop(template);
    assert_eq!(store.remove(&id).unwrap_err().kind(), ErrorKind::Integrity);
    store.release(&vm("a/b")).unwrap();
    store.remove(&id).unwrap();
}

#[test]
fn a_problem_is_told_once_however_often_it_is_met() {
    let Fixture { directory: _directory, store, template } = fixture();
    drop(template);
    // More than are looked at together.
    for number in 0..140u32 {
        let bytes = number.to_be_bytes();
        store.put_blob(Digest::of(&bytes), &bytes).unwrap();
    }
    let plan = store.plan_collection(&AT_ONCE).unwrap();
    assert_eq!(plan.entries.len(), 140);
    fs::write(store.path().join("names/x.json"), "{").unwrap();
    fs::write(store.path().join("names/y.json"), "{").unwrap();
    let collection = store.collect(&plan).unwrap();
    assert_eq!(collection.problems.len(), 2, "{:?}", collection.problems);
    // What fails in another way than when it was planned is told.
    store.put_blob(Digest::of(b"{}"), b"{}").unwrap();
    let plan = store.plan_collection(&AT_ONCE).unwrap();
    assert_eq!((plan.entries.len(), plan.problems.len()), (1, 2), "{plan:?}");
    fs::write(store.path().join("names/x.json"), "[]").unwrap();
    let later = store.collect(&plan).unwrap().problems;
    assert_eq!(later.len(), 1, "{later:?}");
    assert_eq!(later[0].to_string(), plan.problems[0].to_string());
    assert!(collection.entries.iter().all(|entry| matches!(entry.outcome, CollectionOutcome::Removed)));
}

#[test]
fn a_blob_that_is_put_again_is_used() {
    let Fixture { directory: _directory, store, template: _template } = fixture();
    let digest = store.put_blob(Digest::of(b"{}"), b"{}").unwrap();
    let path = store.path().join("blobs/sha256").join(digest.hex());
    age(&path, 7200);
    let options = CollectionOptions::default();
    let old = store.plan_collection(&options).unwrap();
    assert_eq!(old.entries.len(), 1);
    store.put_blob(digest, b"{}").unwrap();
    assert!(store.plan_collection(&options).unwrap().entries.is_empty());
    // The grace period is looked at again when the plan is carried out.
    let outcome = &store.collect(&old).unwrap().entries[0].outcome;
    assert!(matches!(outcome, CollectionOutcome::Kept(KeptReason::Young)), "{outcome:?}");
    assert!(path.exists());
    let soon = CollectionOptions { grace: Duration::from_secs(1), ..options };
    age(&path, 2);
    assert_eq!(store.plan_collection(&soon).unwrap().entries.len(), 1);
    // What is no file makes way.
    fs::remove_file(&path).unwrap();
    pipe(&path);
    assert_eq!(store.blob(digest).unwrap_err().kind(), ErrorKind::Integrity);
    store.put_blob(digest, b"{}").unwrap();
    assert_eq!(store.blob(digest).unwrap().unwrap(), b"{}");
}

#[test]
fn what_a_build_would_not_make_any_more_is_outdated() {
    type Change = fn(&Path, &Path);
    let cases: [(&str, Change); 2] = [
        ("another writer made it", |_, record| {
            let text = fs::read_to_string(record).unwrap();
            let text = text.replace("\"writer_version\": ", "\"writer_version\": 9");
            fs::write(record, text.replace("\"checksum\"", "\"without\"")).unwrap();
        }),
        ("the image has another config, and the same layers", |images, _| {
            let record = fs::read_dir(images).unwrap().next().unwrap().unwrap().path();
            let mut image: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
            image["config_digest"] = Digest::of(b"another").to_string().into();
            image.as_object_mut().unwrap().remove("checksum");
            fs::write(record, serde_json::to_vec(&image).unwrap()).unwrap();
        }),
    ];
    for (what, change) in cases {
        let Fixture { directory: _directory, store, template } = fixture();
        assert!(store.plan_collection(&AT_ONCE).unwrap().entries.is_empty());
        change(&store.path().join("images"), &template.path.with_file_name("template.json"));
        drop(template);
        let plan = store.plan_collection(&AT_ONCE).unwrap();
        assert!(plan.problems.is_empty(), "{what}: {:?}", plan.problems);
        assert_eq!(plan.entries[0].reason, CollectionReason::Outdated, "{what}");
        let packs = plan.entries.iter().filter(|entry| entry.what == Collectable::Pack);
        assert_eq!(packs.count(), 0, "{what}: the image has them still");
    }
}

#[test]
fn the_digest_of_a_disk_goes_with_the_disk() {
    let Fixture { directory: _directory, store, template } = fixture();
    let metadata = template.path.metadata().unwrap();
    // As it is kept of a disk that was not made just now.
    let record = serde_json::json!({
        "version": 1,
        "path": template.path,
        "state": {
            "device": metadata.dev(),
            "inode": metadata.ino(),
            "size_bytes": metadata.len(),
            "modified": [metadata.mtime(), metadata.mtime_nsec()],
            "changed": [metadata.ctime(), metadata.ctime_nsec()],
        },
        "digest": Digest::of(b"the disk"),
    });
    let name = format!("{:x}-{:x}.json", metadata.dev(), metadata.ino());
    fs::write(store.path().join("digests").join(&name), record.to_string()).unwrap();
    let reference = template.record.image.as_ref().unwrap().reference.clone();
    drop(template);
    assert!(store.plan_collection(&AT_ONCE).unwrap().entries.is_empty());
    store.remove(&reference).unwrap();
    let plan = store.plan_collection(&AT_ONCE).unwrap();
    let last = plan.entries.last().unwrap();
    assert_eq!((last.what, &last.id), (Collectable::Digest, &name));
    let alone: u64 = plan.entries.iter().map(|entry| entry.bytes).sum();
    assert!(plan.bytes >= alone, "also what small files take: {} {alone}", plan.bytes);
    // Where the disk stays, so does what is known of it.
    let id = plan.entries[0].id.clone();
    let held = store.find_template(&id).unwrap().unwrap();
    let kept = |plan| store.collect(plan).unwrap().entries.pop().unwrap().outcome;
    assert!(matches!(kept(&plan), CollectionOutcome::Kept(KeptReason::InUse)));
    assert_eq!(names(&store, "digests"), [name]);
    drop(held);
    assert!(matches!(kept(&plan), CollectionOutcome::Removed));
    assert!(names(&store, "digests").is_empty());
}

/// Whose record cannot be read, or lies in quarantine, has its packs all the same, also where room is wanted.
#[test]
fn packs_of_what_cannot_be_read_or_is_set_aside_stay() {
    type Spoil = fn(&Store, &Template, &CloneOptions);
    let cases: [(&str, KeptReason, Spoil); 3] = [
        ("clone", KeptReason::Unjudged, |store, template, options| {
            let clone = store.clone_template(template, &vm("a"), options).unwrap();
            fs::write(clone.path.with_file_name("clone.json"), "{").unwrap();
        }),
        ("image", KeptReason::Unjudged, |store, _, _| {
            let image = store.path().join("images").join(&names(store, "images")[0]);
            fs::write(image, "{").unwrap();
            names(store, "templates").iter().for_each(|template| {
                fs::remove_dir_all(store.path().join("templates").join(template)).unwrap();
            });
        }),
        ("quarantine", KeptReason::Cloned, |store, template, options| {
            let clone = store.clone_template(template, &vm("a"), options).unwrap();
            fs::remove_file(&clone.path).unwrap();
            let options = CloneOptions { recreate: true, ..options.clone() };
            store.clone_template(template, &vm("a"), &options).unwrap();
            store.release(&vm("a")).unwrap();
        }),
    ];
    for (what, reason, spoil) in cases {
        let Fixture { directory, store, template } = fixture();
        let file = directory.path().join("injected");
        fs::write(&file, "of this VM alone").unwrap();
        let injection = format!("{}:/etc/injected", file.display()).parse().unwrap();
        let options = CloneOptions { injections: vec![injection], ..CloneOptions::default() };
        spoil(&store, &template, &options);
        drop(template);
        let before = names(&store, "layers").len();
        for keep_free in [None, Some(KeepFree::Percent(100))] {
            let plan = store.plan_collection(&CollectionOptions { keep_free, ..AT_ONCE }).unwrap();
            let packs = |it: &Collectable| *it == Collectable::Pack;
            assert!(!plan.entries.iter().any(|entry| packs(&entry.what)), "{what}: {:?}", plan.entries);
            let kept = plan.kept.iter().filter(|kept| packs(&kept.what) && kept.reason == reason);
            assert!(kept.map(|kept| kept.count).sum::<usize>() >= 1, "{what}: {:?}", plan.kept);
            store.collect(&plan).unwrap();
        }
        assert_eq!(names(&store, "layers").len(), before, "{what}");
    }
}

#[test]
fn a_template_whose_record_is_anothers_is_not_judged() {
    let Fixture { directory: _directory, store, template } = fixture();
    let directory = template.path.parent().unwrap().to_owned();
    let other = directory.with_file_name("1".repeat(64));
    fs::create_dir(&other).unwrap();
    fs::copy(directory.join("template.json"), other.join("template.json")).unwrap();
    drop(template);
    let plan = store.plan_collection(&AT_ONCE).unwrap();
    assert!(
        matches!(&plan.problems[..], [Error::NoRecord { path }] if *path == other),
        "{:?}",
        plan.problems
    );
    assert!(plan.entries.is_empty(), "{:?}", plan.entries);
    assert!(plan.kept.iter().any(|kept| kept.reason == KeptReason::Unjudged), "{:?}", plan.kept);
}

/// A clone that nobody can read may stand on anything.
#[test]
fn beside_what_cannot_be_read_only_a_name_is_removed() {
    let Fixture { directory: _directory, store, template } = fixture();
    let reference = template.record.image.as_ref().unwrap().reference.clone();
    let options = BuildOptions { name: Some("base".parse().unwrap()), ..BuildOptions::default() };
    drop((store.build(&reference.parse().unwrap(), &options, &Quiet).unwrap(), template));
    fs::create_dir(store.path().join("clones/x")).unwrap();
    fs::write(store.path().join("clones/x/clone.json"), "{").unwrap();
    assert_eq!(store.remove(&reference).unwrap_err().kind(), ErrorKind::Integrity);
    assert_eq!(names(&store, "images").len(), 1);
    store.remove("base").unwrap();
    assert!(names(&store, "names").is_empty());
    assert_eq!(names(&store, "templates").len(), 1);
}
