use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use offshoot_testkit::oracle;

/// The program: the one `OFFSHOOT_BIN` names (a release build, in `cargo xtask test`), or cargo's.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("OFFSHOOT_BIN").map_or_else(|| env!("CARGO_BIN_EXE_offshoot").into(), PathBuf::from)
}

/// A store, as the program sees it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) path: PathBuf,
}

impl Store {
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("--store").arg(&self.path).args(["--progress", "none"]).args(arguments);
        command.env_remove("OFFSHOOT_STORE").stdin(Stdio::null());
        command
    }

    /// What it prints, without the line's end; it must succeed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        oracle::run(&mut self.command(arguments)).trim_end().to_owned()
    }

    /// Builds an image; gives the path of its template's disk.
    pub(crate) fn build(&self, arguments: &[&str]) -> PathBuf {
        let id = self.run(&[&["build"], arguments].concat());
        let disk = self.path.join("templates").join(id).join("rootfs.ext4");
        assert!(disk.is_file(), "{} is not there", disk.display());
        disk
    }

    /// The one line on standard error with which it fails, and its exit code.
    pub(crate) fn fails(&self, arguments: &[&str]) -> (String, i32) {
        let mut command = self.command(arguments);
        failure(&oracle::output(&mut command), &command)
    }

    /// What is in the areas that hold anything made; `lock` and the like are not.
    pub(crate) fn made(&self) -> Vec<String> {
        let areas = ["layers", "templates", "names", "clones", "images", "tmp", "quarantine"];
        let entries = areas.iter().flat_map(|area| {
            let entries = fs::read_dir(self.path.join(area)).into_iter().flatten();
            entries.map(move |entry| format!("{area}/{}", entry.unwrap().file_name().display()))
        });
        let mut made: Vec<String> = entries.collect();
        made.sort();
        made
    }
}

pub(crate) fn failure(output: &Output, command: &Command) -> (String, i32) {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{}", oracle::describe(command, output));
    assert!(output.stdout.is_empty(), "a failure prints no result: {}", oracle::describe(command, output));
    assert_eq!(stderr.lines().count(), 1, "{}", oracle::describe(command, output));
    let code = output.status.code();
    (stderr, code.unwrap_or_else(|| panic!("{}", oracle::describe(command, output))))
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
