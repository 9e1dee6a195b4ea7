use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use offshoot_testkit::{oracle, scratch_directory};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Store, text};

/// A store with one small template, `base`, and space beside it.
#[derive(Debug)]
pub(crate) struct Small {
    pub(crate) store: Store,
    /// The directory that the store is in.
    pub(crate) directory: PathBuf,
    /// The disk of `base`.
    pub(crate) template: PathBuf,
    _own: Option<TempDir>,
}

/// Bytes of the disk of `base`.
pub(crate) const SIZE: u64 = 16 << 20;

impl Small {
    pub(crate) fn new() -> Self {
        let own = scratch_directory();
        let made = Self::within(own.path());
        Self { _own: Some(own), ..made }
    }

    /// The same on another filesystem.
    pub(crate) fn within(directory: &Path) -> Self {
        let files = directory.join("files");
        fs::create_dir_all(files.join("d")).unwrap();
        fs::write(files.join("d/file"), [7; 300_000]).unwrap();
        let store = Store::at(directory.join("store"));
        let template = store.build(&[&format!("dir:{}", text(&files)), "--name", "base", "--size", "16M"]);
        Self { store, directory: directory.to_owned(), template, _own: None }
    }

    /// Makes a clone of `base`; its disk.
    pub(crate) fn clone(&self, vm: &str, options: &[&str]) -> PathBuf {
        PathBuf::from(self.store.run(&[&["clone", "base", vm], options].concat()))
    }

    /// What the record of a clone says, whose id is its own encoding; `None` where there is none.
    pub(crate) fn record(&self, vm: &str) -> Option<Value> {
        let bytes = fs::read(self.store.path.join("clones").join(vm).join("clone.json")).ok()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    /// What is listed of them all.
    pub(crate) fn clones(&self) -> Vec<Value> {
        let listed: Value = serde_json::from_str(&self.store.run(&["--format", "json", "clones"])).unwrap();
        listed["items"].as_array().unwrap().clone()
    }

    /// Nothing is left of what was being made, once what dead processes left is collected.
    pub(crate) fn nothing_unfinished(&self, what: &str) {
        self.store.run(&["gc", "--quiet"]);
        for part in ["tmp", "locks", "owners"] {
            self.nothing_in(part, what);
        }
    }

    /// The same without a collection but for locks, of which only the names may be left.
    pub(crate) fn nothing_staged(&self, what: &str) {
        self.nothing_in("tmp", what);
    }

    fn nothing_in(&self, part: &str, what: &str) {
        let left: Vec<_> = fs::read_dir(self.store.path.join(part)).unwrap().flatten().collect();
        assert!(left.is_empty(), "{what}: {left:?}");
    }

    /// All files and directories below the store, with what changes when they are changed.
    pub(crate) fn stamps(&self, part: &str) -> Vec<String> {
        let mut list = oracle::command("find");
        list.arg(self.store.path.join(part)).args(["-printf", "%p %i %m %n %s %T@ %C@\n"]);
        let mut stamps: Vec<String> = oracle::run(&mut list).lines().map(str::to_owned).collect();
        stamps.sort();
        stamps
    }
}

/// A command under strace, with its environment.
pub(crate) fn traced(program: &Command, trace: &Path, options: &[&str]) -> Command {
    let mut strace = oracle::command("strace");
    strace.args(["-f", "-qq", "-o"]).arg(trace).args(options);
    strace.arg(program.get_program()).args(program.get_args()).env_remove("OFFSHOOT_STORE");
    strace
}

/// Whether strace has lost sight of a thread of the program, whose end it then does not tell.
pub(crate) fn is_lost(output: &Output) -> bool {
    String::from_utf8_lossy(&output.stderr).contains("strace: Unexpected wait status")
}
