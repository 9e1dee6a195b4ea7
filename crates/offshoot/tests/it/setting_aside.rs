//! What is moved to quarantine, and what is not.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use offshoot::{
    CloneOptions, Depth, Event, Mended, Outcome, Problem, Progress, Quiet, Report, Store, Subject,
    VerifyOptions,
};
use offshoot_store::{Area, Claimed, EntryName, StoreDir};
use offshoot_testkit::oracle;

use crate::image::{names, vm};
use crate::repairing::is_waited_for;
use crate::running::Running;
use crate::verifying::{Everything, everything, flip, known_files, verify};

fn set_aside(store: &Store, report: &Report) -> Vec<Mended> {
    store.quarantine(report, &Quiet).unwrap()
}

#[test]
fn the_store_itself_stays() {
    let all = everything();
    let root = all.store.path();
    let format = root.join("offshoot.json");
    flip(&format, 3);
    let other = all._directory.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::remove_dir(root.join("downloads")).unwrap();
    fs::rename(root.join("digests"), other.join("digests")).unwrap();
    symlink(other.join("digests"), root.join("digests")).unwrap();
    let stray = root.join("layers/stray");
    fs::write(&stray, b"whose?").unwrap();
    let report = verify(&all.store);
    assert_eq!(report.findings.len(), 4, "{:?}", report.findings);
    assert!(report.findings.iter().all(|finding| !finding.remedy().is_empty()));
    let mended = set_aside(&all.store, &report);
    let [Mended { path, outcome: Outcome::SetAside(aside), .. }] = mended.as_slice() else {
        panic!("{mended:?}")
    };
    assert_eq!((path, fs::read(aside).unwrap().as_slice()), (&stray, b"whose?".as_slice()));
    assert!(format.is_file() && root.join("digests").is_symlink());
    flip(&format, 3);
    assert!(Store::open(root).unwrap().find_template("snapshot").unwrap().is_some());
}

#[test]
fn what_others_have_made_right_stays() {
    let all = everything();
    for path in known_files(&all.store) {
        // A clone that shares its inode with it may be found in its stead.
        let bits = path.metadata().unwrap().len() * 8;
        flip(&path, bits / 2);
        let report = verify(&all.store);
        assert!(!report.findings.is_empty(), "{}", path.display());
        flip(&path, bits / 2);
        let mended = set_aside(&all.store, &report);
        assert!(mended.is_empty(), "{mended:?}");
        assert!(path.is_file() && names(&all.store, "quarantine").is_empty());
    }
    // Another clone under the name of a damaged one.
    flip(&all.store.path().join("clones/copy/clone.json"), 100);
    let report = verify(&all.store);
    all.store.release(&vm("copy")).unwrap();
    let mended = set_aside(&all.store, &report);
    assert!(mended.is_empty(), "it is gone: {mended:?}");
    let template = all.store.find_template("snapshot").unwrap().unwrap();
    let clone = all.store.clone_template(&template, &vm("copy"), &CloneOptions::default()).unwrap();
    assert!(set_aside(&all.store, &report).is_empty() && clone.path.is_file());
    assert!(verify(&all.store).findings.is_empty());
}

/// Whatever is damaged goes as a whole, with the first reason, and nothing else goes.
#[test]
fn each_damaged_thing_goes_once() {
    let all = everything();
    let good = names(&all.store, "templates").len() + names(&all.store, "layers").len();
    let pack = all.store.path().join("layers").join(&names(&all.store, "layers")[0]);
    flip(&pack.join("index"), 800);
    fs::write(pack.join("data"), b"short").unwrap();
    fs::remove_file(&all.imported).unwrap();
    let report = verify(&all.store);
    let mended = set_aside(&all.store, &report);
    let mut paths: Vec<&Path> = mended.iter().map(|mended| mended.path.as_path()).collect();
    paths.sort();
    assert_eq!(paths, [&pack, all.imported.parent().unwrap()]);
    for mended in &mended {
        let Outcome::SetAside(aside) = &mended.outcome else { panic!("{mended:?}") };
        assert!(aside.is_dir() && !mended.path.exists());
        let reason = fs::read_to_string(aside.with_file_name("reason.json")).unwrap();
        assert!(reason.contains(mended.path.file_name().unwrap().to_str().unwrap()), "{reason}");
    }
    assert_eq!(names(&all.store, "templates").len() + names(&all.store, "layers").len(), good - 2);
}

#[test]
fn what_only_needs_something_stays() {
    let all = everything();
    fs::remove_file(&all.template).unwrap();
    let report = verify(&all.store);
    let clone = |report: &Report| {
        let of =
            |name| move |finding: &&offshoot::Finding| finding.subject == Subject::Clone(String::from(name));
        report.findings.iter().filter(of("overlay")).count()
    };
    assert_eq!(clone(&report), 1, "{:?}", report.findings);
    let mended = set_aside(&all.store, &report);
    let [Mended { outcome: Outcome::SetAside(aside), .. }] = mended.as_slice() else { panic!("{mended:?}") };
    assert!(aside.join("template.json").is_file());
    assert!(all.store.path().join("clones/overlay/rootfs.qcow2").is_file());
    assert!(all.store.path().join("clones/linked/rootfs.ext4").is_file());
    // Again: what is left is not damaged.
    let report = verify(&all.store);
    assert_eq!(clone(&report), 2, "{:?}", report.findings);
    assert!(set_aside(&all.store, &report).is_empty());
}

#[test]
fn the_disk_of_a_vm_that_runs_stays() {
    if !oracle::available(&["qemu-io"]) {
        return;
    }
    let all = everything();
    let template = all.store.find_template("snapshot").unwrap().unwrap();
    // Its directory's name is longer than any id.
    let long = vm(&"/".repeat(60));
    for vm in [vm("vm"), long] {
        let clone = all.store.clone_template(&template, &vm, &CloneOptions::default()).unwrap();
        let record = clone.path.with_file_name("clone.json");
        fs::write(&record, "{").unwrap();
        let report = verify(&all.store);
        let running = Running::with(&clone.path);
        let mended = set_aside(&all.store, &report);
        let [Mended { outcome: Outcome::Left(error), .. }] = mended.as_slice() else { panic!("{mended:?}") };
        assert!(error.to_string().contains("rootfs.ext4 open"), "{error}");
        assert!(clone.path.is_file() && names(&all.store, "quarantine").len() < 2);
        drop(running);
        let mended = set_aside(&all.store, &report);
        assert!(matches!(mended[0].outcome, Outcome::SetAside(_)), "{mended:?}");
        assert!(!clone.path.exists());
    }
    // A disk that is something else is nobody's.
    let clone = all.store.clone_template(&template, &vm("other"), &CloneOptions::default()).unwrap();
    fs::remove_file(&clone.path).unwrap();
    fs::create_dir(&clone.path).unwrap();
    let mended = set_aside(&all.store, &verify(&all.store));
    assert!(matches!(mended[0].outcome, Outcome::SetAside(_)), "{mended:?}");
}

#[test]
fn modes_are_set_of_what_still_has_them() {
    let all = everything();
    let disk = all.store.path().join("clones/copy/rootfs.ext4");
    let record = disk.with_file_name("clone.json");
    // A VMM's group may write to it, and stays.
    fs::set_permissions(&disk, Permissions::from_mode(0o662)).unwrap();
    fs::set_permissions(&record, Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(&all.template, Permissions::from_mode(0o644)).unwrap();
    let options = VerifyOptions { depth: Depth::Quick, ..VerifyOptions::default() };
    let report = all.store.verify(&options, &Quiet).unwrap();
    // Of a template that clones are links to, each says so.
    assert_eq!(report.findings.len(), 4, "{:?}", report.findings);
    assert!(set_aside(&all.store, &report).is_empty());
    fs::set_permissions(&record, Permissions::from_mode(0o640)).unwrap();
    let mended = all.store.repair(&report, &Default::default(), &Quiet).unwrap();
    assert!(mended.iter().all(|mended| matches!(mended.outcome, Outcome::ModeSet)), "{mended:?}");
    assert_eq!(mended.len(), 2);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!([&disk, &record, &all.template].map(|path| mode(path)), [0o660, 0o640, 0o444]);
    assert!(verify(&all.store).findings.is_empty());
}

/// Nothing says what a stray should be: there is nothing to repair.
#[test]
fn strays_are_not_repaired() {
    let all = everything();
    for stray in ["layers/x", "templates/x", "blobs/sha256/x", "names/x"] {
        File::create(all.store.path().join(stray)).unwrap();
    }
    let report = verify(&all.store);
    assert!(report.findings.iter().all(|finding| matches!(finding.problem, Problem::Stray)));
    assert_eq!(report.findings.len(), 4);
    let mended = all.store.repair(&report, &Default::default(), &Quiet).unwrap();
    assert!(mended.is_empty() && names(&all.store, "quarantine").is_empty(), "{mended:?}");
    assert_eq!(set_aside(&all.store, &report).len(), 4);
    assert!(verify(&all.store).findings.is_empty());
}

/// Puts a good file in the place of a damaged one while that is being looked at.
struct Replacing<'a> {
    path: &'a Path,
    good: &'a [u8],
    asked: AtomicUsize,
}

impl Progress for Replacing<'_> {
    fn event(&self, _: Event) {}

    fn cancelled(&self) -> bool {
        // Asked first before anything is done, then when the damage has been read.
        if self.asked.fetch_add(1, Ordering::Relaxed) == 1 {
            let new = self.path.with_file_name("new");
            fs::write(&new, self.good).unwrap();
            fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
            fs::rename(new, self.path).unwrap();
        }
        false
    }
}

/// Documents and records are replaced without a lock.
#[test]
fn what_others_replace_while_it_is_looked_at_stays() {
    let all = everything();
    let blobs = known_files(&all.store).into_iter().filter(|path| path.parent().unwrap().ends_with("sha256"));
    for path in blobs {
        let good = fs::read(&path).unwrap();
        flip(&path, 99);
        let report = verify(&all.store);
        let replacing = Replacing { path: &path, good: &good, asked: AtomicUsize::new(0) };
        let mended = all.store.quarantine(&report, &replacing).unwrap();
        assert!(replacing.asked.into_inner() > 1 && mended.is_empty(), "{mended:?}");
        assert_eq!(fs::read(&path).unwrap(), good);
        assert!(names(&all.store, "quarantine").is_empty() && verify(&all.store).findings.is_empty());
    }
}

/// Damages a template, a pack and a blob, one at a time: each with the right to remove it, and what it is.
fn each_claimable(all: &Everything, mut then: impl FnMut(&StoreDir, &(dyn Fn() -> Claimed + Sync), &Path)) {
    let directory = StoreDir::open(all.store.path()).unwrap();
    let pack = all.store.path().join("layers").join(&names(&all.store, "layers")[0]);
    let blob = all.store.blobs().unwrap()[0].digest;
    let entry = |path: &Path| EntryName::listed(path.file_name().unwrap().to_str().unwrap()).unwrap();
    let template = all.snapshot.parent().unwrap();
    flip(&all.snapshot, 8_000_000);
    then(&directory, &|| directory.claim(Area::Templates, &entry(template)).unwrap(), template);
    flip(&pack.join("data"), 99);
    then(&directory, &|| directory.claim(Area::Layers, &entry(&pack)).unwrap(), &pack);
    flip(&directory.blob_path(blob), 99);
    then(&directory, &|| directory.claim_blob(blob).unwrap(), &directory.blob_path(blob));
}

/// Who removes something does so by its path: it must not become another's meanwhile.
#[test]
fn what_is_being_removed_is_not_moved() {
    let all = everything();
    each_claimable(&all, |directory, claim, path| {
        let report = verify(&all.store);
        let Claimed::Free(claim) = claim() else { panic!("{} is in use", path.display()) };
        let held = File::open(path).unwrap();
        let mended = std::thread::scope(|scope| {
            let moving = scope.spawn(|| set_aside(&all.store, &report));
            while !is_waited_for(&held) && !moving.is_finished() {
                std::thread::yield_now();
            }
            assert!(path.exists(), "{} was moved", path.display());
            claim.retire(directory).unwrap().unwrap().discard().unwrap();
            moving.join().unwrap()
        });
        assert!(mended.is_empty() && names(&all.store, "quarantine").is_empty(), "{mended:?}");
    });
}

/// Tries to claim what is looked at.
struct Claiming<'a> {
    claim: &'a (dyn Fn() -> Claimed + Sync),
    asked: AtomicUsize,
}

impl Progress for Claiming<'_> {
    fn event(&self, _: Event) {}

    fn cancelled(&self) -> bool {
        // Asked first before anything is done.
        if self.asked.fetch_add(1, Ordering::Relaxed) > 0 {
            assert!(matches!((self.claim)(), Claimed::InUse));
        }
        false
    }
}

#[test]
fn what_is_being_moved_is_not_removed() {
    let all = everything();
    each_claimable(&all, |_, claim, path| {
        let report = verify(&all.store);
        let claiming = Claiming { claim, asked: AtomicUsize::new(0) };
        let mended = all.store.quarantine(&report, &claiming).unwrap();
        assert!(claiming.asked.into_inner() > 1);
        let [Mended { path: moved, outcome: Outcome::SetAside(_), .. }] = mended.as_slice() else {
            panic!("{mended:?}")
        };
        assert_eq!(moved, path);
    });
}
