//! A directory of the host as a tar stream, made while it is read.

mod entry;
mod file_body;
mod header;
mod sparse_map;
mod stream;
mod walk;
mod xattrs;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::Error;

pub(crate) use entry::{Entry, EntryKind, metadata};
pub(crate) use file_body::FileBody;
pub(crate) use stream::TarStream;
pub(crate) use walk::{WHITEOUT_PREFIX, Walk};
pub(crate) use xattrs::file_xattrs;

/// A directory of the host as an uncompressed PAX tar stream with everything below it, in memory that grows with the
/// names of a directory and the number of hard links alone.
///
/// The stream has the directory itself as `./`, then each directory's entries by the bytes of their names, with
/// types, permissions, numeric owners, nanosecond times, link targets, hard links, device numbers and extended
/// attributes. The same tree gives the same bytes, wherever it lies; only a file with holes of
/// 256 MiB and more depends on where its filesystem keeps them. No symbolic link is followed. Mounted filesystems
/// are walked like directories.
///
/// Sockets are left out: tar has no place for them, and without their process they are of no use.
///
/// The stream fails, with an [`Error`] inside the [`io::Error`](std::io::Error), where a file changes while it is
/// read, a name begins with `.wh.`, or an attribute's name has a `=`.
pub fn directory_tar(directory: &Path) -> Result<Box<dyn Read + Send>, Error> {
    let opened = open_directory(directory)?;
    Ok(Box::new(TarStream::new(Walk::new(opened, directory.to_owned(), Vec::new(), true))))
}

/// Opens a directory that a person named: links on the way to it are followed.
pub(crate) fn open_directory(path: &Path) -> Result<OwnedFd, Error> {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(|error| {
        match error {
            Errno::NOTDIR => {
                Error::WrongKind { path: path.to_owned(), expected: "a directory", found: "not a directory" }
            }
            error => Error::io("open", path)(error),
        }
    })
}
