//! Filesystems that only `resize2fs` can grow.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use offshoot_testkit::oracle;

use crate::disks::{self, Raw};
use crate::program::{failure, text};
use crate::small::Small;

/// A store with such a filesystem as `foreign`, of 64 MiB.
fn foreign() -> Option<Small> {
    if !oracle::available(&["mke2fs", "resize2fs"]) || !oracle::available(&disks::ORACLES) {
        return None;
    }
    let small = Small::new();
    let file = small.directory.join("foreign");
    let mut make = oracle::command("mke2fs");
    make.args(["-q", "-t", "ext4", "-O", "sparse_super2"]).arg(&file).arg("64M");
    oracle::run(&mut make);
    small.store.run(&["import", "foreign", text(&file)]);
    Some(small)
}

fn script(small: &Small, body: &str) -> PathBuf {
    let path = small.directory.join("resizer");
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const COMMANDS: [&[&str]; 2] = [&["grow", "vm", "512M"], &["clone", "foreign", "new", "--size", "512M"]];

#[test]
fn resize2fs_does_what_is_not_known_here() {
    let Some(small) = foreign() else { return };
    small.store.run(&["clone", "foreign", "vm"]);
    let log = small.directory.join("log");
    let real = oracle::find("resize2fs").unwrap();
    let resizer =
        script(&small, &format!("echo \"$@\" >> {}\nexec {} \"$@\"", log.display(), real.display()));
    for arguments in COMMANDS {
        let mut command = small.store.command(arguments);
        command.env("MICROVM_RESIZE2FS_BIN", &resizer);
        let disk = oracle::run(&mut command);
        let raw = Raw::of(disk.trim_end().as_ref(), small.directory.join("raw"));
        assert_eq!(raw.sound(&format!("{arguments:?}")), 512 << 20);
        assert_eq!(raw.path().metadata().unwrap().len(), 512 << 20);
        small.nothing_unfinished(arguments[0]);
    }
    let runs = fs::read_to_string(log).unwrap();
    assert_eq!(runs.lines().count(), 2, "{runs}");
    assert!(runs.lines().all(|path| path.contains("/tmp/")), "only ever a copy: {runs}");
    // By itself it finds the system's.
    assert_eq!(small.store.run(&["grow", "vm", "1G"]), text(&small.store.path.join("clones/vm/rootfs.ext4")));
}

#[test]
fn what_resize2fs_says_is_in_the_error() {
    let Some(small) = foreign() else { return };
    small.store.run(&["clone", "foreign", "vm"]);
    let before = small.stamps("clones");
    let fails = script(&small, "echo 'no such day' >&2; echo 'nor night' >&2; exit 3");
    let nowhere = small.directory.join("nowhere");
    for arguments in COMMANDS {
        for (program, said) in
            [(&fails, ["no such day nor night", "exit status: 3"]), (&nowhere, ["nowhere", "--resize2fs"])]
        {
            let mut by_environment = small.store.command(arguments);
            by_environment.env("MICROVM_RESIZE2FS_BIN", program);
            let by_option = small.store.command(&[arguments, &["--resize2fs", text(program)]].concat());
            for mut command in [by_environment, by_option] {
                let (message, code) = failure(&oracle::output(&mut command), &command);
                assert!(said.iter().all(|part| message.contains(part)), "{message}");
                assert!(code == 1 || code == 8, "{code}: {message}");
                assert_eq!(small.stamps("clones"), before, "{message}");
                small.nothing_unfinished(&message);
            }
        }
    }
}

#[test]
fn an_interrupted_resize2fs_is_an_interrupt() {
    let Some(small) = foreign() else { return };
    small.store.run(&["clone", "foreign", "vm"]);
    let interrupted = script(&small, "exec env --default-signal=INT sh -c 'kill -INT $$'");
    for arguments in COMMANDS {
        let (message, code) = small.store.fails(&[arguments, &["--resize2fs", text(&interrupted)]].concat());
        assert_eq!(code, 130, "{message}");
        small.nothing_unfinished(&message);
    }
}

#[test]
fn inside_an_overlay_it_cannot_work() {
    let Some(small) = foreign() else { return };
    small.store.run(&["clone", "foreign", "vm", "--strategy", "qcow2"]);
    let (message, code) = small.store.fails(&["grow", "vm", "512M"]);
    assert_eq!(code, 8, "{message}");
    assert!(message.contains("qcow2"), "{message}");
    small.nothing_unfinished(&message);
    assert_eq!(small.record("vm").unwrap()["size_bytes"], 64 << 20);
}
