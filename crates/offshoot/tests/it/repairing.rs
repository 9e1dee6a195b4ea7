//! What `verify` has found is made right, or set aside.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use offshoot::{
    BuildOptions, Error, Event, Finding, Mended, Outcome, Problem, Progress, PullOptions, Quiet, Store,
    Subject, VerifyOptions,
};
use offshoot_testkit::oracle;

use crate::image::{names, sample_of, stamps};
use crate::verifying::{Everything, everything, flip, known_files, verify};

fn repair(store: &Store) -> Vec<(Subject, Outcome)> {
    let mended = store.repair(&verify(store), &PullOptions::default(), &Quiet).unwrap();
    mended.into_iter().map(|mended| (mended.subject, mended.outcome)).collect()
}

#[test]
fn what_has_a_source_is_made_right() {
    let all = everything();
    let good = fs::read(&all.template).unwrap();
    let overlay = all.store.path().join("clones/overlay/rootfs.qcow2");
    let linked = all.store.path().join("clones/linked/rootfs.ext4");
    for path in known_files(&all.store) {
        let area = path.strip_prefix(all.store.path()).unwrap().iter().next().unwrap().to_str().unwrap();
        let repairable = match area {
            "blobs" | "layers" | "digests" => true,
            "templates" => path == all.template,
            _ => false,
        };
        if !repairable {
            continue;
        }
        let before = fs::read(&path).unwrap();
        flip(&path, 12345 % (before.len() as u64 * 8));
        let outcomes = repair(&all.store);
        let [(subject, outcome)] = outcomes.as_slice() else { panic!("{area}: {outcomes:?}") };
        match (area, outcome) {
            ("blobs" | "layers", Outcome::FetchedAgain) | ("templates", Outcome::BuiltAgain) => {
                assert_eq!(fs::read(&path).unwrap(), before, "{subject}");
            }
            ("digests", Outcome::Forgotten) => assert!(!path.exists()),
            _ => panic!("{area}: {subject}: {outcome:?}"),
        }
        let report = verify(&all.store);
        assert!(report.findings.is_empty(), "{area}: {:?}", report.findings);
    }
    assert_eq!(fs::read(&all.template).unwrap(), good);
    // The clones stand on the new one.
    assert_eq!(linked.metadata().unwrap().ino(), all.template.metadata().unwrap().ino());
    if oracle::available(&["qemu-img"]) {
        oracle::run(oracle::command("qemu-img").arg("check").arg(&overlay));
    }
    // Two blobs, two layers' index and data, a template.
    assert_eq!(names(&all.store, "quarantine").len(), 2 + 4 + 1);
}

#[test]
fn a_lost_disk_and_lost_packs_are_made_again_and_modes_are_set() {
    let all = everything();
    let good = fs::read(&all.template).unwrap();
    for pack in names(&all.store, "layers") {
        fs::remove_dir_all(all.store.path().join("layers").join(pack)).unwrap();
    }
    fs::remove_file(&all.template).unwrap();
    fs::set_permissions(all.store.path().join("names"), Permissions::from_mode(0o755)).unwrap();
    let outcomes = repair(&all.store);
    assert!(matches!(outcomes[0], (Subject::Store, Outcome::ModeSet)), "{outcomes:?}");
    let built = outcomes.iter().any(|outcome| matches!(outcome, (Subject::Template(_), Outcome::BuiltAgain)));
    assert!(built, "{outcomes:?}");
    assert_eq!(fs::read(&all.template).unwrap(), good);
    assert!(verify(&all.store).findings.is_empty());
}

#[test]
fn what_has_no_source_is_left_or_set_aside() {
    let all = everything();
    flip(&all.snapshot, 8_000_000);
    flip(&all.imported, 8_000_000);
    flip(&all.store.path().join("clones/copy/clone.json"), 100);
    let outcomes = repair(&all.store);
    let left = outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Left(Error::NoSource { .. })));
    assert!(left && outcomes.len() == 2, "{outcomes:?}");
    let mended = all.store.quarantine(&verify(&all.store), &Quiet).unwrap();
    let aside = mended.iter().all(|mended| match &mended.outcome {
        Outcome::SetAside(path) => path.exists() && !mended.path.exists(),
        _ => false,
    });
    assert!(aside && mended.len() == 3, "{mended:?}");
    // Their names stand for nothing now.
    let report = verify(&all.store);
    let dangling = |finding: &Finding| {
        matches!(finding.subject, Subject::Name(_)) && matches!(finding.problem, Problem::Dangling { .. })
    };
    assert!(report.findings.len() == 2 && report.findings.iter().all(dangling), "{:?}", report.findings);
}

/// Packs that rotted before a template was built: it does not come out right, and is not put in its place.
#[test]
fn a_template_is_not_made_of_damaged_packs() {
    let all = everything();
    let layers = names(&all.store, "layers");
    let data = layers.iter().map(|name| all.store.path().join("layers").join(name).join("data"));
    let data = data.max_by_key(|data| data.metadata().unwrap().len()).unwrap();
    flip(&data, 50_000 * 8);
    flip(&all.template, 8_000_000);
    let id = all.template.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let options = VerifyOptions { names: vec![id], ..VerifyOptions::default() };
    let report = all.store.verify(&options, &Quiet).unwrap();
    let mended = all.store.repair(&report, &PullOptions::default(), &Quiet).unwrap();
    let [Mended { outcome: Outcome::Left(Error::OtherTemplate { .. }), .. }] = mended.as_slice() else {
        panic!("{mended:?}")
    };
    assert!(names(&all.store, "quarantine").is_empty());
    // With the packs made right first, it does.
    repair(&all.store);
    assert!(verify(&all.store).findings.is_empty());
}

/// What cannot be fetched stays where it is, as it is.
#[test]
fn what_cannot_be_fetched_is_put_back() {
    let all = everything();
    let injected = all._directory.path().join("injected");
    fs::write(&injected, [5; 10_000]).unwrap();
    let options = BuildOptions {
        injections: vec![format!("{}:/injected", injected.display()).parse().unwrap()],
        ..BuildOptions::default()
    };
    let image = format!("oci:{}:sample", all._directory.path().join("image").display());
    let before = names(&all.store, "layers");
    all.store.build(&image.parse().unwrap(), &options, &Quiet).unwrap();
    let mut layers = names(&all.store, "layers");
    layers.retain(|layer| !before.contains(layer));
    let injected = all.store.path().join("layers").join(&layers[0]).join("data");
    let unknown = all.store.put_blob(offshoot::Digest::of(b"nobody's"), b"nobody's").unwrap();
    fs::rename(all._directory.path().join("image"), all._directory.path().join("gone")).unwrap();
    let damaged: Vec<_> = known_files(&all.store)
        .into_iter()
        .filter(|path| {
            let area = path.strip_prefix(all.store.path()).unwrap().iter().next().unwrap();
            area == "blobs" || path.ends_with("data")
        })
        .collect();
    assert_eq!(damaged.len(), 3 + 3);
    for path in &damaged {
        flip(path, 12345 % (path.metadata().unwrap().len() * 8));
    }
    let files = || damaged.iter().map(|path| (stamps(path).0, fs::read(path).unwrap())).collect::<Vec<_>>();
    let untouched = files();
    let outcomes = repair(&all.store);
    assert_eq!(outcomes.len(), 6, "{outcomes:?}");
    for (subject, outcome) in &outcomes {
        let Outcome::Left(error) = outcome else { panic!("{subject}: {outcome:?}") };
        let has_image =
            !subject.to_string().contains(&layers[0]) && !subject.to_string().contains(&unknown.hex());
        assert_eq!(matches!(error, Error::NotFound { .. }), !has_image, "{subject}: {error}");
    }
    assert_eq!(files(), untouched);
    assert!(names(&all.store, "quarantine").is_empty());
    // Where the source has something else by now, that is said, and nothing is lost.
    sample_of(&all._directory.path().join("image"), b"another");
    let outcomes = repair(&all.store);
    let changed =
        |(_, outcome): &&(_, Outcome)| matches!(outcome, Outcome::Left(Error::SourceChanged { .. }));
    assert!(outcomes.iter().filter(changed).count() > 0, "{outcomes:?}");
    assert!(injected.is_file() && damaged.iter().all(|path| path.is_file()));
    // Back again, all that has a source is right.
    fs::remove_dir_all(all._directory.path().join("image")).unwrap();
    fs::rename(all._directory.path().join("gone"), all._directory.path().join("image")).unwrap();
    all.store.pull(&image.parse().unwrap(), &PullOptions::default(), &Quiet).unwrap();
    repair(&all.store);
    let report = verify(&all.store);
    assert_eq!(report.findings.len(), 2, "{:?}", report.findings);
}

/// Tells at each event of a repair whether somebody has the key of a template.
struct NoKey {
    locks: PathBuf,
    events: AtomicUsize,
}

impl Progress for NoKey {
    fn event(&self, event: Event) {
        if matches!(
            event,
            Event::LayerStarted { .. } | Event::BuildStarted { .. } | Event::BuildFinished { .. }
        ) {
            let keys = fs::read_dir(&self.locks).unwrap().map(|key| key.unwrap().file_name());
            let keys: Vec<_> = keys.filter(|key| key.to_string_lossy().starts_with("templates-")).collect();
            assert!(keys.is_empty(), "{event:?}: {keys:?}");
            self.events.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Repairs the template, and changes the clone that is a link to it at the moment when that is to be linked again: somebody
/// has its key, and takes his time.
fn change_while_linking(
    all: &Everything,
    progress: &dyn Progress,
    change: impl FnOnce(&Path),
) -> Vec<Mended> {
    flip(&all.template, 8_000_000);
    let report = verify(&all.store);
    let key = all.store.path().join("locks/clones-linked");
    let held = File::create(&key).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    std::thread::scope(|scope| {
        let repaired = scope.spawn(|| all.store.repair(&report, &PullOptions::default(), progress).unwrap());
        while !is_waited_for(&held) && !repaired.is_finished() {
            std::thread::yield_now();
        }
        let keys = names(&all.store, "locks");
        assert_eq!(keys, ["clones-linked"]);
        change(&all.store.path().join("clones/linked"));
        fs::remove_file(&key).unwrap();
        drop(held);
        repaired.join().unwrap()
    })
}

/// Nobody who holds a key waits for another: the key of a template is not held while packs are made or clones are linked.
#[test]
fn a_template_is_not_locked_while_others_are_waited_for() {
    let all = everything();
    for pack in names(&all.store, "layers") {
        fs::remove_dir_all(all.store.path().join("layers").join(pack)).unwrap();
    }
    let no_key = NoKey { locks: all.store.path().join("locks"), events: AtomicUsize::new(0) };
    let mended = change_while_linking(&all, &no_key, |linked| {
        // It is a copy now, which its VM has written.
        let record = fs::read_to_string(linked.with_file_name("copy/clone.json")).unwrap();
        let mut record: serde_json::Value = serde_json::from_str(&record).unwrap();
        record["vm_id"] = "linked".into();
        record.as_object_mut().unwrap().remove("checksum");
        fs::write(linked.join("clone.json"), record.to_string()).unwrap();
        fs::remove_file(linked.join("rootfs.ext4")).unwrap();
        fs::write(linked.join("rootfs.ext4"), b"what the VM wrote").unwrap();
    });
    assert!(matches!(mended.as_slice(), [Mended { outcome: Outcome::BuiltAgain, .. }]), "{mended:?}");
    assert!(no_key.events.into_inner() >= 4);
    let linked = all.store.path().join("clones/linked/rootfs.ext4");
    assert_eq!(fs::read(linked).unwrap(), b"what the VM wrote");
}

/// A template that is right is not said to be left because a clone of it is.
#[test]
fn a_clone_that_cannot_be_linked_is_told_apart() {
    let all = everything();
    let disk = all.store.path().join("clones/linked/rootfs.ext4");
    let before = disk.metadata().unwrap().ino();
    let mended = change_while_linking(&all, &Quiet, |linked| {
        fs::write(linked.join("clone.json"), "{").unwrap();
    });
    let [clone, template] = mended.as_slice() else { panic!("{mended:?}") };
    assert!(matches!(clone.outcome, Outcome::Left(Error::Store(_))), "{mended:?}");
    assert_eq!((&clone.subject, &clone.path), (&Subject::Clone("linked".to_owned()), &disk));
    assert!(matches!(template.outcome, Outcome::BuiltAgain), "{mended:?}");
    assert_eq!(disk.metadata().unwrap().ino(), before);
}

/// A template that others have made right is not built once more.
#[test]
fn what_is_right_by_now_is_not_built_again() {
    let all = everything();
    flip(&all.template, 8_000_000);
    let report = verify(&all.store);
    flip(&all.template, 8_000_000);
    let before = stamps(&all.template).0;
    let mended = all.store.repair(&report, &PullOptions::default(), &Quiet).unwrap();
    assert!(mended.is_empty() && stamps(&all.template).0 == before, "{mended:?}");
}

/// Whether somebody waits for a lock on a file, as the kernel says.
pub(crate) fn is_waited_for(file: &File) -> bool {
    let inode = format!(":{} ", file.metadata().unwrap().ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&inode))
}

/// A repair that died between a template's disk and the clones that are links to it is finished by the next one.
#[test]
fn clones_are_linked_again() {
    let all = everything();
    let disk = all.store.path().join("clones/linked/rootfs.ext4");
    let old = all._directory.path().join("old");
    oracle::run(oracle::command("cp").arg("-a").arg(&disk).arg(&old));
    flip(&old, 8_000_000);
    fs::rename(&old, &disk).unwrap();
    let bad = fs::read(&disk).unwrap();
    let report = verify(&all.store);
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    // Not to a template that is damaged itself, of which there is nothing to make it.
    fs::rename(all._directory.path().join("image"), all._directory.path().join("gone")).unwrap();
    flip(&all.template, 9_000_000);
    for pack in names(&all.store, "layers") {
        fs::rename(all.store.path().join("layers").join(&pack), all._directory.path().join(pack)).unwrap();
    }
    let outcomes = repair(&all.store);
    assert!(outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Left(_))), "{outcomes:?}");
    assert_eq!((outcomes.len(), fs::read(&disk).unwrap() == bad), (2, true));
    flip(&all.template, 9_000_000);

    let outcomes = repair(&all.store);
    assert!(matches!(outcomes.as_slice(), [(Subject::Clone(_), Outcome::LinkedAgain)]), "{outcomes:?}");
    assert_eq!(disk.metadata().unwrap().ino(), all.template.metadata().unwrap().ino());
    assert!(verify(&all.store).findings.is_empty());
    let [aside] = names(&all.store, "quarantine").try_into().unwrap();
    let aside: String = aside;
    assert_eq!(fs::read(all.store.path().join("quarantine").join(aside).join("rootfs.ext4")).unwrap(), bad);
}

/// A template whose record is another's is not built in its place.
#[test]
fn a_template_is_built_from_its_own_record() {
    let all = everything();
    let other = all.store.path().join("templates").join("0".repeat(64));
    fs::rename(all.template.parent().unwrap(), &other).unwrap();
    let before = fs::read(other.join("rootfs.ext4")).unwrap();
    let outcomes = repair(&all.store);
    assert!(outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Left(_))), "{outcomes:?}");
    assert_eq!(fs::read(other.join("rootfs.ext4")).unwrap(), before);
    assert!(names(&all.store, "quarantine").is_empty());
}

/// Takes a template's record away when its disk is about to be written.
struct Forgetting<'a>(&'a Path);

impl Progress for Forgetting<'_> {
    fn event(&self, event: Event) {
        if matches!(event, Event::BuildStarted { .. }) {
            fs::remove_file(self.0.with_file_name("template.json")).unwrap();
        }
    }
}

/// What was built goes into the place of what it was built for, and of nothing else.
#[test]
fn a_template_that_has_changed_meanwhile_is_left() {
    let all = everything();
    flip(&all.template, 8_000_000);
    let before = stamps(&all.template).0;
    let report = verify(&all.store);
    let mended = all.store.repair(&report, &PullOptions::default(), &Forgetting(&all.template)).unwrap();
    let [Mended { outcome: Outcome::Left(Error::NotFound { .. }), .. }] = mended.as_slice() else {
        panic!("{mended:?}")
    };
    assert_eq!(stamps(&all.template).0, before);
    assert!(names(&all.store, "quarantine").is_empty());
}
