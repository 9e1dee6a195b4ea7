//! What cannot be read is no damage, and what cannot be written ends no look.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use offshoot::{BuildOptions, Mended, Outcome, Problem, PullOptions, Quiet, Store, Subject};
use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle};

use crate::image::names;
use crate::verifying::{everything, flip, verify};

/// A file in whose place there is another, for as long as this lives.
struct Covered(PathBuf);

impl Covered {
    fn by(path: &Path, other: &Path) -> Self {
        oracle::run(oracle::command("mount").arg("--bind").arg(other).arg(path));
        Self(path.to_owned())
    }
}

impl Drop for Covered {
    fn drop(&mut self) {
        let _ = oracle::command("umount").arg(&self.0).status();
    }
}

/// A disk that cannot be read now is its VM's still.
#[test]
fn an_overlay_that_cannot_be_read_stays() {
    if !oracle::root() || !oracle::available(&["mount"]) {
        return;
    }
    let all = everything();
    let overlay = all.store.path().join("clones/overlay/rootfs.qcow2");
    // A process's memory: a regular file, of which there is nothing at its beginning, and that is EIO.
    let covered = Covered::by(&overlay, Path::new(&format!("/proc/{}/mem", std::process::id())));
    let report = verify(&all.store);
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert!(matches!(finding.problem, Problem::Unreadable(_)) && finding.path == overlay, "{finding}");
    assert!(finding.to_string().contains("Input/output error"), "{finding}");
    let mended = all.store.quarantine(&report, &Quiet).unwrap();
    assert!(mended.is_empty() && names(&all.store, "quarantine").is_empty(), "{mended:?}");
    drop(covered);
    assert!(overlay.is_file() && verify(&all.store).findings.is_empty());
}

/// Nor is one that is good, but of a kind that a VMM may know, and this library does not.
#[test]
fn an_overlay_of_another_kind_stays() {
    let all = everything();
    let overlay = all.store.path().join("clones/overlay/rootfs.qcow2");
    // The lowest byte of the incompatible features: data in an external file.
    File::options().write(true).open(&overlay).unwrap().write_all_at(&[4], 79).unwrap();
    let report = verify(&all.store);
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!((finding.problem.kind(), &finding.path), ("unsupported", &overlay));
    let line = finding.to_string();
    assert!(line.contains("external file") && line.contains("qemu-img"), "{line}");
    assert!(all.store.quarantine(&report, &Quiet).unwrap().is_empty() && overlay.is_file());
}

/// What is found is told, where there is no place for a lock.
#[test]
fn a_store_without_locks_is_looked_at() {
    let all = everything();
    let locks = all.store.path().join("locks");
    flip(&all.snapshot, 8_000_000);
    flip(&all.store.path().join("clones/copy/clone.json"), 100);
    fs::remove_dir(&locks).unwrap();
    for file in [false, true] {
        if file {
            fs::write(&locks, b"").unwrap();
        }
        let report = verify(&all.store);
        let subjects: Vec<&Subject> = report.findings.iter().map(|finding| &finding.subject).collect();
        let [Subject::Store, Subject::Template(_), Subject::Clone(_)] = subjects.as_slice() else {
            panic!("{:?}", report.findings)
        };
    }
}

/// A filesystem with errors is made read-only by its kernel, and that is when somebody looks.
#[test]
fn a_store_that_cannot_be_written_is_looked_at() {
    if !Filesystem::Ext4.available() {
        return;
    }
    let scratch = ScratchFilesystem::new(Filesystem::Ext4, 64 << 20);
    let root = scratch.path().join("store");
    let store = Store::open(&root).unwrap();
    let template = store.build(&"scratch:".parse().unwrap(), &BuildOptions::default(), &Quiet).unwrap();
    let disk = template.path.clone();
    drop((template, store));
    flip(&disk, 8_000_000);
    oracle::run(oracle::command("mount").args(["-o", "remount,ro"]).arg(scratch.path()));
    let store = Store::open(&root).unwrap();
    let report = verify(&store);
    assert!(report.findings.iter().any(|finding| finding.path == disk), "{:?}", report.findings);
    // What cannot be done is told of each thing, and the rest goes on.
    let mended = store.quarantine(&report, &Quiet).unwrap();
    let left = |mended: &Mended| matches!(mended.outcome, Outcome::Left(_));
    assert!(!mended.is_empty() && mended.iter().all(left), "{mended:?}");
    assert!(disk.is_file());
}

/// Of what leads to itself it cannot be told whether it is there: that is said, and the rest is looked at.
#[test]
fn links_that_lead_nowhere_end_no_look() {
    let all = everything();
    let blob = all.store.path().join("blobs/sha256").join(&names(&all.store, "blobs/sha256")[0]);
    let template = all.snapshot.parent().unwrap();
    fs::remove_file(&blob).unwrap();
    fs::rename(template, all._directory.path().join("aside")).unwrap();
    for path in [blob.as_path(), template] {
        symlink(path, path).unwrap();
    }
    flip(&all.imported, 8_000_000);
    let report = verify(&all.store);
    let mut found: Vec<_> =
        report.findings.iter().map(|found| (found.problem.kind(), found.path.as_path())).collect();
    found.sort();
    let expected = [("kind", &*blob), ("kind", template), ("unreadable", &*blob), ("unreadable", template)];
    assert!(expected.into_iter().all(|expected| found.contains(&expected)), "{found:?}");
    assert!(found.iter().any(|(_, path)| *path == all.imported), "{found:?}");
    let mended = all.store.repair(&report, &PullOptions::default(), &Quiet).unwrap();
    let fetched = mended.iter().filter(|mended| matches!(mended.outcome, Outcome::FetchedAgain));
    assert!(fetched.count() == 1 && blob.symlink_metadata().unwrap().is_file(), "{mended:?}");
    let mended = all.store.quarantine(&verify(&all.store), &Quiet).unwrap();
    assert!(mended.iter().any(|mended| mended.path == template && !template.is_symlink()), "{mended:?}");
}
