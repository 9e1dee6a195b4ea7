use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::Error;

/// Where system programs are that a user's `PATH` often lacks.
const SYSTEM_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

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
        /// What it wrote on standard error.
        stderr: String,
    },
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
    let output = find(program, |program| {
        let mut command = Command::new(program);
        command.arg(disk).stdin(Stdio::null()).stdout(Stdio::null()).env("LC_ALL", "C").output()
    });
    let output = output.map_err(|error| failed(Resize2fsError::Run(error)))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
    Err(failed(Resize2fsError::Failed { status: output.status, stderr }))
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

    use super::*;

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
