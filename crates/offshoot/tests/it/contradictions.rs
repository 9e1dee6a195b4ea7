//! Records that contradict themselves, their places or what lies beside them, and disks that only look unlike.

use std::fs;
use std::path::{Path, PathBuf};

use offshoot::{Depth, Error, Problem, Quiet, Report, Subject, VerifyOptions};
use offshoot_store::{Area, Durability, EntryName, StoreDir};
use offshoot_testkit::oracle;
use serde_json::Value;

use crate::image::names;
use crate::verifying::{Everything, everything, flip, verify};

fn quick(all: &Everything) -> Report {
    all.store.verify(&VerifyOptions { depth: Depth::Quick, ..VerifyOptions::default() }, &Quiet).unwrap()
}

fn kinds<'a>(report: &'a Report, path: &Path) -> Vec<&'a str> {
    report.findings.iter().filter(|found| found.path == path).map(|found| found.problem.kind()).collect()
}

pub(crate) type Change = fn(&mut Value);

/// Writes a record as this library would, with something else in it; the record as it was.
pub(crate) fn change(
    all: &Everything,
    area: Area,
    name: &str,
    file: &str,
    with: Change,
) -> (PathBuf, Vec<u8>) {
    let path = all.store.path().join(area.directory()).join(name).join(file);
    let good = fs::read(&path).unwrap();
    let mut record: Value = serde_json::from_slice(&good).unwrap();
    record.as_object_mut().unwrap().remove("checksum");
    with(&mut record);
    let store = StoreDir::open(all.store.path()).unwrap();
    store.put_entry_record(area, &EntryName::encode(name), file, &record, Durability::Ephemeral).unwrap();
    (path, good)
}

#[test]
fn records_that_cannot_be_right() {
    let all = everything();
    let built = all.template.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let snapshot = all.snapshot.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let cases: [(&str, Area, &str, Change, &str); 11] = [
        ("strategy", Area::Clones, "copy", |record| record["strategy"] = "qcow2".into(), "contradiction"),
        ("format", Area::Clones, "overlay", |record| record["strategy"] = "copy".into(), "contradiction"),
        ("writable", Area::Clones, "linked", |record| record["read_only"] = false.into(), "contradiction"),
        ("vm", Area::Clones, "copy", |record| record["vm_id"] = "other".into(), "misplaced"),
        (
            "template",
            Area::Clones,
            "copy",
            |record| record["template"]["id"] = "0".repeat(64).into(),
            "dangling",
        ),
        (
            "derivation",
            Area::Templates,
            built,
            |record| {
                let journal = &mut record["origin"]["built"]["journal"];
                *journal = (!journal.as_bool().unwrap()).into();
            },
            "contradiction",
        ),
        ("order", Area::Templates, snapshot, |record| swap(record), "contradiction"),
        (
            "overlap",
            Area::Templates,
            snapshot,
            |record| first(record)["bytes"] = (1_u64 << 40).into(),
            "contradiction",
        ),
        ("empty", Area::Templates, snapshot, |record| first(record)["bytes"] = 0.into(), "contradiction"),
        (
            "huge",
            Area::Templates,
            snapshot,
            |record| first(record)["offset"] = u64::MAX.into(),
            "contradiction",
        ),
        ("smaller", Area::Templates, snapshot, |record| record["size_bytes"] = 4096.into(), "contradiction"),
    ];
    for (what, area, name, with, kind) in cases {
        let file = if area == Area::Clones { "clone.json" } else { "template.json" };
        let (path, good) = change(&all, area, name, file, with);
        for report in [verify(&all.store), quick(&all)] {
            assert_eq!(kinds(&report, &path), [kind], "{what}: {:?}", report.findings);
            assert!(report.findings.iter().all(|found| !found.to_string().contains('\n')), "{what}");
        }
        fs::write(&path, good).unwrap();
    }
    assert!(verify(&all.store).findings.is_empty());
    // A disk that is larger than its record says, or smaller.
    let (larger, smaller): (Change, Change) = (|record| add(record, -4096), |record| add(record, 4096));
    for with in [larger, smaller] {
        let (path, good) = change(&all, Area::Templates, snapshot, "template.json", with);
        let report = quick(&all);
        assert_eq!(kinds(&report, &all.snapshot), ["size"], "{:?}", report.findings);
        fs::write(&path, good).unwrap();
    }
}

fn first(record: &mut Value) -> &mut Value {
    &mut record["checksums"][0]
}

fn swap(record: &mut Value) {
    let last = record["checksums"].as_array().unwrap().len() - 1;
    assert!(last > 0, "{record}");
    record["checksums"].as_array_mut().unwrap().swap(0, last);
}

fn add(record: &mut Value, bytes: i64) {
    record["size_bytes"] = record["size_bytes"].as_u64().unwrap().checked_add_signed(bytes).unwrap().into();
}

#[test]
fn records_under_the_names_of_others() {
    let all = everything();
    for area in ["images", "digests", "names"] {
        let directory = all.store.path().join(area);
        let good = directory.join(&names(&all.store, area)[0]);
        let other = directory.join("another.json");
        fs::rename(&good, &other).unwrap();
        let report = verify(&all.store);
        assert_eq!(kinds(&report, &other), ["misplaced"], "{area}: {:?}", report.findings);
        fs::rename(&other, &good).unwrap();
    }
    // A pack that is another layer's.
    let [one, two] = <[String; 2]>::try_from(names(&all.store, "layers")).unwrap();
    let layers = all.store.path().join("layers");
    oracle::run(oracle::command("cp").args(["-aT"]).arg(layers.join(one)).arg(layers.join(&two)));
    let report = verify(&all.store);
    assert_eq!(kinds(&report, &layers.join(two)), ["misplaced"], "{:?}", report.findings);
}

/// What is named is looked at also where the record of that name cannot be read.
#[test]
fn what_is_named_is_found_by_its_place() {
    let all = everything();
    let reference = all.store.images().unwrap()[0].reference.clone();
    let image = names(&all.store, "images").remove(0);
    for (record, name) in [
        (format!("images/{image}"), reference.as_str()),
        ("names/snapshot.json".to_owned(), "snapshot"),
        ("clones/copy/clone.json".to_owned(), "copy"),
    ] {
        let path = all.store.path().join(record);
        let good = fs::read(&path).unwrap();
        fs::write(&path, b"{").unwrap();
        let options = VerifyOptions { names: vec![name.to_owned()], ..VerifyOptions::default() };
        let report = all.store.verify(&options, &Quiet).unwrap();
        assert_eq!(kinds(&report, &path), ["record"], "{name}: {:?}", report.findings);
        fs::write(&path, good).unwrap();
    }
    let look = |names: &[&str]| {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        all.store.verify(&VerifyOptions { names, ..VerifyOptions::default() }, &Quiet)
    };
    // Each thing once, whoever names it; a name that is nobody's ends it.
    assert_eq!(look(&["copy", "overlay", "copy"]).unwrap().checked, 3);
    assert!(matches!(look(&["copy", "nobody"]), Err(Error::NotFound { name, .. }) if name == "nobody"));
    // The image by what people call it, whatever else it is written as.
    let layout = all._directory.path().join("image/../image");
    assert_eq!(look(&[&format!("oci:{}:sample", layout.display())]).unwrap().checked, 5);
}

/// Holes that are no holes any more, as in a copy of a store, are zeros still.
#[test]
fn a_disk_without_holes_is_whole() {
    let all = everything();
    for disk in [&all.template, &all.snapshot, &all.imported] {
        let dense = all._directory.path().join("dense");
        let mut cp = oracle::command("cp");
        oracle::run(cp.args(["-a", "--sparse=never", "--reflink=never"]).arg(disk).arg(&dense));
        fs::rename(&dense, disk).unwrap();
    }
    let report = verify(&all.store);
    // The clone that was a link to one is none to the copy.
    let linked = Subject::Clone("linked".to_owned());
    assert!(report.findings.iter().all(|finding| finding.subject == linked), "{:?}", report.findings);
    // Two changes of one disk, in their order: where nothing was, and behind that.
    let id = all.snapshot.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let template = all.store.find_template(id).unwrap().unwrap().record;
    let [first, .., last] = template.checksums.as_slice() else { panic!("{template:?}") };
    flip(&all.snapshot, (first.offset + first.bytes) * 8);
    flip(&all.snapshot, last.offset * 8);
    let report = verify(&all.store);
    let places = report.findings.iter().filter_map(|finding| match finding.problem {
        Problem::Changed { offset, .. } | Problem::NotZero { offset } => Some(offset),
        _ => None,
    });
    let places: Vec<u64> = places.collect();
    assert_eq!(places, [first.offset + first.bytes, last.offset], "{:?}", report.findings);
}
