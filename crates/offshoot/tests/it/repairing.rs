//! What `verify` has found is made right, or set aside.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use offshoot::{Error, Finding, Mended, Outcome, Problem, PullOptions, Quiet, Store, Subject, VerifyOptions};
use offshoot_testkit::oracle;

use crate::image::names;
use crate::verifying::{everything, flip, known_files, verify};

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
    let mended = all.store.quarantine(&verify(&all.store)).unwrap();
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
