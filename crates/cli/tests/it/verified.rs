//! What `verify` prints, and how it ends.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use offshoot_testkit::oracle;
use serde_json::Value;

use crate::program::failure;
use crate::small::Small;

const NOT_FOUND: i32 = 3;
const INTEGRITY: i32 = 5;

fn flip(path: &Path, offset: u64) {
    let mode = path.metadata().unwrap().permissions();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 4], offset).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

#[test]
fn findings_are_lines_or_json_and_repaired() {
    let small = Small::new();
    small.clone("vm", &["--strategy", "qcow2"]);
    assert_eq!(small.store.run(&["verify"]), "");
    assert_eq!(small.store.run(&["verify", "--quick", "vm", "base"]), "");
    let offset = 12 << 20;
    flip(&small.template, offset);
    assert_eq!(small.store.run(&["verify", "--quick"]), "", "contents are not read");

    let mut command = small.store.command(&["verify"]);
    let output = oracle::output(&mut command);
    assert_eq!(output.status.code(), Some(INTEGRITY), "{}", oracle::describe(&command, &output));
    let line = String::from_utf8(output.stdout).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    let path = small.template.to_str().unwrap();
    for word in [path, &offset.to_string(), "--repair", "needed by", "clone vm", "name base"] {
        assert!(line.contains(word), "{word}: {line}");
    }
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "offshoot: one thing is wrong in the store\n");

    let output = oracle::output(&mut small.store.command(&["verify", "--format", "json"]));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["version"], &value["left"]), (&1.into(), &1.into()));
    let finding = &value["findings"][0];
    assert_eq!(finding["problem"], "not_zero");
    assert_eq!(finding["offset"], offset);
    assert_eq!(finding["subject"]["kind"], "template");
    assert_eq!(finding["path"], path);
    assert_eq!(finding["dependants"].as_array().unwrap().len(), 2);

    let mended = small.store.run(&["verify", "--repair"]);
    assert!(mended.ends_with("it is built again"), "{mended}");
    assert_eq!(small.store.run(&["verify"]), "");

    flip(&small.template, offset);
    let record = small.template.with_file_name("template.json");
    fs::write(&record, "{}").unwrap();
    let mut command = small.store.command(&["verify", "--repair", "--quarantine", "--format", "json"]);
    let output = oracle::output(&mut command);
    assert_eq!(output.status.code(), Some(INTEGRITY), "its name and its clone have lost it");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let outcomes: Vec<_> = value["mended"].as_array().unwrap().iter().map(|item| &item["outcome"]).collect();
    assert_eq!(outcomes, ["left", "set_aside"]);
    assert!(Path::new(value["mended"][1]["quarantine"].as_str().unwrap()).join("template.json").is_file());
}

#[test]
fn what_is_not_there_and_what_cannot_be_opened() {
    let small = Small::new();
    let (message, code) = small.store.fails(&["verify", "nothing-of-that-name"]);
    assert_eq!(code, NOT_FOUND, "{message}");
    let format = small.store.path.join("offshoot.json");
    let good = fs::read_to_string(&format).unwrap();
    for (bad, code) in [
        (good.replace(": 1", ": 2"), INTEGRITY),
        ("{\"format\": 2}\n".to_owned(), 8),
        ("{\"format\": 1, \"incompat\": [\"shiny\"]}\n".to_owned(), 8),
        ("{".to_owned(), INTEGRITY),
    ] {
        fs::write(&format, &bad).unwrap();
        for arguments in [&["verify"][..], &["clones"], &["clone", "base", "vm"]] {
            let mut command = small.store.command(arguments);
            let (message, found) = failure(&oracle::output(&mut command), &command);
            assert_eq!(found, code, "{bad}: {message}");
            assert!(message.contains(small.store.path.to_str().unwrap()), "{message}");
        }
    }
    fs::remove_file(&format).unwrap();
    oracle::run(oracle::command("mkfifo").arg(&format));
    let (message, code) = small.store.fails(&["verify"]);
    assert_eq!(code, INTEGRITY, "{message}");
}

/// What was moved aside is not there any more; that does not make the rest right.
#[test]
fn of_several_names_each_is_looked_at_again() {
    let small = Small::new();
    let disk = small.clone("vm-1", &[]);
    small.clone("vm-2", &["--strategy", "qcow2"]);
    fs::write(disk.with_file_name("clone.json"), "{").unwrap();
    let overlay = small.store.path.join("clones/vm-2/rootfs.qcow2");
    fs::set_permissions(&overlay, Permissions::from_mode(0o602)).unwrap();
    let outcome = |arguments: &[&str]| {
        let mut command = small.store.command(arguments);
        let output = oracle::output(&mut command);
        (
            output.status.code().unwrap(),
            serde_json::from_slice::<Value>(&output.stdout).unwrap()["left"].clone(),
        )
    };
    let command = ["verify", "--quarantine", "--format", "json", "vm-1", "vm-2"];
    assert_eq!(outcome(&command), (INTEGRITY, 1.into()));
    assert!(!disk.exists());
    fs::set_permissions(&overlay, Permissions::from_mode(0o600)).unwrap();
    // What needs what was moved aside is a finding from then on, though it was not named.
    let id = small.template.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    flip(&small.template, 12 << 20);
    let command = ["verify", "--quarantine", "--format", "json", &id];
    assert_eq!(outcome(&command), (INTEGRITY, 3.into()), "a name, a clone and its overlay");
    let (message, code) = small.store.fails(&["verify", &id]);
    assert_eq!(code, NOT_FOUND, "{message}");
    // A name that stands for nothing is removed as the finding says.
    let line = oracle::output(&mut small.store.command(&["verify", "base"])).stdout;
    assert!(String::from_utf8_lossy(&line).contains("remove the name"), "{}", String::from_utf8_lossy(&line));
    small.store.run(&["release", "vm-2"]);
    small.store.run(&["remove", "base"]);
    assert_eq!(small.store.run(&["verify"]), "");
}

#[test]
fn programs_are_told_what_is_read() {
    let small = Small::new();
    let mut command = small.store.command(&["verify", "--progress", "json"]);
    let output = oracle::output(&mut command);
    assert!(output.status.success(), "{}", oracle::describe(&command, &output));
    let told = String::from_utf8(output.stderr).unwrap();
    let events = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let (mut things, mut finished, mut to_read, mut read) = (None, 0, 0, 0);
    for event in events {
        match event["event"].as_str().unwrap() {
            "verify_started" => things = event["things"].as_u64(),
            "verify_reading" => {
                assert!(["blob", "layer", "template"].contains(&event["kind"].as_str().unwrap()), "{event}");
                assert!(event["digest"].as_str().unwrap().starts_with("sha256:"), "{event}");
                to_read += event["bytes"].as_u64().unwrap();
            }
            "verify_read" => read += event["bytes"].as_u64().unwrap(),
            "verify_finished" => finished += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!((things, to_read), (Some(finished), read), "{told}");
    assert!(read > 600_000 && finished > 15, "{told}");
}

#[test]
fn the_doctor_leaves_nothing_and_says_what_there_is() {
    let small = Small::new();
    let list = || oracle::run(oracle::command("find").arg(&small.directory).args(["-printf", "%p %m %i\n"]));
    let before = list();
    let table = small.store.run(&["doctor"]);
    for word in ["STATE", "reflink", "holes", "locks", "free space", "kernel", "resize2fs", "strategy"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    let new = small.directory.join("not/yet");
    let mut command = small.store.command(&["doctor", "--format", "json", "--store"]);
    let output = oracle::run(command.arg(&new));
    let value: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((&value["version"], &value["usable"]), (&1.into(), &true.into()));
    let probe = |name: &str| {
        let mut probes = value["probes"].as_array().unwrap().iter();
        probes.find(|probe| probe["name"] == name).unwrap_or_else(|| panic!("{name}: {value}")).clone()
    };
    // What the kernel's own tools say of the same filesystem.
    let sample = small.directory.join("sample");
    fs::write(&sample, [1; 65536]).unwrap();
    let mut cp = oracle::command("cp");
    cp.arg("--reflink=always").arg(&sample).arg(small.directory.join("clone"));
    let can_share = oracle::output(&mut cp).status.success();
    for file in ["sample", "clone"] {
        let _ = fs::remove_file(small.directory.join(file));
    }
    assert_eq!(probe("reflink")["state"] == "ok", can_share);
    assert_eq!(value["strategy"], if can_share { "reflink" } else { "copy" });
    assert_eq!(probe("locks")["state"], "ok");
    assert_eq!(list(), before);
    // A place where there can be no store.
    let mut command = small.store.command(&["doctor", "--store", "/proc/none"]);
    let output = oracle::output(&mut command);
    assert_eq!(output.status.code(), Some(8), "{}", oracle::describe(&command, &output));
}
