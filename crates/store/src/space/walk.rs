//! All files below a directory, however deep.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::durable::parent;
use crate::{Error, open_beneath};

/// A directory is opened by a path from one above it, while that is not longer than this; the kernel takes 4096 bytes.
const LONGEST_PATH: usize = 3072;

/// A file, or a directory itself.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) stat: Stat,
    pub(super) directory: bool,
    beside: BorrowedFd<'a>,
    name: &'a [u8],
}

impl Found<'_> {
    /// The file, if it is one that has contents, is still there and may be opened.
    pub(super) fn open(&self) -> rustix::io::Result<Option<File>> {
        if FileType::from_raw_mode(self.stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(self.beside, self.name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::NOENT | Errno::ACCESS | Errno::PERM | Errno::LOOP | Errno::NXIO) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A directory that is still to be looked at.
struct Pending {
    above: Rc<File>,
    path: Vec<u8>,
}

/// Visits what is at a path and all that is below it; nothing where nothing is there.
pub(super) fn walk(
    path: &Path,
    mut visit: impl FnMut(&Found<'_>) -> rustix::io::Result<()>,
) -> Result<(), Error> {
    let Some(name) = path.file_name() else { return Ok(()) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let above = match rustix::fs::open(parent(path), flags, Mode::empty()) {
        Ok(above) => Rc::new(File::from(above)),
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(Error::errno("open", parent(path))(error)),
    };
    let mut pending = Vec::new();
    entry(&above, &above, b"", name.as_bytes(), &mut visit, &mut pending)
        .map_err(Error::errno("look at", path))?;
    while let Some(next) = pending.pop() {
        directory(&next, &mut visit, &mut pending).map_err(|error| {
            Error::errno("look at", &parent(path).join(OsStr::from_bytes(&next.path)))(error)
        })?;
    }
    Ok(())
}

fn directory(
    at: &Pending,
    visit: &mut impl FnMut(&Found<'_>) -> rustix::io::Result<()>,
    pending: &mut Vec<Pending>,
) -> rustix::io::Result<()> {
    let opened = match open_beneath(&at.above, &at.path) {
        Ok(opened) => Rc::new(opened),
        // Gone, in other hands, another file's place by now, or something is mounted there.
        Err(Errno::NOENT | Errno::ACCESS | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(()),
        Err(error) => return Err(error),
    };
    let (above, path): (_, &[u8]) =
        if at.path.len() > LONGEST_PATH { (&opened, b"") } else { (&at.above, &at.path) };
    for found in Dir::read_from(&opened)? {
        let found = found?;
        let name = found.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            entry(&opened, above, path, name, visit, pending)?;
        }
    }
    Ok(())
}

/// Visits an entry of the directory `beside`, which is at a path from `above`; a directory is also looked into later.
fn entry(
    beside: &File,
    above: &Rc<File>,
    path: &[u8],
    name: &[u8],
    visit: &mut impl FnMut(&Found<'_>) -> rustix::io::Result<()>,
    pending: &mut Vec<Pending>,
) -> rustix::io::Result<()> {
    let stat = match rustix::fs::statat(beside, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error),
    };
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    visit(&Found { stat, directory, beside: beside.as_fd(), name })?;
    if directory {
        let path = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
        pending.push(Pending { above: Rc::clone(above), path });
    }
    Ok(())
}
