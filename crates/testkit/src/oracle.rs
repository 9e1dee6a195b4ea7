//! Programs of others that judge what offshoot makes: e2fsck, umoci, mount, …
//!
//! A test asks [`available`] first and returns when that says no:
//!
//! ```
//! use offshoot_testkit::oracle;
//!
//! if !oracle::available(&["e2fsck"]) {
//!     return;
//! }
//! ```

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where programs are looked for after `PATH`: a user's `PATH` often lacks these.
const SYSTEM_DIRECTORIES: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/bin"];

/// Whether all these programs are there. If not, prints one line that says what is skipped and why.
///
/// # Panics
///
/// Where the environment says `CI=true`: there, a missing oracle is a failure.
pub fn available(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| find(program).is_none()).collect();
    missing.is_empty() || skip(&format!("not installed: {}", missing.join(", ")))
}

/// Whether this process is root, and may mount. If not, prints one line that says what is skipped.
///
/// # Panics
///
/// Where the environment says `CI=true`.
pub fn root() -> bool {
    rustix::process::geteuid().is_root() || skip("needs root")
}

/// Says that the current test is skipped, and why; false.
///
/// # Panics
///
/// Where the environment says `CI=true`.
pub fn skip(why: &str) -> bool {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(std::env::var_os("CI").as_deref() != Some(OsStr::new("true")), "{test}: {why}");
    // Not eprintln!, which the test harness swallows where a test passes.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
    false
}

/// The path of a program: on `PATH`, or where system programs lie.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_DIRECTORIES.map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// A command for a program that [`find`] finds, in the C locale and without standard input.
pub fn command(program: &str) -> Command {
    let path = find(program).unwrap_or_else(|| panic!("{program} is not installed"));
    let mut command = Command::new(path);
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// Runs a command and gives its standard output; panics with all its output unless it exits with 0.
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    assert!(output.status.success(), "{}", describe(command, &output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command to its end, however that is.
pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

/// A command and how it ended, for a message.
pub fn describe(command: &Command, output: &Output) -> String {
    format!(
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// `e2fsck -fn` finds nothing to complain about in the filesystem image.
pub fn e2fsck(image: &Path) {
    run(command("e2fsck").arg("-fn").arg(image));
}

/// What `debugfs -R REQUEST` prints about the filesystem image.
pub fn debugfs(image: &Path, request: &str) -> String {
    run(command("debugfs").args(["-R", request]).arg(image))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
        assert_eq!(run(command("sh").args(["-c", "echo here"])), "here\n");
    }

    #[test]
    #[should_panic(expected = "exit status: 3")]
    fn a_failure_is_loud() {
        run(command("sh").args(["-c", "exit 3"]));
    }

    #[test]
    fn e2fsck_judges() {
        if !available(&["e2fsck", "mke2fs"]) {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        run(command("mke2fs").args(["-q", "-t", "ext4"]).arg(&image).arg("16M"));
        e2fsck(&image);
        let mut bytes = std::fs::read(&image).unwrap();
        bytes[1024 + 12] ^= 0xff; // the count of free blocks
        std::fs::write(&image, bytes).unwrap();
        assert!(std::panic::catch_unwind(|| e2fsck(&image)).is_err());
    }
}
