//! VM ids as they come from outside.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use offshoot_testkit::oracle;

use crate::small::Small;

/// All that there is in the directory of the store, but not in the store.
fn beside(small: &Small) -> String {
    let mut list = oracle::command("find");
    list.arg(&small.directory).args(["-path", "*/store/*", "-prune", "-o", "-printf", "%p %s %T@\n"]);
    // The store's own time changes with a file that is renamed into it.
    oracle::run(&mut list)
}

#[test]
fn ids_that_look_alike_are_clones_of_their_own() {
    let small = Small::new();
    let before = beside(&small);
    let long = "x".repeat(128);
    // 128 bytes of which each takes three in a file's name.
    let wide = "é".repeat(64);
    let ids = [
        "vm/1",
        "vm_1",
        "VM_1",
        "vm%2F1",
        "..",
        ".",
        "...",
        "a%2Fb",
        "a/b",
        "a//b",
        "/a/b",
        "../../escaped",
        "~",
        " ",
        "-",
        "%",
        "%%",
        "é",
        "e\u{301}",
        "clone.json",
        &long,
        &long[1..],
        &wide,
    ];
    let mut paths = Vec::new();
    for id in ids {
        let path = small.store.run(&["clone", "base", "--strategy", "qcow2", "--", id]);
        let path = std::path::PathBuf::from(path);
        assert!(path.is_file(), "{id}");
        let directory = path.parent().unwrap();
        assert_eq!(directory.parent(), Some(small.store.path.join("clones").as_path()), "{id}");
        assert!(!paths.contains(&path), "{id}: {}", path.display());
        paths.push(path);
    }
    let clones = small.clones();
    let mut listed: Vec<&str> = clones.iter().map(|clone| clone["vm_id"].as_str().unwrap()).collect();
    listed.sort_unstable();
    let mut expected = ids.to_vec();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    assert_eq!(beside(&small), before);
    // Each is released alone.
    for (index, id) in ids.iter().enumerate() {
        small.store.run(&["release", "--", id]);
        assert_eq!(small.clones().len(), ids.len() - index - 1, "{id}");
        assert!(!paths[index].exists() && paths[index + 1..].iter().all(|path| path.exists()), "{id}");
    }
    assert_eq!(beside(&small), before);
}

#[test]
fn what_is_no_id_is_a_wrong_call() {
    let small = Small::new();
    let before = (beside(&small), small.stamps("."));
    let long = "x".repeat(129);
    let wide = format!("{}x", "é".repeat(64));
    let cases: [&[u8]; 9] = [
        b"",
        b"a\nb",
        b"\x1b[2J",
        b"\x7f",
        "\u{85}".as_bytes(),
        long.as_bytes(),
        wide.as_bytes(),
        b"\xff",
        b"vm-\xc3",
    ];
    for id in cases {
        for arguments in [
            &["clone", "base", "ID"][..],
            &["grow", "ID", "1G"],
            &["reset", "ID"],
            &["snapshot", "ID", "name"],
            &["release", "ID"],
            &["release", "vm-1", "ID"],
        ] {
            let mut command = small.store.command(&[]);
            let word =
                |word: &&'static str| OsStr::from_bytes(if *word == "ID" { id } else { word.as_bytes() });
            command.args(arguments.iter().map(word));
            let output = oracle::output(&mut command);
            assert_eq!(output.status.code(), Some(2), "{}", oracle::describe(&command, &output));
            assert!(output.stdout.is_empty(), "{}", oracle::describe(&command, &output));
        }
    }
    assert_eq!((beside(&small), small.stamps(".")), before);
}
