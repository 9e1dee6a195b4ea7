//! What a repair must leave alone, and what it must not leave for something else that is wrong with it.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use offshoot::{Error, Event, Mended, Outcome, Progress, PullOptions, Quiet, Report, Store, Subject};
use offshoot_store::Area;
use offshoot_testkit::oracle;
use serde_json::Value;

use crate::contradictions::change;
use crate::image::{names, stamps};
use crate::verifying::{everything, flip, verify};

fn repair(store: &Store, report: &Report, progress: &dyn Progress) -> Vec<Mended> {
    store.repair(report, &PullOptions::default(), progress).unwrap()
}

/// Repairs the same when a template's disk is about to be written.
struct Meanwhile<'a> {
    store: &'a Store,
    report: &'a Report,
    done: AtomicBool,
}

impl Progress for Meanwhile<'_> {
    fn event(&self, event: Event) {
        if matches!(event, Event::BuildStarted { .. }) && !self.done.swap(true, Ordering::Relaxed) {
            let mended = repair(self.store, self.report, &Quiet);
            assert!(matches!(mended[0].outcome, Outcome::BuiltAgain), "{mended:?}");
        }
    }
}

#[test]
fn what_another_repair_has_made() {
    let damages: [fn(&Path); 2] = [|disk| flip(disk, 8_000_000), |disk| fs::remove_file(disk).unwrap()];
    for (in_quarantine, damage) in [1, 0].into_iter().zip(damages) {
        let all = everything();
        damage(&all.template);
        let report = verify(&all.store);
        let meanwhile = Meanwhile { store: &all.store, report: &report, done: AtomicBool::new(false) };
        let mended = repair(&all.store, &report, &meanwhile);
        // Of a lost disk the clone that was a link to it is not linked any more, which the first has mended.
        let of_template =
            mended.iter().filter(|mended| matches!(mended.subject, Subject::Template(_))).count();
        assert!(meanwhile.done.into_inner() && of_template == 0, "{mended:?}");
        let aside = names(&all.store, "quarantine");
        let of_template = aside.iter().filter(|name| {
            let reason = all.store.path().join("quarantine").join(name).join("reason.json");
            fs::read_to_string(reason).unwrap().contains("\"templates/")
        });
        assert_eq!(of_template.count(), in_quarantine, "{aside:?}");
        assert!(names(&all.store, "tmp").is_empty() && verify(&all.store).findings.is_empty());
    }
}

/// A record that cannot be right says nothing of how good its disk is.
#[test]
fn the_disk_of_a_damaged_record() {
    let all = everything();
    let path = all.template.with_file_name("template.json");
    let good = fs::read_to_string(&path).unwrap();
    let mut record: Value = serde_json::from_str(&good).unwrap();
    record.as_object_mut().unwrap().remove("checksum");
    fs::write(&path, record.to_string()).unwrap();
    let before = stamps(&all.template).0;
    let refused = |mended: &[Mended]| match mended {
        [Mended { outcome: Outcome::Left(Error::TemplateRecord { path: found, .. }), .. }] => *found == path,
        _ => false,
    };
    for _ in 0..2 {
        let mended = repair(&all.store, &verify(&all.store), &Quiet);
        assert!(refused(&mended), "{mended:?}");
        assert_eq!(stamps(&all.template).0, before);
        assert!(names(&all.store, "quarantine").is_empty());
    }
    // A disk that is seen to be damaged without it is built again, once.
    flip(&all.template, (1024 + 0x38) * 8);
    let mended = repair(&all.store, &verify(&all.store), &Quiet);
    assert!(matches!(mended.as_slice(), [Mended { outcome: Outcome::BuiltAgain, .. }]), "{mended:?}");
    let mended = repair(&all.store, &verify(&all.store), &Quiet);
    assert!(refused(&mended), "{mended:?}");
    assert_eq!(names(&all.store, "quarantine").len(), 1);
    fs::write(&path, good).unwrap();
    assert!(verify(&all.store).findings.is_empty());
}

#[test]
fn a_digest_that_is_right_by_now() {
    let all = everything();
    let path = all.store.path().join("digests").join(&names(&all.store, "digests")[0]);
    flip(&path, 300);
    let report = verify(&all.store);
    flip(&path, 300);
    assert!(repair(&all.store, &report, &Quiet).is_empty() && path.is_file());
    flip(&path, 300);
    let mended = repair(&all.store, &report, &Quiet);
    assert!(matches!(mended.as_slice(), [Mended { outcome: Outcome::Forgotten, .. }]), "{mended:?}");
    assert!(!path.exists());
}

/// A thing with two things wrong, of which the first has no remedy.
#[test]
fn the_second_thing_wrong_is_looked_at_too() {
    let all = everything();
    let images = all.store.path().join("images");
    let record = images.join(&names(&all.store, "images")[0]);
    fs::rename(&record, images.join("another.json")).unwrap();
    let config = all.store.images().unwrap()[0].config_digest;
    let blob = all.store.path().join("blobs/sha256").join(config.hex());
    fs::remove_file(&blob).unwrap();
    let report = verify(&all.store);
    let kinds: Vec<_> = report.findings.iter().map(|finding| finding.problem.kind()).collect();
    assert_eq!(kinds, ["misplaced", "dangling"]);
    let mended = repair(&all.store, &report, &Quiet);
    assert!(matches!(mended.as_slice(), [Mended { outcome: Outcome::FetchedAgain, .. }]), "{mended:?}");
    assert!(blob.is_file() && record.is_file());
    fs::remove_file(images.join("another.json")).unwrap();

    // A disk that its VM may write is not made the template's own, whatever its record says; that is told.
    let (record, good) =
        change(&all, Area::Clones, "linked", "clone.json", |record| record["read_only"] = false.into());
    let disk = record.with_file_name("rootfs.ext4");
    let copy = all._directory.path().join("copy");
    oracle::run(oracle::command("cp").arg("-a").arg(&disk).arg(&copy));
    fs::rename(&copy, &disk).unwrap();
    let before = stamps(&disk).0;
    let report = verify(&all.store);
    let kinds: Vec<_> = report.findings.iter().map(|finding| finding.problem.kind()).collect();
    assert_eq!(kinds, ["contradiction", "clone"]);
    let mended = repair(&all.store, &report, &Quiet);
    let [Mended { outcome: Outcome::Left(Error::HardlinkWritable), .. }] = mended.as_slice() else {
        panic!("{mended:?}")
    };
    assert!(stamps(&disk).0 == before && names(&all.store, "quarantine").is_empty());
    fs::write(&record, good).unwrap();
    let mended = repair(&all.store, &verify(&all.store), &Quiet);
    assert!(matches!(mended.as_slice(), [Mended { outcome: Outcome::LinkedAgain, .. }]), "{mended:?}");
    assert!(verify(&all.store).findings.is_empty());
}
