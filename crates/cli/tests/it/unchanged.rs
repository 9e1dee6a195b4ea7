//! What asks again for what is there changes nothing.

use std::fs;

use offshoot_testkit::oracle;

use crate::kill_points;
use crate::small::{Small, traced};

#[test]
fn the_same_clone_again_writes_nothing() {
    let small = Small::new();
    let kinds: [&[&str]; 6] = [
        &[],
        &["--strategy", "qcow2"],
        &["--strategy", "hardlink", "--read-only"],
        &["--size", "40M", "--fresh-uuid"],
        &["--ephemeral", "--read-only"],
        &["--strategy", "qcow2", "--size", "1G"],
    ];
    for (index, options) in kinds.iter().enumerate() {
        let vm = format!("vm-{index}");
        let disk = small.clone(&vm, options);
        let before = small.stamps(".");
        let command = small.store.command(&[&["clone", "base", &vm], *options].concat());
        let trace = small.directory.join("trace");
        let printed = if oracle::available(&["strace"]) {
            oracle::run(&mut traced(&command, &trace, &["-y", "-e", &kill_points::calls()]))
        } else {
            small.store.run(&[&["clone", "base", &vm], *options].concat())
        };
        assert_eq!(printed.trim_end(), disk.to_str().unwrap());
        assert_eq!(small.stamps("."), before, "{options:?}");
        // Neither did it change something and take it back.
        let store = small.store.path.to_str().unwrap();
        for call in fs::read_to_string(&trace).unwrap_or_default().lines().filter(|call| call.contains(store))
        {
            let name = call.split_once(' ').unwrap().1.trim_start().split('(').next().unwrap();
            let harmless = match name {
                "openat" => !call.contains("O_CREAT"),
                // Whoever made it may not have come to sync the directory that it is in.
                "flock" | "fsync" | "fcntl" | "ioctl" => true,
                // Its answer.
                "write" => call.contains("write(1<"),
                _ => false,
            };
            assert!(harmless, "{options:?}: {call}");
        }
        small.nothing_unfinished(&vm);
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    let small = Small::new();
    small.store.run(&["build", "scratch:", "--name", "other"]);
    small.clone("vm", &["--size", "40M"]);
    small.clone("ro", &["--read-only"]);
    let before = small.stamps("clones");
    let refused: [&[&str]; 8] = [
        &["clone", "other", "vm"],
        &["clone", "base", "vm", "--size", "50M"],
        &["clone", "base", "vm", "--size", "1M"],
        &["clone", "base", "vm", "--read-only"],
        &["clone", "base", "vm", "--fresh-uuid"],
        &["clone", "base", "vm", "--strategy", "qcow2", "--recreate"],
        &["grow", "vm", "20M"],
        &["grow", "ro", "40M"],
    ];
    for arguments in refused {
        let (message, code) = small.store.fails(arguments);
        assert_eq!(code, 4, "{message}");
        assert_eq!(small.stamps("clones"), before, "{arguments:?}");
        small.nothing_unfinished(&message);
    }
}
