use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::Error;

/// Where system programs are that a user's `PATH` often lacks.
const SYSTEM_DIRECTORY: &str = "/usr/sbin";

/// Why `resize2fs` did not grow a filesystem.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Resize2fsError {
    /// It could not be run.
    #[error("it could not be run; install e2fsprogs, or name it with --resize2fs")]
    Run(#[source] io::Error),
    /// It refused, or failed.
    #[error("it ended with {status}: {stderr}")]
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

/// Lets `resize2fs` grow the filesystem in a raw disk to all of the disk.
pub(crate) fn grow(program: &Path, disk: &Path) -> Result<(), Error> {
    let failed = |source| Error::Resize2fs { path: disk.to_owned(), program: program.to_owned(), source };
    let run = |program: &Path| {
        let mut command = Command::new(program);
        command.arg(disk).stdin(Stdio::null()).stdout(Stdio::null()).env("LC_ALL", "C").output()
    };
    let output = match run(program) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && program.components().count() == 1 => {
            run(&Path::new(SYSTEM_DIRECTORY).join(program))
        }
        other => other,
    };
    let output = output.map_err(|error| failed(Resize2fsError::Run(error)))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
    Err(failed(Resize2fsError::Failed { status: output.status, stderr }))
}
