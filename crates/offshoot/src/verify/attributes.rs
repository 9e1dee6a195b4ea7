//! Whose files and directories are, and who may do what with them: looked at without opening anything.

use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::Problem;

const PERMISSIONS: u32 = 0o7777;

/// What a file or directory of a store must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// A directory that only its owner can enter.
    Directory,
    /// A file that only its owner can read.
    Private,
    /// A file that nobody can write to.
    Sealed,
    /// A disk that a VM writes to: whose it is and who may read it is settled with the VMM.
    Writable,
    /// A clone's root filesystem as a directory.
    Tree,
}

/// Looks at a path; its metadata, unless it is not what it must be at all.
pub(super) fn look(path: &Path, expected: Expected, problems: &mut Vec<Problem>) -> Option<Metadata> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            problems.push(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Problem::Missing,
                _ => Problem::Unreadable(error),
            });
            return None;
        }
    };
    let found = metadata.file_type();
    let is_directory = matches!(expected, Expected::Directory | Expected::Tree);
    if found.is_dir() != is_directory || !(found.is_file() || is_directory) {
        let expected = if is_directory { "a directory" } else { "a file" };
        problems.push(Problem::Kind { found: kind(found), expected });
        return None;
    }
    let mode = metadata.mode() & PERMISSIONS;
    let (forbidden, wanted) = match expected {
        Expected::Directory => (PERMISSIONS, 0o700),
        // Who cannot enter the store cannot read it; a copy of a store may have lost more.
        Expected::Private => (0o7022, 0o600),
        Expected::Sealed => (PERMISSIONS, 0o444),
        // Who else may read or write it is settled with the VMM.
        Expected::Writable => (0o0002, mode & !0o0002),
        Expected::Tree => (0, 0),
    };
    if mode & forbidden != wanted & forbidden {
        problems.push(Problem::Mode { mode, expected: wanted });
    }
    let own = rustix::process::geteuid().as_raw();
    if !matches!(expected, Expected::Writable | Expected::Tree) && metadata.uid() != own {
        problems.push(Problem::Owner { owner: metadata.uid(), expected: own });
    }
    Some(metadata)
}

fn kind(found: FileType) -> &'static str {
    if found.is_dir() {
        "a directory"
    } else if found.is_file() {
        "a file"
    } else if found.is_symlink() {
        "a symbolic link"
    } else if found.is_fifo() {
        "a FIFO"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}
