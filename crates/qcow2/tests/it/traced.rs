//! What strace sees of a flush, and what is left of one that it kills.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use offshoot_qcow2::{Access, Overlay, create};
use offshoot_testkit::oracle;

use crate::qemu;

/// Where a test that runs under strace finds its overlay.
const DIRECTORY: &str = "OFFSHOOT_QCOW2_TRACED";

fn write(access: Access) {
    let (own, _, _) = qemu::with_backing(1 << 20);
    let directory = std::env::var_os(DIRECTORY).map_or_else(|| own.path().to_owned(), PathBuf::from);
    if !directory.join("overlay").exists() {
        prepare(&directory);
    }
    let overlay = Overlay::open(&directory.join("overlay"), &directory.join("backing.raw"), access).unwrap();
    overlay.set_size_bytes(4 << 30).unwrap();
    // A cluster that is there, new ones, and a new table.
    for offset in [0, 1 << 17, 3 << 30] {
        overlay.write_at(offset, &[7; 1000]).unwrap();
    }
    overlay.flush().unwrap();
}

fn prepare(directory: &Path) {
    let _ = fs::remove_file(directory.join("overlay"));
    fs::write(directory.join("backing.raw"), vec![1; 1 << 20]).unwrap();
    create(&directory.join("overlay"), "backing.raw", 1 << 30).unwrap();
    let overlay =
        Overlay::open(&directory.join("overlay"), &directory.join("backing.raw"), Access::Write).unwrap();
    overlay.write_at(0, &[3; 1000]).unwrap();
    overlay.flush().unwrap();
}

#[test]
fn durable() {
    write(Access::WriteDurably);
}

#[test]
fn not_durable() {
    write(Access::Write);
}

/// One of the two tests above, under strace.
fn strace(directory: &Path, test: &str, options: &[&str]) -> Command {
    let mut strace = oracle::command("strace");
    strace.args(["-f", "-qq", "-o"]).arg(directory.join("trace")).args(options);
    strace.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--test-threads=1"]);
    strace.env(DIRECTORY, directory);
    strace
}

#[test]
fn a_durable_flush_syncs_between_its_stages() {
    if !oracle::available(&["strace"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (test, syncs) in [("traced::durable", 5), ("traced::not_durable", 0)] {
        prepare(directory.path());
        let trace = ["-e", "trace=pwrite64,fdatasync,fsync"];
        oracle::run(&mut strace(directory.path(), test, &trace));
        let trace = fs::read_to_string(directory.path().join("trace")).unwrap();
        let calls: Vec<&str> = trace.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        let is_sync = |call: &&str| call.starts_with("fdatasync(");
        assert_eq!(calls.iter().filter(|call| is_sync(call)).count(), syncs, "{test}: {trace}");
        let repeated = calls.windows(2).any(|two| two.iter().all(&is_sync));
        assert!(!repeated, "{test}: {trace}");
        assert_eq!(calls.last().is_some_and(is_sync), syncs > 0, "{test}: {trace}");
    }
}

#[test]
fn killed_at_any_call() {
    if !oracle::available(&["strace"]) || !qemu::available() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for number in 1..100 {
        prepare(directory.path());
        let inject = format!("inject=pwrite64,fdatasync:signal=KILL:when={number}");
        let trace = ["-e", "trace=pwrite64,fdatasync", "-e", &inject];
        let finished =
            oracle::output(&mut strace(directory.path(), "traced::durable", &trace)).status.success();
        qemu::check_but_for_leaks(directory.path(), "overlay", &format!("killed at call {number}"));
        let overlay = directory.path().join("overlay");
        let opened = Overlay::open(&overlay, &directory.path().join("backing.raw"), Access::Read).unwrap();
        let mut bytes = [0; 2000];
        opened.read_at(0, &mut bytes).unwrap();
        assert!([3, 7].contains(&bytes[0]) && bytes[..1000].iter().all(|byte| *byte == bytes[0]));
        assert!(bytes[1000..].iter().all(|byte| *byte == 1), "killed at call {number}");
        if finished {
            assert!(number > 8, "{number}");
            return;
        }
    }
    panic!("never finished");
}
