//! What `df` says that a store takes, and what is free when some of it goes.

use std::fs;

use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle, used_bytes};
use serde_json::Value;

use crate::disks;
use crate::small::{SIZE, Small};

/// What the filesystem's own trees may change.
const NOISE: u64 = 128 << 10;

fn df(small: &Small, options: &[&str]) -> Value {
    let options = [&["--format", "json", "df"], options].concat();
    serde_json::from_str(&small.store.run(&options)).unwrap()
}

fn bytes(usage: &Value, field: &str) -> u64 {
    usage[field].as_u64().unwrap_or_else(|| panic!("{field} of {usage}"))
}

/// What a template or clone would free.
fn exclusive(usage: &Value, name: &str) -> u64 {
    let mut items = usage["items"].as_array().unwrap().iter();
    bytes(
        items.find(|item| item["name"] == name).unwrap_or_else(|| panic!("{name} {usage}")),
        "exclusive_bytes",
    )
}

#[test]
fn what_a_clone_has_alone_becomes_free_with_it() {
    for filesystem in [Filesystem::Xfs, Filesystem::Btrfs, Filesystem::Ext4] {
        if !filesystem.available() || !oracle::available(&["fsfreeze"]) {
            continue;
        }
        let scratch = ScratchFilesystem::new(filesystem, 512 << 20);
        let small = Small::within(scratch.path());
        for (vm, options) in [
            ("vm/1", [].as_slice()),
            ("copy", &["--strategy", "copy"]),
            ("overlay", &["--strategy", "qcow2"]),
            ("link", &["--strategy", "hardlink", "--read-only"]),
        ] {
            let disk = small.clone(vm, options);
            if !options.contains(&"--read-only") {
                disks::scribble(&disk, SIZE, 1);
            }
        }
        used_bytes(scratch.path());
        let usage = df(&small, &["-v"]);
        assert_eq!(usage["version"], 1);
        let filesystem_bytes = rustix::fs::statvfs(scratch.path()).unwrap();
        assert_eq!(
            bytes(&usage["filesystem"], "total_bytes"),
            filesystem_bytes.f_blocks * filesystem_bytes.f_frsize
        );
        let clones = usage["parts"].as_array().unwrap().iter().find(|part| part["part"] == "clones").unwrap();
        assert_eq!(clones["count"], 4);
        assert!(bytes(clones, "exclusive_bytes") <= bytes(clones, "on_disk_bytes"));
        assert!(bytes(clones, "apparent_bytes") > 3 * SIZE && bytes(&usage["total"], "on_disk_bytes") < SIZE);
        let id = small.template.parent().unwrap().file_name().unwrap().to_str().unwrap();
        assert!(exclusive(&usage, id) < NOISE, "its clones have it too");
        for vm in ["copy", "overlay", "link", "vm/1"] {
            let before = used_bytes(scratch.path());
            let promised = exclusive(&df(&small, &["-v"]), vm);
            small.store.run(&["release", vm]);
            let freed = before.saturating_sub(used_bytes(scratch.path()));
            println!("{}: {vm}: {promised} promised, {freed} freed", filesystem.name());
            assert!(promised.abs_diff(freed) < NOISE, "{}: {vm}: {promised} {freed}", filesystem.name());
        }
        assert!(exclusive(&df(&small, &["-v"]), id) > 0);
    }
}

#[test]
fn it_is_a_table_too() {
    let small = Small::new();
    small.clone("vm/1", &[]);
    fs::write(small.store.path.join("quarantine/odd"), [7; 10_000]).unwrap();
    let plain = small.store.run(&["df"]);
    let parts: Vec<&str> = plain.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(
        parts,
        [
            "PART",
            "blobs",
            "packs",
            "templates",
            "clones",
            "downloads",
            "quarantine",
            "staging",
            "records",
            "total",
            "filesystem:"
        ]
    );
    let counts: Vec<&str> =
        plain.lines().skip(1).take(7).map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(counts, ["2", "1", "1", "1", "0", "1", "0"], "{plain}");
    assert_eq!(df(&small, &[]).get("items"), None);
    let verbose = small.store.run(&["df", "-v"]);
    assert!(verbose.starts_with(&plain[..plain.find("total").unwrap()]), "{verbose}");
    assert!(verbose.contains("clones     vm/1 "), "{verbose}");
}
