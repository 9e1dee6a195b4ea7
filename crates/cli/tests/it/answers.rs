//! What the program says, and its exit code, where a clone cannot be had or changed.

use std::fs;

use offshoot_testkit::oracle;

use crate::disks;
use crate::program::text;
use crate::small::{SIZE, Small};

const USAGE: i32 = 2;
const NOT_FOUND: i32 = 3;
const CONFLICT: i32 = 4;
const INTEGRITY: i32 = 5;
const UNSUPPORTED: i32 = 8;

/// A filesystem that somebody has mounted and not unmounted, and one with an error.
fn with_state(small: &Small, state: &str) -> std::path::PathBuf {
    let file = small.directory.join(format!("state-{state}"));
    oracle::run(oracle::command("cp").args(["--no-preserve=mode"]).arg(&small.template).arg(&file));
    let request = format!("set_super_value state {state}");
    oracle::run(oracle::command("debugfs").args(["-w", "-R", &request]).arg(&file));
    file
}

#[test]
fn refusals() {
    if !oracle::available(&["debugfs", "cp"]) {
        return;
    }
    let small = Small::new();
    let other = small.store.run(&["build", "scratch:", "--name", "other"]);
    let base = text(small.template.parent().unwrap().file_name().unwrap().as_ref()).to_owned();
    small.clone("vm", &["--size", "40M"]);
    small.clone("overlay", &["--strategy", "qcow2"]);
    small.clone("ro", &["--read-only"]);
    let garbage = small.directory.join("garbage");
    fs::write(&garbage, [b'x'; 8192]).unwrap();
    let empty = small.directory.join("empty");
    fs::write(&empty, b"").unwrap();
    let (mounted, failed) = (with_state(&small, "0"), with_state(&small, "3"));
    let missing = small.directory.join("missing");
    let bytes = |bytes: u64| bytes.to_string();
    let cases: Vec<(Vec<&str>, i32, Vec<String>)> = vec![
        (vec!["clone", "base", "vm", "--size", "1G"], CONFLICT, vec![bytes(40 << 20), bytes(1 << 30)]),
        (vec!["clone", "other", "vm"], CONFLICT, vec![base, other]),
        (vec!["clone", "base", "vm", "--strategy", "qcow2"], CONFLICT, vec!["copy".into(), "qcow2".into()]),
        (
            vec!["clone", "base", "overlay", "--strategy", "copy"],
            CONFLICT,
            vec!["copy".into(), "qcow2".into()],
        ),
        (vec!["clone", "base", "vm", "--read-only"], CONFLICT, vec!["false".into(), "true".into()]),
        (
            vec!["clone", "base", "vm", "--fresh-uuid"],
            CONFLICT,
            vec!["its own".into(), "the template's".into()],
        ),
        (vec!["clone", "base", "new", "--size", "8M"], CONFLICT, vec!["would lose data".into(), bytes(SIZE)]),
        (
            vec!["clone", "base", "new", "--strategy", "qcow2", "--size", "8M"],
            CONFLICT,
            vec!["would lose data".into()],
        ),
        (
            vec!["grow", "vm", "20M"],
            CONFLICT,
            vec!["would lose data".into(), bytes(40 << 20), bytes(20 << 20)],
        ),
        (vec!["grow", "overlay", "8M"], CONFLICT, vec!["would lose data".into()]),
        (vec!["grow", "ro", "40M"], CONFLICT, vec!["read-only".into()]),
        (vec!["clone", "base", "new", "--strategy", "hardlink"], USAGE, vec!["read-only".into()]),
        (
            vec!["clone", "base", "new", "--strategy", "hardlink", "--read-only", "--size", "1G"],
            USAGE,
            vec!["a size".into()],
        ),
        (
            vec!["clone", "base", "new", "--strategy", "qcow2", "--inject", "/bin/sh:/sh"],
            USAGE,
            vec!["qcow2".into()],
        ),
        (vec!["import", "name", text(&garbage)], INTEGRITY, vec![text(&garbage).into()]),
        (vec!["import", "name", text(&empty)], INTEGRITY, vec![text(&empty).into()]),
        (vec!["import", "name", text(&mounted)], CONFLICT, vec![text(&mounted).into()]),
        (vec!["import", "name", text(&failed)], CONFLICT, vec![text(&failed).into()]),
        (vec!["import", "name", "/dev/null"], USAGE, vec!["/dev/null".into()]),
        (vec!["import", "name", text(&missing)], NOT_FOUND, vec![text(&missing).into()]),
        (vec!["grow", "nobody", "1G"], NOT_FOUND, vec!["nobody".into()]),
        (vec!["reset", "nobody"], NOT_FOUND, vec!["nobody".into()]),
        (vec!["snapshot", "nobody", "name"], NOT_FOUND, vec!["nobody".into()]),
    ];
    let before = (small.stamps("clones"), small.stamps("templates"), small.stamps("names"));
    for (arguments, code, said) in cases {
        let (message, actual) = small.store.fails(&arguments);
        assert_eq!(actual, code, "{arguments:?}: {message}");
        for part in said {
            assert!(message.contains(&part), "{arguments:?}: {part}: {message}");
        }
        small.nothing_unfinished(&message);
    }
    assert_eq!((small.stamps("clones"), small.stamps("templates"), small.stamps("names")), before);
}

#[test]
fn a_reflink_where_nothing_can_be_shared() {
    let small = Small::new();
    if offshoot_testkit::reflink_supported(&small.directory) {
        return;
    }
    let (message, code) = small.store.fails(&["clone", "base", "new", "--strategy", "reflink"]);
    assert_eq!(code, UNSUPPORTED, "{message}");
    assert!(message.contains("reflink") || message.contains("share"), "{message}");
    assert!(small.clones().is_empty());
    small.nothing_unfinished(&message);
}

/// A growth where a last group would be too small is rounded down, and says so.
#[test]
fn a_size_that_is_rounded_down_is_told() {
    let small = Small::new();
    small.clone("vm", &[]);
    let mut grow = small.store.command(&["grow", "vm", "131328K"]);
    let output = oracle::output(&mut grow);
    assert!(output.status.success(), "{}", oracle::describe(&grow, &output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&(128_u64 << 20).to_string()) && said.contains(&(131_328_u64 << 10).to_string()),
        "{said}"
    );
    assert_eq!(small.record("vm").unwrap()["size_bytes"], 128 << 20);
    // Asked for again, it is as large as it can be.
    small.store.run(&["grow", "vm", "131328K"]);
}

/// What each VMM is told of a disk of each format.
#[test]
fn configurations() {
    let small = Small::new();
    let print = |vm: &str, vmm: &str, options: &[&str]| {
        let arguments = [&["clone", "base", vm, "--print", vmm], options].concat();
        oracle::output(&mut small.store.command(&arguments))
    };
    let qcow2 = ["--strategy", "qcow2"];
    for (vmm, raw, overlay) in [
        ("firecracker", vec!["\"path_on_host\"", "\"is_read_only\": false"], None),
        (
            "cloud-hypervisor",
            vec!["image_type=raw"],
            Some(vec!["image_type=qcow2", "backing_files=on", "num_queues=1"]),
        ),
        ("qemu", vec!["\"driver\":\"raw\""], Some(vec!["\"driver\":\"qcow2\"", "\"backing\":"])),
        ("libkrun", vec!["KRUN_DISK_FORMAT_RAW"], Some(vec!["KRUN_DISK_FORMAT_QCOW2"])),
    ] {
        for (vm, options, file, expected) in
            [("raw", &[][..], "rootfs.ext4", Some(raw)), ("overlay", &qcow2, "rootfs.qcow2", overlay)]
        {
            let output = print(vm, vmm, options);
            let Some(expected) = expected else {
                assert_eq!(output.status.code(), Some(UNSUPPORTED), "{vmm} {vm}: {output:?}");
                continue;
            };
            let printed = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success() && printed.contains(file), "{vmm} {vm}: {printed}");
            assert!(expected.iter().all(|word| printed.contains(word)), "{vmm} {vm}: {printed}");
        }
    }
    let (raw, overlay) = (small.record("raw").unwrap(), small.record("overlay").unwrap());
    assert_eq!((raw["format"].as_str(), overlay["format"].as_str()), (Some("raw"), Some("qcow2")));
}

#[test]
fn a_store_that_was_moved() {
    if !oracle::available(&disks::ORACLES) {
        return;
    }
    let mut small = Small::new();
    small.clone("vm", &["--strategy", "qcow2"]);
    let disk = small.store.path.join("clones/vm/rootfs.qcow2");
    disks::scribble(&disk, SIZE, 7);
    let moved = small.directory.join("elsewhere/deeper/store");
    fs::create_dir_all(moved.parent().unwrap()).unwrap();
    fs::rename(&small.store.path, &moved).unwrap();
    small.store.path = moved;
    let disk = small.clone("vm", &["--strategy", "qcow2"]);
    assert!(disk.starts_with(&small.store.path), "{}", disk.display());
    let raw = disks::Raw::of(&disk, small.directory.join("raw"));
    assert_eq!(raw.sound("moved"), SIZE);
    let written = fs::read(raw.path()).unwrap();
    assert!(written[written.len() - 4096..].iter().all(|byte| *byte == 7));
    drop(raw);
    small.store.run(&["grow", "vm", "40M"]);
    small.store.run(&["snapshot", "vm", "taken"]);
    small.store.run(&["reset", "vm"]);
    small.store.run(&["release", "vm"]);
}
