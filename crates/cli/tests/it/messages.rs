//! What people are told when something cannot be done: what, where, why, and what would help, on one line.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use offshoot_testkit::oracle;

use crate::program::text;
use crate::small::Small;

/// Of the template `base`.
fn id(small: &Small) -> String {
    text(small.template.parent().unwrap()).rsplit('/').next().unwrap().to_owned()
}

#[test]
fn what_cannot_be_read_says_why() {
    let small = Small::new();
    for (arguments, word) in [
        (&["pull", "Alpine"][..], "lower case"),
        (&["pull", "oci:"], "oci:DIR"),
        (&["pull", "alpine@sha256:zz"], "digest"),
        (&["build", "scratch:", "--inject", "file"], "SRC:DST"),
        (&["build", "scratch:", "--inject", "file:/x:9999"], "MODE"),
        (&["build", "scratch:", "--inject", "file:/../x"], ".."),
        (&["pull", "alpine", "--platform", "linux"], "os/architecture"),
    ] {
        let output = oracle::output(&mut small.store.command(arguments));
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        // What comes before it is clap's, and has the value's name and the value.
        let (_, why) = message.lines().next().unwrap().split_once(">': ").unwrap();
        assert!(why.contains(word), "{word}: {message}");
    }
}

#[test]
fn what_a_vmm_cannot_have_is_not_made() {
    let small = Small::new();
    for arguments in [
        &["clone", "base", "vm", "--strategy", "qcow2", "--print", "firecracker"][..],
        &["clone", "base", "vm", "--as", "dir", "--print", "qemu"],
        &["clone", "base", "vm", "--as", "dir", "--read-only", "--print", "libkrun"],
    ] {
        let (message, code) = small.store.fails(arguments);
        assert_eq!(code, 8, "{message}");
        assert!(!small.store.path.join("clones/vm").exists(), "{arguments:?}");
    }
    small.store.run(&["clone", "base", "vm", "--strategy", "qcow2", "--print", "qemu"]);
}

#[test]
fn a_template_that_is_not_whole_is_not_cloned() {
    let small = Small::new();
    let id = id(&small);
    small.store.run(&["clone", "base", "vm"]);
    let disk = &small.template;
    let image = format!("dir:{}", text(&small.directory.join("files")));
    let output = small.directory.join("output");
    let break_it: [&dyn Fn(); 2] = [
        &|| {
            fs::set_permissions(disk, Permissions::from_mode(0o600)).unwrap();
            fs::File::options().write(true).open(disk).unwrap().set_len(4096).unwrap();
        },
        &|| fs::remove_file(disk).unwrap(),
    ];
    for damage in break_it {
        damage();
        for arguments in [
            &["clone", "base", "vm-2"][..],
            &["clone", "base", "vm-2", "--strategy", "qcow2"],
            &["clone", "base", "vm-2", "--strategy", "hardlink", "--read-only"],
            &["reset", "vm"],
            &["build", &image, "--size", "16M", "-o", text(&output)],
        ] {
            let (message, code) = small.store.fails(arguments);
            assert_eq!(code, 5, "{arguments:?}: {message}");
            assert!(message.contains(id.as_str()) && message.contains("verify --repair"), "{message}");
            assert!(!small.store.path.join("clones/vm-2").exists() && !output.exists(), "{arguments:?}");
        }
    }
    small.store.run(&["verify", "--repair"]);
    small.store.run(&["clone", "base", "vm-2"]);
}

#[test]
fn records_that_cannot_be_read_have_the_remedy_that_is_theirs() {
    let small = Small::new();
    let id = id(&small);
    small.store.run(&["clone", "base", "vm"]);
    for (file, command, remedy) in [
        ("names/base.json".to_owned(), "templates", "offshoot verify"),
        (format!("templates/{}/template.json", id.as_str()), "templates", "offshoot verify"),
        ("clones/vm/clone.json".to_owned(), "clones", "release the clone"),
        ("offshoot.json".to_owned(), "clones", "put back"),
    ] {
        let path = small.store.path.join(&file);
        let before = fs::read(&path).unwrap();
        fs::write(&path, "{").unwrap();
        let (message, code) = small.store.fails(&[command]);
        assert_eq!(code, 5, "{file}: {message}");
        assert!(message.contains(&file) && message.contains(remedy), "{file}: {message}");
        fs::write(&path, before).unwrap();
    }
    small.store.run(&["clones"]);
}

#[test]
fn names_are_told_apart_from_what_is_said_of_them() {
    let small = Small::new();
    for (arguments, words) in [
        (&["inspect", ""][..], "there is no template, clone or image \"\" in the store"),
        (&["inspect", "a\u{1b}[2Jb"], "image \"a\\u{1b}[2Jb\" in the store"),
        (&["remove", "nothing"], "\"nothing\""),
        (&["grow", "nobody", "1G"], "there is no clone \"nobody\" in the store"),
    ] {
        let (message, code) = small.store.fails(arguments);
        assert_eq!(code, 3, "{message}");
        assert!(message.contains(words), "{message}");
    }
}
