use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::Signal;

use crate::Error;

/// Where system programs are that a user's `PATH` often lacks.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The most bytes that are kept of what it says: guests have written what it speaks of.
const MAX_SAID: u64 = 4 << 10;

/// Why `resize2fs` did not grow a filesystem.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Resize2fsError {
    /// It could not be run.
    #[error("it could not be run; install e2fsprogs, or name it with --resize2fs")]
    Run(#[source] io::Error),
    /// It refused, or failed.
    #[error("it ended with {status}{}", said(stderr))]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// What it wrote on standard error, up to 4 KiB of it.
        stderr: String,
    },
    /// It was told to end, as this process was.
    #[error("it was interrupted")]
    Interrupted,
    /// The disk is an overlay, into which it cannot look.
    #[error("it cannot work inside a qcow2 overlay; use another strategy")]
    Overlay,
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() { " and said nothing".to_owned() } else { format!(": {stderr}") }
}

/// Lets `resize2fs` grow the filesystem in a raw disk to all of the disk.
pub(crate) fn grow(program: &Path, disk: &Path) -> Result<(), Error> {
    let failed = |source| Error::Resize2fs { path: disk.to_owned(), program: program.to_owned(), source };
    let ran = find(program, |program| run(program, disk));
    let (status, said) = ran.map_err(|error| failed(Resize2fsError::Run(error)))?;
    if status.success() {
        return Ok(());
    }
    let interrupts = [Signal::INT, Signal::TERM].map(Signal::as_raw);
    if status.signal().is_some_and(|signal| interrupts.contains(&signal)) {
        return Err(failed(Resize2fsError::Interrupted));
    }
    let stderr = String::from_utf8_lossy(&said).trim().replace('\n', " ");
    Err(failed(Resize2fsError::Failed { status, stderr }))
}

/// How it ended, and the beginning of what it said. It may take as long as it takes, and stays in this process's group: nobody
/// else would tell it of an interrupt.
fn run(program: &Path, disk: &Path) -> io::Result<(ExitStatus, Vec<u8>)> {
    let mut command = Command::new(program);
    command.arg(disk).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).env("LC_ALL", "C");
    let mut child = command.spawn()?;
    let mut said = Vec::new();
    let heard = child.stderr.take().map_or(Ok(0), |mut stderr| {
        stderr.by_ref().take(MAX_SAID).read_to_end(&mut said)?;
        // All of it is heard, or it would end of that.
        io::copy(&mut stderr, &mut io::sink())
    });
    let status = child.wait()?;
    heard.map(|_| (status, said))
}

/// Runs it where it is: at its path; by its name in `PATH`, else where system programs are.
pub(crate) fn find<T>(program: &Path, run: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    let system = SYSTEM_DIRECTORIES.map(|directory| Path::new(directory).join(program));
    let elsewhere = system.into_iter().filter(|_| program.components().count() == 1);
    elsewhere.fold(run(program), |ran, program| match ran {
        Err(error) if error.kind() == io::ErrorKind::NotFound => run(&program),
        ran => ran,
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn what_it_says_is_kept_in_bounds_and_an_interrupt_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("resizer");
        let kept = usize::try_from(MAX_SAID).unwrap();
        for (script, ended) in [
            ("exec 2>&-", None),
            ("echo no >&2; exit 3", Some((ErrorKind::Unsupported, Some(3), 2))),
            ("exit 3", Some((ErrorKind::Unsupported, Some(3), 0))),
            (
                "head -c 1000000 /dev/zero >&2 || exit 4; exit 3",
                Some((ErrorKind::Unsupported, Some(3), kept)),
            ),
            // Whatever was started in the background ignores SIGINT, and a shell cannot change that.
            ("exec env --default-signal=INT sh -c 'kill -INT $$'", Some((ErrorKind::Interrupted, None, 0))),
            ("kill -TERM $$", Some((ErrorKind::Interrupted, None, 0))),
            ("kill -KILL $$", Some((ErrorKind::Unsupported, None, 0))),
        ] {
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            let told = grow(&program, Path::new("disk")).err().map(|error| {
                let kind = error.kind();
                match error {
                    Error::Resize2fs { source: Resize2fsError::Failed { status, stderr }, .. } => {
                        (kind, status.code(), stderr.len())
                    }
                    _ => (kind, None, 0),
                }
            });
            assert_eq!(told, ended, "{script}");
        }
    }

    #[test]
    fn names_are_looked_for_where_system_programs_are() {
        for (program, there, tried) in [
            ("resize2fs", "resize2fs", &["resize2fs"][..]),
            ("resize2fs", "/usr/sbin/resize2fs", &["resize2fs", "/usr/sbin/resize2fs"]),
            ("resize2fs", "nowhere", &["resize2fs", "/usr/sbin/resize2fs", "/sbin/resize2fs"]),
            ("./resize2fs", "/sbin/./resize2fs", &["./resize2fs"]),
            ("/opt/resize2fs", "nowhere", &["/opt/resize2fs"]),
        ] {
            let asked = RefCell::new(Vec::new());
            let found = find(Path::new(program), |path| {
                asked.borrow_mut().push(path.to_owned());
                if path == Path::new(there) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
            });
            assert_eq!(*asked.borrow(), tried.iter().map(Path::new).collect::<Vec<_>>(), "{program}");
            assert_eq!(found.is_ok(), tried.contains(&there));
        }
        let refused = find(Path::new("resize2fs"), |_| Err::<(), _>(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
