//! Commands that are killed at each call with which they change something: what they leave is whole, and the same
//! command again does what it should.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use offshoot_testkit::{Filesystem, ScratchFilesystem, Sha256, oracle, sha256_file};
use serde_json::Value;

use crate::disks::{self, Raw};
use crate::kill_points::{self, Point};
use crate::small::{SIZE, Small, traced};

/// A command, and where it is killed.
struct Case {
    /// Makes what the command needs.
    prepare: fn(&Small),
    command: &'static [&'static str],
    /// Takes away what the command made.
    undo: fn(&Small),
    outcome: Outcome,
    /// Killed at so many points, evenly chosen; at all of them in the long form.
    points: usize,
}

/// What a clone's disk holds that the command was killed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// What it held before, or what the command makes of it, always the same.
    OldOrNew,
    /// A sound filesystem of the old or the new size.
    Sound,
    /// As `OldOrNew`, but what it held before is damaged.
    NewOrDamaged,
}

fn soak() -> bool {
    std::env::var_os("OFFSHOOT_SOAK").is_some()
}

/// On the filesystem where everything else is; in the long form also where blocks can be shared.
fn kill(case: &Case) {
    kill_on(case, &[None]);
    if soak() {
        kill_on(case, &[Some(Filesystem::Xfs), Some(Filesystem::Btrfs)]);
    }
}

/// The same where blocks can be shared, in the short form too.
fn kill_sharing(case: &Case) {
    kill_on(case, &[Some(Filesystem::Xfs)]);
    if soak() {
        kill_on(case, &[None, Some(Filesystem::Btrfs)]);
    }
}

fn kill_on(case: &Case, filesystems: &[Option<Filesystem>]) {
    if !oracle::available(&["strace"]) || !oracle::available(&disks::ORACLES) {
        return;
    }
    for filesystem in filesystems {
        match filesystem {
            None => kill_everywhere(case, &Small::new(), "here"),
            Some(filesystem) if filesystem.available() => {
                let scratch = ScratchFilesystem::new(*filesystem, 2 << 30);
                kill_everywhere(case, &Small::within(scratch.path()), filesystem.name());
            }
            Some(_) => {}
        }
    }
}

fn kill_everywhere(case: &Case, small: &Small, place: &str) {
    let file = small.directory.join("import.ext4").display().to_string();
    let command: Vec<&str> =
        case.command.iter().map(|&word| if word == "FILE" { file.as_str() } else { word }).collect();
    let program = small.store.command(&command);
    let trace = small.directory.join("trace");

    (case.prepare)(small);
    oracle::run(&mut traced(&program, &trace, &["-e", &kill_points::calls()]));
    let made = look(small, case, "untouched");
    small.nothing_unfinished("untouched");
    (case.undo)(small);
    let points = kill_points::points(&fs::read_to_string(&trace).unwrap(), soak());
    assert!(points.len() > 3, "{points:?}");

    let run_killed = |point: &Point| {
        let injection = point.injection();
        let mut strace = traced(&program, &trace, &["-e", &injection[0], "-e", &injection[1]]);
        let output = oracle::output(&mut strace);
        let killed = output.status.signal() == Some(9);
        assert!(killed || output.status.success(), "{point:?}: {}", oracle::describe(&strace, &output));
        killed
    };
    let mut killed = 0;
    let chosen = chosen(&points, if soak() { usize::MAX } else { case.points });
    for (index, point) in chosen.iter().enumerate() {
        let what = format!("{place}: {command:?}, killed at {point:?}");
        (case.prepare)(small);
        let before = look_if_any(small, case, &what);
        killed += u32::from(run_killed(point));
        let left = look_if_any(small, case, &what);
        let expected = match case.outcome {
            Outcome::Sound => true,
            // Moved aside, and not made anew yet.
            Outcome::NewOrDamaged if left.is_none() => true,
            _ => left == before || left == made,
        };
        assert!(expected, "{what}: {left:?}");
        if soak() {
            // Its second run meets the same fate somewhere else.
            let again = chosen[index * 7 % chosen.len()];
            killed += u32::from(run_killed(again));
            look_if_any(small, case, &format!("{what}, then at {again:?}"));
        }
        small.store.run(&command);
        let after = look(small, case, &what);
        assert!(case.outcome == Outcome::Sound || after == made, "{what}");
        small.nothing_unfinished(&what);
        (case.undo)(small);
    }
    println!("{place}: {command:?}: {} points, {killed} killed", chosen.len());
    let kills = chosen.len() * if soak() { 2 } else { 1 };
    // Threads do not always come to the same calls, and a second run has less to do.
    assert!(killed as usize * 2 > kills, "{killed} of {kills}");
}

/// So many of them: the first, the last, and evenly what lies between.
fn chosen(points: &[Point], count: usize) -> Vec<&Point> {
    if points.len() <= count {
        return points.iter().collect();
    }
    (0..count).map(|index| &points[index * (points.len() - 1) / (count - 1)]).collect()
}

/// What the clone's disk holds, if there is a clone; `Some(None)` where its disk is damaged, as it may be.
type Contents = Option<Option<Sha256>>;

/// Looks at all that there is in the store before another command tidies it up.
fn look_if_any(small: &Small, case: &Case, what: &str) -> Contents {
    templates_are_whole(small, what);
    let entries: Vec<_> = fs::read_dir(small.store.path.join("clones")).unwrap().flatten().collect();
    assert!(entries.len() <= 1, "{what}: {entries:?}");
    if entries.is_empty() {
        return None;
    }
    let record = small.record("vm").unwrap_or_else(|| panic!("{what}: a clone without a record"));
    let directory = small.store.path.join("clones/vm");
    let disk = directory.join(if record["format"] == "qcow2" { "rootfs.qcow2" } else { "rootfs.ext4" });
    if case.outcome == Outcome::NewOrDamaged && is_damaged(&disk) {
        return Some(None);
    }
    let writable = disk.metadata().unwrap().permissions().mode() & 0o222 != 0;
    assert_eq!(writable, record["read_only"] == false, "{what}");
    let raw = Raw::of(&disk, small.directory.join("raw"));
    let length = raw.path().metadata().unwrap().len();
    // Before the journal is replayed, which the digest must not see.
    let digest = (case.outcome != Outcome::Sound).then(|| raw.digest());
    let size = raw.sound(what);
    let sizes = [record["size_bytes"].as_u64(), record["growing_to_bytes"].as_u64()];
    assert!(sizes.contains(&Some(length)) && sizes.contains(&Some(size)), "{what}: {length} {size} {record}");
    Some(digest)
}

/// The same once the command has done its work, and the program's own list.
fn look(small: &Small, case: &Case, what: &str) -> Contents {
    let contents = look_if_any(small, case, what);
    let damaged = case.outcome == Outcome::NewOrDamaged && !matches!(contents, Some(Some(_)));
    assert!(!damaged, "{what}: {contents:?}");
    let record = small.record("vm");
    assert_eq!(record.as_ref().and_then(|record| record.get("growing_to_bytes")), None, "{what}");
    let clones = small.clones();
    assert_eq!(clones.len(), usize::from(contents.is_some()), "{what}: {clones:?}");
    if let (Some(clone), Some(record)) = (clones.first(), record) {
        assert_eq!(clone["size_bytes"], record["size_bytes"], "{what}");
        assert!(Path::new(clone["path"].as_str().unwrap()).is_file(), "{what}");
    }
    contents
}

fn is_damaged(disk: &Path) -> bool {
    fs::read(disk).map_or(true, |bytes| disks::is_overlay(disk) && !bytes.starts_with(b"QFI\xfb"))
}

/// Each template is there as a whole and cannot be written; each name stands for one of them.
fn templates_are_whole(small: &Small, what: &str) {
    for entry in fs::read_dir(small.store.path.join("templates")).unwrap() {
        let directory = entry.unwrap().path();
        let record: Value =
            serde_json::from_slice(&fs::read(directory.join("template.json")).unwrap()).unwrap();
        let disk = directory.join("rootfs.ext4");
        let metadata = disk.metadata().unwrap();
        assert_eq!(record["size_bytes"], metadata.len(), "{what}");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o444, "{what}");
        if record["origin"] == "imported" {
            assert_eq!(record["id"], sha256_file(&disk).to_string(), "{what}");
        } else if record["origin"].get("snapshot").is_some() {
            // All snapshots here are of the same clone.
            let raw = Raw::of(&disk, small.directory.join("template"));
            assert_eq!(raw.digest(), sha256_file(&small.directory.join("snapshot.raw")), "{what}");
        }
    }
    for entry in fs::read_dir(small.store.path.join("names")).unwrap() {
        let name: Value = serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let id = name["id"].as_str().unwrap();
        assert!(small.store.path.join("templates").join(id).is_dir(), "{what}: {name}");
    }
}

fn nothing(_: &Small) {}

fn release(small: &Small) {
    small.store.run(&["release", "vm"]);
}

/// A clone in which its VM has written.
fn used(small: &Small, options: &[&str]) {
    let disk = small.clone("vm", options);
    disks::scribble(&disk, SIZE, 5);
}

/// Takes away all templates but the first; nobody has the store open.
fn forget(small: &Small, name: &str) {
    let base = small.template.parent();
    for entry in fs::read_dir(small.store.path.join("templates")).unwrap() {
        let template = entry.unwrap().path();
        if Some(template.as_path()) != base {
            fs::remove_dir_all(template).unwrap();
        }
    }
    let _ = fs::remove_file(small.store.path.join("names").join(name).with_extension("json"));
}

const CLONE: Case = Case {
    prepare: nothing,
    command: &["clone", "base", "vm"],
    undo: release,
    outcome: Outcome::OldOrNew,
    points: 20,
};

#[test]
fn clone_by_reflink() {
    kill_sharing(&CLONE);
}

#[test]
fn clone_by_copy() {
    kill(&Case { command: &["clone", "base", "vm", "--strategy", "copy"], ..CLONE });
}

#[test]
fn clone_by_overlay() {
    kill(&Case { command: &["clone", "base", "vm", "--strategy", "qcow2", "--size", "40M"], ..CLONE });
}

#[test]
fn clone_by_hard_link() {
    kill(&Case { command: &["clone", "base", "vm", "--strategy", "hardlink", "--read-only"], ..CLONE });
}

#[test]
fn clone_of_another_size_and_uuid() {
    kill(&Case {
        command: &["clone", "base", "vm", "--size", "1G", "--fresh-uuid"],
        outcome: Outcome::Sound,
        ..CLONE
    });
}

#[test]
fn clone_that_is_not_synced() {
    kill(&Case { command: &["clone", "base", "vm", "--ephemeral", "--read-only"], ..CLONE });
}

#[test]
fn clone_with_files_of_its_own() {
    let command = &["clone", "base", "vm", "--inject", "/bin/sh:/bin/sh"];
    kill(&Case { command, points: 25, ..CLONE });
}

#[test]
fn clone_in_the_place_of_a_damaged_one() {
    kill(&Case {
        prepare: |small| {
            let disk = small.clone("vm", &["--strategy", "qcow2"]);
            fs::File::options().write(true).open(disk).unwrap().write_all_at(b"XXXX", 0).unwrap();
        },
        command: &["clone", "base", "vm", "--strategy", "qcow2", "--recreate"],
        outcome: Outcome::NewOrDamaged,
        ..CLONE
    });
}

#[test]
fn grow_in_place() {
    kill(&Case {
        prepare: |small| used(small, &[]),
        command: &["grow", "vm", "1G"],
        outcome: Outcome::Sound,
        points: 20,
        ..CLONE
    });
}

#[test]
fn grow_inside_an_overlay() {
    kill(&Case {
        // What is written then has its place in the overlay already: nothing is hidden until a table says so.
        prepare: |small| {
            used(small, &["--strategy", "qcow2"]);
            small.store.run(&["grow", "vm", "40M"]);
        },
        command: &["grow", "vm", "1G"],
        outcome: Outcome::Sound,
        points: 20,
        ..CLONE
    });
}

#[test]
fn grow_on_a_copy() {
    kill(&Case {
        prepare: |small| {
            small.store.run(&["build", "scratch:", "--no-journal", "--size", "16M", "--name", "plain"]);
            small.store.run(&["clone", "plain", "vm"]);
        },
        command: &["grow", "vm", "40M"],
        outcome: Outcome::OldOrNew,
        ..CLONE
    });
}

#[test]
fn reset() {
    kill_sharing(&Case { prepare: |small| used(small, &[]), command: &["reset", "vm"], ..CLONE });
}

#[test]
fn reset_of_a_grown_overlay() {
    kill(&Case {
        prepare: |small| {
            used(small, &["--strategy", "qcow2"]);
            small.store.run(&["grow", "vm", "40M"]);
        },
        command: &["reset", "vm"],
        ..CLONE
    });
}

#[test]
fn release_of_a_clone() {
    kill(&Case { prepare: |small| used(small, &[]), command: &["release", "vm"], undo: nothing, ..CLONE });
}

const SNAPSHOT: Case = Case {
    prepare: |small| {
        let expected = small.directory.join("snapshot.raw");
        if !expected.exists() {
            used(small, &[]);
            let raw = Raw::of(&small.store.path.join("clones/vm/rootfs.ext4"), small.directory.join("raw"));
            fs::rename(raw.path(), expected).unwrap();
        }
    },
    command: &["snapshot", "vm", "name"],
    undo: |small| forget(small, "name"),
    ..CLONE
};

#[test]
fn snapshot() {
    kill_sharing(&SNAPSHOT);
}

#[test]
fn snapshot_of_an_overlay() {
    kill(&Case {
        prepare: |small| {
            let expected = small.directory.join("snapshot.raw");
            if !expected.exists() {
                used(small, &["--strategy", "qcow2"]);
                let disk = small.store.path.join("clones/vm/rootfs.qcow2");
                let raw = Raw::of(&disk, small.directory.join("raw"));
                fs::rename(raw.path(), expected).unwrap();
            }
        },
        ..SNAPSHOT
    });
}

#[test]
fn import() {
    kill(&Case {
        prepare: |small| {
            let file = small.directory.join("import.ext4");
            if !file.exists() {
                oracle::run(oracle::command("cp").arg(&small.template).arg(&file));
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
                disks::scribble(&file, SIZE, 9);
            }
        },
        command: &["import", "name", "FILE"],
        undo: |small| forget(small, "name"),
        ..CLONE
    });
}
