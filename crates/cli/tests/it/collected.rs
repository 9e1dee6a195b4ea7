//! `gc` and `remove`: what they say, what they free, and what is left of them when they are killed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle, used_bytes};
use serde_json::Value;

use crate::cases::soak;
use crate::disks;
use crate::kill_points;
use crate::program::{Store, failure};
use crate::small::{SIZE, Small, traced};

const AT_ONCE: [&str; 3] = ["gc", "--grace", "0s"];

fn json(store: &Store, arguments: &[&str]) -> Value {
    let arguments = [&["--format", "json", "--quiet"], arguments].concat();
    serde_json::from_str(&store.run(&arguments)).unwrap()
}

/// What there is in a store, without times.
fn contents(store: &Path) -> BTreeSet<String> {
    let mut list = oracle::command("find");
    oracle::run(list.arg(store).args(["-printf", "%P %y %s %m\n"])).lines().map(str::to_owned).collect()
}

/// A store in which something of each kind has become garbage, beside what has not.
fn with_garbage(directory: &Path) -> Small {
    let small = Small::within(directory);
    let store = &small.store;
    let image = format!("dir:{}", directory.join("files").display());
    small.clone("vm", &[]);
    store.run(&["build", &image, "--size", "24M"]);
    store.run(&["build", &image, "--name", "named", "--size", "32M"]);
    // The image moves on; only what is named or stood on is left of the first one.
    fs::write(directory.join("files/d/file"), [8; 200_000]).unwrap();
    store.run(&["build", &image, "--name", "new", "--size", "16M"]);
    store.run(&["snapshot", "vm", "snapshot"]);
    store.run(&["snapshot", "vm", "snapshot"]);
    small.clone("session", &["--strategy", "qcow2"]);
    let record = store.path.join("clones/session/clone.json");
    let mut session = small.record("session").unwrap();
    session["session"] = "1f-2e-0".into();
    fs::write(&record, serde_json::to_vec(&session).unwrap()).unwrap();
    fs::create_dir_all(store.path.join("tmp/1f-2e-0.3/deep")).unwrap();
    fs::write(store.path.join("tmp/1f-2e-0.3/deep/file"), [1; 100_000]).unwrap();
    fs::write(store.path.join("locks/layers-x"), "").unwrap();
    fs::write(store.path.join("owners/1f-2e-0"), "").unwrap();
    fs::write(store.path.join("downloads/x.partial"), [1; 5000]).unwrap();
    small
}

#[test]
fn what_is_planned_is_done_and_frees_what_was_said() {
    /// What the filesystem's own trees may change.
    const NOISE: u64 = 256 << 10;
    for filesystem in [Filesystem::Xfs, Filesystem::Btrfs, Filesystem::Ext4] {
        if !filesystem.available() || !oracle::available(&["fsfreeze"]) {
            continue;
        }
        let scratch = ScratchFilesystem::new(filesystem, 512 << 20);
        let small = with_garbage(scratch.path());
        // What is written to a snapshot's clone is its own.
        let disk = small.clone("lived", &[]);
        disks::scribble(&disk, SIZE, 3);
        small.store.run(&["snapshot", "lived", "lived"]);
        small.store.run(&["release", "lived"]);
        small.store.run(&["snapshot", "vm", "lived"]);
        let before = used_bytes(scratch.path());
        let untouched = contents(&small.store.path);
        let planned = json(&small.store, &[&AT_ONCE[..], &["--dry-run"]].concat());
        assert_eq!(contents(&small.store.path), untouched, "only a plan");
        let done = json(&small.store, &AT_ONCE);
        let freed = before.saturating_sub(used_bytes(scratch.path()));
        let said = done["bytes"].as_u64().unwrap();
        println!("{}: said {said}, freed {freed}", filesystem.name());
        assert!(said.abs_diff(freed) <= NOISE, "{}: said {said}, freed {freed}", filesystem.name());
        assert!(said > 100_000, "{done}");
        assert_eq!((&planned["dry_run"], &done["dry_run"]), (&true.into(), &false.into()));
        let entries = |plan: &Value, state: &str| {
            let entries = plan["entries"].as_array().unwrap().iter();
            let entry = |entry: &Value| {
                assert_eq!(entry["state"], state, "{entry}");
                ["what", "id", "path", "reason", "bytes"].map(|field| entry[field].to_string())
            };
            entries.map(entry).collect::<Vec<_>>()
        };
        assert_eq!(entries(&planned, "planned"), entries(&done, "removed"));
        assert_eq!((&planned["bytes"], &planned["kept"]), (&done["bytes"], &done["kept"]));
        assert_eq!(json(&small.store, &AT_ONCE)["entries"], Value::Array(Vec::new()));
    }
}

#[test]
fn people_are_told_what_goes_and_why() {
    let directory = offshoot_testkit::scratch_directory();
    let small = with_garbage(directory.path());
    let plan = small.store.run(&[&AT_ONCE[..], &["-n", "-q"]].concat());
    let mut lines = plan.lines();
    let heading: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(heading, ["WHAT", "ID", "FREES", "STATE", "WHY"]);
    for line in [
        "staging   1f-2e-0.3",
        "lock      layers-x",
        "lock      1f-2e-0",
        "download  x.partial",
        "clone     session",
        "template  ",
        "blob      sha256:",
        "total     ",
    ] {
        assert!(plan.lines().any(|planned| planned.starts_with(line)), "{line} {plan}");
    }
    let output = oracle::output(&mut small.store.command(&AT_ONCE));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.starts_with("offshoot: kept: "), "{said}");
    assert!(said.contains("templates (named)") && said.contains("1 clone (not released)"), "{said}");
    assert_eq!(small.record("session"), None);
    // In a store with nothing to say of, there is nothing to say.
    let empty = Store::at(directory.path().join("empty"));
    assert!(oracle::output(&mut empty.command(&["gc"])).stderr.is_empty());
}

#[test]
fn what_cannot_be_read_is_told_after_the_rest_is_done() {
    let directory = offshoot_testkit::scratch_directory();
    let small = with_garbage(directory.path());
    let record = small.store.path.join("names/named.json");
    fs::write(&record, "{").unwrap();
    let mut command = small.store.command(&AT_ONCE);
    let output = oracle::output(&mut command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.lines().last().unwrap().contains("names/named.json"), "{said}");
    assert!(!output.stdout.is_empty() && small.record("session").is_none());
    let (_, code) = small.store.fails(&["remove", "named"]);
    assert_eq!(code, 5);
}

#[test]
fn room_that_cannot_be_made_is_told() {
    let directory = offshoot_testkit::scratch_directory();
    let small = Small::within(directory.path());
    let mut command = small.store.command(&["gc", "--keep-free", "100%", "--grace", "0", "--format", "json"]);
    let output = oracle::output(&mut command);
    assert_eq!(output.status.code(), Some(6), "{}", oracle::describe(&command, &output));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    let room = &plan["room"];
    let missing = room["wanted_bytes"].as_u64().unwrap() - room["available_bytes"].as_u64().unwrap();
    assert_eq!(room["missing_bytes"].as_u64().unwrap(), missing - plan["bytes"].as_u64().unwrap());
    assert_eq!(plan["entries"][0]["reason"], "room_wanted");
    assert_eq!(plan["entries"][0]["what"], "pack");
    // The template whose pack is gone still makes clones.
    small.clone("vm", &[]);
    let (message, code) = small.store.fails(&["clone", "base", "other", "--as", "dir"]);
    assert_eq!(code, 3, "{message}");
    small.store.run(&["gc", "--keep-free", "0"]);
    for bad in [["--keep-free", "101%"], ["--keep-free", "much"], ["--grace", "1"], ["--grace", "-1s"]] {
        let mut command = small.store.command(&[&["gc"], &bad[..]].concat());
        assert_eq!(oracle::output(&mut command).status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn remove_refuses_what_clones_stand_on() {
    let directory = offshoot_testkit::scratch_directory();
    let small = Small::within(directory.path());
    let image = format!("dir:{}", directory.path().join("files").display());
    let id = small.template.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    small.clone("vm-1", &[]);
    for name in ["base", &id, &image] {
        let (message, code) = small.store.fails(&["remove", name]);
        assert_eq!(code, 4, "{message}");
        assert!(message.contains("vm-1"), "{message}");
    }
    assert!(small.template.is_file());
    small.store.run(&["release", "vm-1"]);
    // All that can be are, also behind one that cannot.
    let mut command = small.store.command(&["remove", "nothing", "base", &image]);
    let (message, code) = failure(&oracle::output(&mut command), &command);
    assert_eq!(code, 3, "{message}");
    let mut command = small.store.command(&["remove", "nothing", "nowhere"]);
    let output = oracle::output(&mut command);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && told.lines().count() == 2, "{told}");
    assert!(told.contains("nothing") && told.contains("nowhere"), "each is told: {told}");
    assert!(!small.template.exists());
    assert_eq!(small.store.run(&["images"]).lines().count(), 1);
    small.store.run(&AT_ONCE);
    assert!(small.store.made().is_empty(), "{:?}", small.store.made());
}

/// Killed at each call with which something changes, then run again: nothing is lost, and nothing is left.
fn killed_everywhere(command: &[&str], done: &[i32]) {
    if !oracle::available(&["strace", "cp"]) {
        return;
    }
    let directory = offshoot_testkit::scratch_directory();
    let original = with_garbage(&directory.path().join("original"));
    let trace = directory.path().join("trace");
    let copy = |name: &str| {
        let copy = directory.path().join(name);
        let mut cp = oracle::command("cp");
        oracle::run(cp.args(["-a", "--sparse=always"]).arg(&original.store.path).arg(&copy));
        Store::at(copy)
    };
    let whole = copy("whole");
    oracle::run(&mut traced(&whole.command(command), &trace, &["-e", &kill_points::calls()]));
    let soak = soak();
    let points = kill_points::points(&fs::read_to_string(&trace).unwrap(), soak);
    let step = if soak { 1 } else { points.len().div_ceil(40) };
    let points: Vec<_> = points.into_iter().step_by(step).collect();
    whole.run(&AT_ONCE);
    let expected = contents(&whole.path);
    let mut killed = 0;
    for point in &points {
        let store = copy("killed");
        let injection = point.injection();
        let mut strace = traced(&store.command(command), &trace, &["-e", &injection[0], "-e", &injection[1]]);
        let output = oracle::output(&mut strace);
        killed += u32::from(output.status.signal() == Some(9));
        is_valid(&store, &format!("{command:?} killed at {point:?}"));
        let again = oracle::output(&mut store.command(command));
        assert!(done.contains(&again.status.code().unwrap()), "{point:?}: {again:?}");
        store.run(&AT_ONCE);
        assert_eq!(contents(&store.path), expected, "{command:?} killed at {point:?}");
        fs::remove_dir_all(&store.path).unwrap();
    }
    println!("{command:?}: {} points, {killed} killed", points.len());
    assert!(killed as usize * 10 > points.len() * 9, "{killed} of {}", points.len());
}

/// Each name and each clone has its template, each record can be read, and no image has lost a blob or pack.
fn is_valid(store: &Store, what: &str) {
    for list in ["images", "templates", "clones"] {
        store.run(&[list]);
    }
    let template = |id: &Value| store.path.join("templates").join(id.as_str().unwrap()).join("rootfs.ext4");
    for entry in fs::read_dir(store.path.join("names")).unwrap() {
        let name: Value = serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        assert!(template(&name["id"]).is_file(), "{what}: {name}");
    }
    for clone in json(store, &["clones"])["items"].as_array().unwrap() {
        assert!(template(&clone["template"]["id"]).is_file(), "{what}: {clone}");
        assert!(Path::new(clone["path"].as_str().unwrap()).is_file(), "{what}: {clone}");
    }
    for image in json(store, &["images"])["items"].as_array().unwrap() {
        let blobs = [&image["manifest_digest"], &image["config_digest"]];
        let layers = image["layers"].as_array().unwrap().iter().map(|layer| &layer["diff_id"]);
        let hex = |digest: &Value| digest.as_str().unwrap().split_once(':').unwrap().1.to_owned();
        for blob in blobs {
            assert!(store.path.join("blobs/sha256").join(hex(blob)).is_file(), "{what}: {image}");
        }
        for layer in layers {
            assert!(store.path.join("layers").join(hex(layer)).join("data").is_file(), "{what}: {image}");
        }
    }
}

#[test]
fn a_killed_collection_leaves_a_valid_store_and_the_next_one_finishes() {
    killed_everywhere(&AT_ONCE, &[0]);
}

#[test]
fn an_image_whose_packs_were_evicted_is_pulled_again() {
    let directory = offshoot_testkit::scratch_directory();
    let small = with_garbage(directory.path());
    let image = format!("dir:{}", directory.path().join("files").display());
    let mut gc = small.store.command(&["gc", "--grace", "0", "--keep-free", "100%"]);
    assert_eq!(oracle::output(&mut gc).status.code(), Some(6));
    assert_eq!(fs::read_dir(small.store.path.join("layers")).unwrap().count(), 0);
    small.store.run(&["build", &image]);
    small.clone("other", &[]);
    small.store.run(&["clone", "new", "directory", "--as", "dir"]);
}

#[test]
fn a_killed_removal_is_done_or_not() {
    killed_everywhere(&["remove", "named"], &[0, 3]);
}

/// What a collection says, in JSON, when these calls of it fail.
fn gc_with(store: &Store, trace: &Path, injection: &[&str]) -> (Value, Option<i32>) {
    let arguments = [&["--format", "json", "-q"], &AT_ONCE[..]].concat();
    let output = oracle::output(&mut traced(&store.command(&arguments), trace, injection));
    let code = output.status.code();
    (serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}")), code)
}

#[test]
fn what_fails_is_told_to_programs_with_its_cause() {
    if !oracle::available(&["strace"]) {
        return;
    }
    let directory = offshoot_testkit::scratch_directory();
    let small = Small::within(directory.path());
    let trace = directory.path().join("trace");
    let leftover = small.store.path.join("tmp/1f-2e-0.3");
    fs::write(&leftover, "half").unwrap();
    let (done, code) = gc_with(&small.store, &trace, &["-e", "inject=unlink,unlinkat:error=EIO"]);
    assert_eq!(code, Some(1), "{done}");
    let failed = &done["entries"][0];
    assert_eq!(failed["state"], "failed", "{done}");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("cannot remove ") && error.contains("Input/output error"), "{error}");
    let done = json(&small.store, &AT_ONCE);
    assert!(done["entries"].as_array().unwrap().iter().all(|entry| entry.get("error").is_none()), "{done}");
    assert!(small.store.made().iter().all(|made| !made.contains("tmp/")), "{:?}", small.store.made());
}

/// What was taken out of sight, and may be back when the power fails, is not emptied.
#[test]
fn what_is_not_gone_for_good_stays_whole() {
    if !oracle::available(&["strace"]) {
        return;
    }
    let directory = offshoot_testkit::scratch_directory();
    let small = with_garbage(directory.path());
    let templates = small.store.path.join("templates");
    let injection = ["-P", templates.to_str().unwrap(), "-e", "inject=fsync,fdatasync:error=EIO"];
    let (done, code) = gc_with(&small.store, &directory.path().join("trace"), &injection);
    assert_eq!(code, Some(1), "{done}");
    let failed: Vec<_> =
        done["entries"].as_array().unwrap().iter().filter(|entry| entry["state"] == "failed").collect();
    assert!(!failed.is_empty(), "{done}");
    for entry in &failed {
        assert_eq!(entry["what"], "template", "{done}");
        let error = entry["error"].as_str().unwrap();
        assert!(error.contains("/templates: ") && error.contains("Input/output error"), "{error}");
    }
    let kept = fs::read_dir(small.store.path.join("tmp")).unwrap();
    let whole = kept.filter(|kept| {
        let path = kept.as_ref().unwrap().path();
        path.join("rootfs.ext4").is_file() && path.join("template.json").is_file()
    });
    assert_eq!(whole.count(), failed.len());
    json(&small.store, &AT_ONCE);
    assert_eq!(fs::read_dir(small.store.path.join("tmp")).unwrap().count(), 0);
}

/// The same of what is removed by name, or has another in its place.
#[test]
fn what_is_not_removed_or_replaced_for_good_stays_whole() {
    if !oracle::available(&["strace"]) {
        return;
    }
    let cases =
        [(["remove", "base"], "templates", "template.json"), (["reset", "vm"], "clones", "clone.json")];
    for (arguments, area, record) in cases {
        let directory = offshoot_testkit::scratch_directory();
        let small = Small::within(directory.path());
        let disk = if area == "clones" { small.clone("vm", &[]) } else { small.template.clone() };
        let inode = disk.metadata().unwrap().ino();
        let area = small.store.path.join(area);
        let injection = ["-P", area.to_str().unwrap(), "-e", "inject=fsync,fdatasync:error=EIO"];
        let trace = directory.path().join("trace");
        let mut command = traced(&small.store.command(&arguments), &trace, &injection);
        let (message, code) = failure(&oracle::output(&mut command), &command);
        assert_eq!(code, 1, "{message}");
        assert!(message.contains("Input/output error"), "{message}");
        let kept: Vec<_> = fs::read_dir(small.store.path.join("tmp")).unwrap().flatten().collect();
        assert_eq!(kept.len(), 1, "{arguments:?}: {kept:?}");
        let kept = kept[0].path();
        assert_eq!(kept.join("rootfs.ext4").metadata().unwrap().ino(), inode, "{arguments:?}");
        assert!(kept.join(record).is_file(), "{arguments:?}");
        small.nothing_unfinished(arguments[0]);
    }
}

#[test]
fn what_becomes_unreadable_meanwhile_is_told() {
    if !oracle::available(&["strace"]) {
        return;
    }
    let directory = offshoot_testkit::scratch_directory();
    let small = with_garbage(directory.path());
    let trace = directory.path().join("trace");
    // The plan reads it once, and each look behind a claim once more.
    let record = small.store.path.join("names/named.json");
    let from_the_second_on = ["-P", record.to_str().unwrap(), "-e", "inject=openat:error=EIO:when=2+"];
    let (done, code) = gc_with(&small.store, &trace, &from_the_second_on);
    assert_eq!(code, Some(5), "{done}");
    let problems = done["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{done}");
    let problem = problems[0].as_str().unwrap();
    assert!(problem.contains("names/named.json: Input/output error"), "{problem}");
    // What it may speak of stays.
    let template =
        done["entries"].as_array().unwrap().iter().find(|entry| entry["what"] == "template").unwrap();
    assert_eq!(template["state"], "kept", "{done}");
}
