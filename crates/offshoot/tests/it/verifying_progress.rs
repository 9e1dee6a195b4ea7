//! What `verify` tells while it looks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Mutex;

use offshoot::{Depth, Event, Progress, Report, Store, VerifyOptions};

use crate::verifying::{everything, flip};

/// What was told, as a listener adds it up.
#[derive(Debug, Default)]
struct Told {
    things: Option<usize>,
    finished: BTreeSet<usize>,
    findings: usize,
    /// Of each thing that is read: its kind, how much there was to read, and how much was read since it was begun.
    read: BTreeMap<usize, (&'static str, u64, u64)>,
    digests: BTreeSet<String>,
    begun: usize,
}

#[derive(Default)]
struct Listener(Mutex<Told>);

impl Progress for Listener {
    fn event(&self, event: Event) {
        let mut told = self.0.lock().unwrap();
        match event {
            Event::VerifyStarted { things } => assert_eq!(told.things.replace(things), None),
            Event::VerifyReading { index, kind, digest, bytes } => {
                assert!(!told.finished.contains(&index));
                told.read.insert(index, (kind, bytes, 0));
                told.digests.insert(digest.hex());
                told.begun += 1;
            }
            Event::VerifyRead { index, bytes } => told.read.get_mut(&index).unwrap().2 += bytes,
            Event::VerifyFinished { index, findings } => {
                assert!(index < told.things.unwrap() && told.finished.insert(index));
                told.findings += findings;
            }
            _ => panic!("{event:?}"),
        }
    }
}

fn listen(store: &Store, depth: Depth) -> (Report, Told) {
    let listener = Listener::default();
    let report = store.verify(&VerifyOptions { depth, ..VerifyOptions::default() }, &listener).unwrap();
    (report, listener.0.into_inner().unwrap())
}

#[test]
fn all_that_is_to_be_read_is_told_before_and_then_read() {
    let all = everything();
    let (report, told) = listen(&all.store, Depth::Full);
    assert_eq!((told.things, told.finished.len(), told.findings), (Some(report.checked), report.checked, 0));
    let kinds: Vec<_> = told.read.values().map(|(kind, ..)| *kind).collect();
    let count = |kind| kinds.iter().filter(|&&found| found == kind).count();
    assert_eq!(["blob", "layer", "template"].map(count), [2, 2, 3]);
    assert!(told.read.values().all(|(_, to_read, read)| to_read == read), "{told:?}");
    assert_eq!((told.begun, told.digests.len()), (7, 7));
    let id = all.imported.parent().unwrap().file_name().unwrap().to_str().unwrap();
    assert!(told.digests.contains(id));
    // An import is read once more for its digest, holes and all.
    let template = told.read.values().filter(|(kind, ..)| *kind == "template").map(|(_, bytes, _)| *bytes);
    assert!(template.max().unwrap() > all.imported.metadata().unwrap().len());

    let (report, told) = listen(&all.store, Depth::Quick);
    assert_eq!((told.finished.len(), told.begun), (report.checked, 0));
}

#[test]
fn what_looks_wrong_is_read_again_from_the_start() {
    let all = everything();
    let last = all.snapshot.metadata().unwrap().len() - 1;
    flip(&all.snapshot, last * 8);
    let (report, told) = listen(&all.store, Depth::Full);
    assert_eq!((told.finished.len(), told.findings), (report.checked, report.findings.len()));
    assert_eq!((told.begun, told.read.len()), (8, 7), "{told:?}");
    assert!(told.read.values().all(|(_, to_read, read)| to_read == read), "{told:?}");
}

/// What lies behind something that is not the store's is not looked at, and is not counted as if it were.
#[test]
fn what_is_not_looked_at_is_not_counted() {
    let all = everything();
    let (whole, _) = listen(&all.store, Depth::Full);
    let templates = all.store.path().join("templates");
    fs::rename(&templates, all._directory.path().join("templates")).unwrap();
    std::os::unix::fs::symlink(all._directory.path().join("templates"), &templates).unwrap();
    let (report, told) = listen(&all.store, Depth::Full);
    assert_eq!(report.checked, whole.checked - 3);
    assert_eq!((told.finished.len(), told.findings), (report.checked, report.findings.len()));
}
