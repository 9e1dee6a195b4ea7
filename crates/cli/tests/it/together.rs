//! Several processes that want something of one store at once.

use std::collections::HashSet;
use std::process::{Child, Output, Stdio};

use offshoot_testkit::{oracle, sha256_file};

use crate::cases::soak;
use crate::disks::{self, Raw};
use crate::program::Store;
use crate::small::{SIZE, Small};

fn start(store: &Store, arguments: &[&str]) -> Child {
    let mut command = store.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs them at once; their exit codes, and what they said on standard output or else on standard error.
fn race(store: &Store, commands: &[&[&str]]) -> Vec<(i32, String)> {
    let children: Vec<Child> = commands.iter().map(|arguments| start(store, arguments)).collect();
    children.into_iter().map(|child| ended(&child.wait_with_output().unwrap())).collect()
}

fn ended(output: &Output) -> (i32, String) {
    let said = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    (output.status.code().unwrap(), String::from_utf8_lossy(said).trim_end().to_owned())
}

fn rounds(short: u32) -> u32 {
    if soak() { short * 20 } else { short }
}

#[test]
fn of_two_who_clone_for_one_vm_both_get_the_same() {
    let small = Small::new();
    for round in 0..rounds(30) {
        let command: &[&str] = match round % 3 {
            0 => &["clone", "base", "vm"],
            1 => &["clone", "base", "vm", "--strategy", "qcow2"],
            _ => &["clone", "base", "vm", "--ephemeral", "--size", "40M"],
        };
        let ended = race(&small.store, &[command; 2]);
        assert_eq!(ended[0].0, 0, "{ended:?}");
        assert_eq!(ended[0], ended[1]);
        assert_eq!(small.clones().len(), 1);
        small.store.run(&["release", "vm"]);
        small.nothing_unfinished(&format!("round {round}"));
    }
}

#[test]
fn of_two_templates_for_one_vm_one_wins() {
    let small = Small::new();
    let other = small.store.run(&["build", "scratch:", "--name", "other"]);
    let base = small.template.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let mut winners = HashSet::new();
    for round in 0..rounds(30) {
        let mut commands: [&[&str]; 2] = [&["clone", "base", "vm"], &["clone", "other", "vm"]];
        if round % 2 == 1 {
            commands.reverse();
        }
        let mut ended = race(&small.store, &commands);
        ended.sort();
        assert_eq!((ended[0].0, ended[1].0), (0, 4), "{ended:?}");
        let message = &ended[1].1;
        assert!(message.contains(&base) && message.contains(&other), "{message}");
        let winner = small.record("vm").unwrap()["template"]["id"].as_str().unwrap().to_owned();
        // It is what it says: the template's bytes.
        let digest = |id: &str| sha256_file(&small.store.path.join("templates").join(id).join("rootfs.ext4"));
        assert_eq!(sha256_file(ended[0].1.as_ref()), digest(&winner));
        winners.insert(winner);
        small.store.run(&["release", "vm"]);
        small.nothing_unfinished(&format!("round {round}"));
    }
    println!("{} different winners", winners.len());
}

#[test]
fn two_hundred_processes_with_vms_of_their_own() {
    let small = Small::new();
    let ids: Vec<String> = (0..200).map(|number| format!("vm/{number}")).collect();
    let commands: Vec<[&str; 3]> = ids.iter().map(|id| ["clone", "base", id]).collect();
    let commands: Vec<&[&str]> = commands.iter().map(|command| &command[..]).collect();
    let ended = race(&small.store, &commands);
    let failed: Vec<_> = ended.iter().filter(|(code, _)| *code != 0).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let paths: HashSet<&String> = ended.iter().map(|(_, path)| path).collect();
    assert_eq!(paths.len(), 200);
    let clones = small.clones();
    let listed: HashSet<&str> = clones.iter().map(|clone| clone["vm_id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids.iter().map(String::as_str).collect());
    small.store.run(&[&["release"], &ids.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat());
    assert_eq!(small.clones().len(), 0);
    small.nothing_unfinished("released");
}

/// A VM's disk that is sound and of the recorded size.
fn sound(small: &Small, disk: &str, what: &str) {
    let raw = Raw::of(disk.as_ref(), small.directory.join("raw"));
    let size = small.record("vm").unwrap()["size_bytes"].as_u64().unwrap();
    assert_eq!(raw.path().metadata().unwrap().len(), size, "{what}");
    assert_eq!(raw.sound(what), size, "{what}");
}

#[test]
fn two_growths_are_as_one_after_the_other() {
    if !oracle::available(&disks::ORACLES) {
        return;
    }
    let small = Small::new();
    for round in 0..rounds(15) {
        let strategy = ["copy", "qcow2"][round as usize % 2];
        let disk = small.clone("vm", &["--strategy", strategy]);
        let ended = race(&small.store, &[&["grow", "vm", "300M"], &["grow", "vm", "600M"]]);
        assert_eq!(ended[1].0, 0, "{ended:?}");
        // The smaller one came first, or would shrink what the larger one made.
        assert!(ended[0].0 == 0 || (ended[0].0 == 4 && ended[0].1.contains("lose data")), "{ended:?}");
        assert_eq!(small.record("vm").unwrap()["size_bytes"], 600 << 20);
        sound(&small, disk.to_str().unwrap(), &format!("round {round}"));
        small.store.run(&["release", "vm"]);
        small.nothing_unfinished(&format!("round {round}"));
    }
}

#[test]
fn a_snapshot_beside_a_reset_is_of_before_or_after() {
    if !oracle::available(&disks::ORACLES) {
        return;
    }
    let small = Small::new();
    let after = sha256_file(&small.template);
    for round in 0..rounds(15) {
        let strategy = ["copy", "qcow2"][round as usize % 2];
        let disk = small.clone("vm", &["--strategy", strategy]);
        disks::scribble(&disk, SIZE, 3);
        let before = Raw::of(&disk, small.directory.join("raw")).digest();
        assert_ne!(before, after);
        let ended = race(&small.store, &[&["reset", "vm"], &["snapshot", "vm", "taken"]]);
        assert_eq!((ended[0].0, ended[1].0), (0, 0), "{ended:?}");
        let taken = sha256_file(&small.store.path.join("templates").join(&ended[1].1).join("rootfs.ext4"));
        assert!([before, after].contains(&taken), "round {round}");
        assert_eq!(Raw::of(&disk, small.directory.join("raw")).digest(), after, "round {round}");
        small.store.run(&["release", "vm"]);
        small.nothing_unfinished(&format!("round {round}"));
    }
}

#[test]
fn a_release_beside_a_clone_leaves_one_or_none() {
    let small = Small::new();
    for round in 0..rounds(30) {
        let strategy = ["copy", "qcow2"][round as usize % 2];
        small.clone("vm", &["--strategy", strategy]);
        let ended =
            race(&small.store, &[&["clone", "base", "vm", "--strategy", strategy], &["release", "vm"]]);
        assert_eq!((ended[0].0, ended[1].0), (0, 0), "{ended:?}");
        // Found and then released, or released and then made.
        for clone in small.clones() {
            assert_eq!(clone["path"], ended[0].1.as_str());
            assert!(std::path::Path::new(&ended[0].1).is_file());
        }
        small.store.run(&["release", "vm"]);
        small.nothing_unfinished(&format!("round {round}"));
    }
}

#[test]
fn a_release_beside_a_growth_leaves_nothing() {
    let small = Small::new();
    small.store.run(&["build", "scratch:", "--no-journal", "--size", "16M", "--name", "plain"]);
    for round in 0..rounds(30) {
        let options: &[&str] = match round % 3 {
            0 => &["clone", "base", "vm"],
            1 => &["clone", "base", "vm", "--strategy", "qcow2"],
            // Grown on a copy.
            _ => &["clone", "plain", "vm"],
        };
        small.store.run(options);
        let ended = race(&small.store, &[&["grow", "vm", "300M"], &["release", "vm"]]);
        assert_eq!(ended[1].0, 0, "{ended:?}");
        // Grown and then released, or released and then not found.
        assert!([0, 3].contains(&ended[0].0), "{ended:?}");
        assert!(small.clones().is_empty(), "{ended:?}");
        small.nothing_unfinished(&format!("round {round}"));
    }
}

#[test]
fn of_two_who_make_a_lost_clone_anew_one_does() {
    let small = Small::new();
    for round in 0..rounds(30) {
        let damage: fn(&std::path::Path) = match round % 3 {
            0 => |disk| std::fs::remove_file(disk).unwrap(),
            1 => |disk| std::fs::write(disk, b"no header").unwrap(),
            _ => |disk| std::fs::write(disk.with_file_name("clone.json"), b"no record").unwrap(),
        };
        damage(&small.clone("vm", &["--strategy", "qcow2"]));
        let command: &[&str] = &["clone", "base", "vm", "--strategy", "qcow2", "--recreate"];
        let ended = race(&small.store, &[command; 2]);
        assert_eq!((ended[0].0, &ended[0]), (0, &ended[1]), "round {round}");
        let quarantined = std::fs::read_dir(small.store.path.join("quarantine")).unwrap().count();
        assert_eq!(quarantined, round as usize + 1, "what one of them made is not taken from under its VM");
        small.store.run(&["release", "vm"]);
        small.nothing_unfinished(&format!("round {round}"));
    }
}
