//! Clones whose disk is lost, damaged or cannot be read.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use offshoot_testkit::oracle;

use crate::program::failure;
use crate::small::{SIZE, Small, traced};

const FAILURE: i32 = 1;
const INTEGRITY: i32 = 5;

/// What is in quarantine: the paths of all files, without the directories of their own.
fn quarantined(small: &Small) -> Vec<PathBuf> {
    let mut list = oracle::command("find");
    list.arg(small.store.path.join("quarantine")).args(["-mindepth", "2", "-printf", "%P\n"]);
    let mut paths: Vec<PathBuf> =
        oracle::run(&mut list).lines().map(|path| Path::new(path).components().skip(1).collect()).collect();
    paths.sort();
    paths
}

#[test]
fn a_lost_disk() {
    for strategy in ["copy", "qcow2"] {
        let small = Small::new();
        let disk = small.clone("vm", &["--strategy", strategy]);
        fs::remove_file(&disk).unwrap();
        for arguments in [
            &["clone", "base", "vm"][..],
            &["clone", "base", "vm", "--print", "qemu"],
            &["grow", "vm", "40M"],
            &["snapshot", "vm", "name"],
        ] {
            let (message, code) = small.store.fails(arguments);
            assert_eq!(code, INTEGRITY, "{arguments:?}: {message}");
            assert!(message.contains("missing") && message.contains(disk.to_str().unwrap()), "{message}");
        }
        assert!(!disk.exists() && quarantined(&small).is_empty());
        assert_eq!(small.clone("vm", &["--strategy", strategy, "--recreate"]), disk);
        assert!(disk.is_file());
        assert_eq!(quarantined(&small), ["reason.json", "vm", "vm/clone.json"].map(PathBuf::from));
        small.nothing_unfinished(strategy);
    }
}

#[test]
fn an_overlay_with_a_broken_header() {
    type Break = fn(&File);
    let breaks: [(&str, Break); 4] = [
        ("magic", |file| file.write_all_at(b"none", 0).unwrap()),
        ("too short", |file| file.set_len(50).unwrap()),
        ("empty", |file| file.set_len(0).unwrap()),
        ("version", |file| file.write_all_at(&[0xff; 4], 4).unwrap()),
    ];
    for (what, break_it) in breaks {
        let small = Small::new();
        let disk = small.clone("vm", &["--strategy", "qcow2"]);
        break_it(&File::options().write(true).open(&disk).unwrap());
        let bytes = fs::read(&disk).unwrap();
        let (message, code) = small.store.fails(&["clone", "base", "vm"]);
        assert_eq!(code, INTEGRITY, "{what}: {message}");
        assert!(message.contains("quarantine") && message.contains("--recreate"), "{what}: {message}");
        assert_eq!(quarantined(&small), ["reason.json", "rootfs.qcow2"].map(PathBuf::from), "{what}");
        let found =
            oracle::run(oracle::command("find").arg(&small.store.path).args(["-name", "rootfs.qcow2"]));
        assert_eq!(fs::read(found.trim_end()).unwrap(), bytes, "{what}: as it was");
        // Now it is lost.
        assert_eq!(small.store.fails(&["clone", "base", "vm"]).1, INTEGRITY, "{what}");
        assert_eq!(small.clone("vm", &["--strategy", "qcow2", "--recreate"]), disk, "{what}");
        assert!(fs::read(&disk).unwrap().starts_with(b"QFI\xfb"), "{what}");
    }
}

#[test]
fn an_overlay_without_its_template() {
    let small = Small::new();
    let disk = small.clone("vm", &["--strategy", "qcow2"]);
    let aside = small.template.with_extension("aside");
    fs::rename(&small.template, &aside).unwrap();
    for recreate in [&[][..], &["--recreate"]] {
        let before = fs::read(&disk).unwrap();
        let (message, code) = small.store.fails(&[&["clone", "base", "vm"], recreate].concat());
        assert_eq!(code, INTEGRITY, "{message}");
        assert!(message.contains(small.template.to_str().unwrap()), "{message}");
        // There is nothing to make it anew from.
        assert!(!message.contains("--recreate"), "{message}");
        assert_eq!(fs::read(&disk).unwrap(), before);
    }
    fs::rename(&aside, &small.template).unwrap();
    small.clone("vm", &["--recreate", "--strategy", "qcow2"]);
    assert!(quarantined(&small).is_empty());
}

fn found(small: &Small, name: &str) -> PathBuf {
    let found = oracle::run(oracle::command("find").arg(&small.store.path).args(["-name", name]));
    PathBuf::from(found.trim_end())
}

#[test]
fn a_disk_that_cannot_be_read_is_not_touched() {
    if !oracle::available(&["strace"]) {
        return;
    }
    let small = Small::new();
    let cases = [
        ("copy", "statx,newfstatat,lstat"),
        ("qcow2", "statx,newfstatat,lstat"),
        ("qcow2", "openat"),
        ("qcow2", "pread64,read"),
    ];
    for (index, (strategy, calls)) in cases.into_iter().enumerate() {
        let vm = format!("vm-{index}");
        let disk = small.clone(&vm, &["--strategy", strategy]);
        let before = small.stamps("clones");
        for recreate in [&[][..], &["--recreate"]] {
            let command = [&["clone", "base", &vm, "--strategy", strategy], recreate].concat();
            let inject = format!("inject={calls}:error=EIO");
            let trace = small.directory.join("trace");
            let options = ["-P", disk.to_str().unwrap(), "-e", &inject];
            let mut strace = traced(&small.store.command(&command), &trace, &options);
            let (message, code) = failure(&oracle::output(&mut strace), &strace);
            let trace = fs::read_to_string(&trace).unwrap();
            assert!(trace.contains("(INJECTED)"), "{trace}");
            assert_eq!(code, FAILURE, "{calls}: {message}");
            assert!(message.contains(disk.to_str().unwrap()), "{calls}: {message}");
            assert_eq!(small.stamps("clones"), before, "{calls}");
            assert!(quarantined(&small).is_empty(), "{calls}");
            small.nothing_unfinished(calls);
        }
        assert_eq!(small.clone(&vm, &["--strategy", strategy]), disk);
    }
}

#[test]
fn another_size_than_recorded() {
    let small = Small::new();
    let disk = small.clone("vm", &[]);
    File::options().write(true).open(&disk).unwrap().set_len(SIZE / 2).unwrap();
    let before = small.stamps("clones");
    let (message, code) = small.store.fails(&["clone", "base", "vm"]);
    assert_eq!(code, INTEGRITY, "{message}");
    for bytes in [SIZE, SIZE / 2] {
        assert!(message.contains(&bytes.to_string()), "{message}");
    }
    assert_eq!(small.stamps("clones"), before);
    small.clone("vm", &["--recreate"]);
    assert_eq!(disk.metadata().unwrap().len(), SIZE);
    assert_eq!(
        found(&small, "rootfs.ext4").to_str().unwrap().lines().count(),
        3,
        "the old, the new, the template"
    );
}
