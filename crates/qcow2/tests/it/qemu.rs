//! QEMU's programs, which judge.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use offshoot_testkit::oracle;
use tempfile::TempDir;

/// Whether they are there.
pub(crate) fn available() -> bool {
    oracle::available(&["qemu-img", "qemu-io"])
}

/// Runs `qemu-img` in the directory and gives what it prints.
pub(crate) fn img(directory: &Path, arguments: &[&str]) -> String {
    oracle::run(command("qemu-img", directory).args(arguments))
}

/// Runs commands of `qemu-io` on an overlay.
pub(crate) fn io(directory: &Path, file: &str, commands: &[&str]) -> String {
    let mut command = command("qemu-io", directory);
    command.args(["-f", "qcow2"]);
    for text in commands {
        command.args(["-c", text]);
    }
    oracle::run(command.arg(file))
}

/// `qemu-img check` finds nothing wrong with the overlay, leaks included.
pub(crate) fn check(directory: &Path, file: &str) {
    img(directory, &["check", "-f", "qcow2", file]);
}

/// `qemu-img check` finds nothing worse than leaked clusters: these are its exit code 3.
pub(crate) fn check_but_for_leaks(directory: &Path, file: &str, what: &str) {
    let mut command = command("qemu-img", directory);
    let output = oracle::output(command.args(["check", "-f", "qcow2", file]));
    let clean = matches!(output.status.code(), Some(0 | 3));
    assert!(clean, "{what}: {}", oracle::describe(&command, &output));
}

/// What the guest sees, by QEMU.
pub(crate) fn guest_bytes(directory: &Path, file: &str) -> Vec<u8> {
    img(directory, &["convert", "-f", "qcow2", "-O", "raw", file, "converted.raw"]);
    fs::read(directory.join("converted.raw")).unwrap()
}

fn command(program: &str, directory: &Path) -> Command {
    let mut command = oracle::command(program);
    command.current_dir(directory);
    command
}

/// A directory with a backing file of so many bytes, whose contents follow from the place alone.
pub(crate) fn with_backing(bytes: usize) -> (TempDir, PathBuf, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let backing = directory.path().join("backing.raw");
    let contents: Vec<u8> = (0..bytes).map(|at| (at / 512 % 251 + 1) as u8).collect();
    fs::write(&backing, &contents).unwrap();
    (directory, backing, contents)
}
