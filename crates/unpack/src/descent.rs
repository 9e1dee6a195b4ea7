//! Ways down from the target that cannot leave it.

use std::fs::File;
use std::os::fd::AsFd;

use offshoot_tree::Name;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Linux's `PATH_MAX`, without the NUL.
const PATH_MAX: usize = 4095;

/// Opens the directory that these names lead to, or another handle of the directory itself. No link is
/// followed, and neither the directory nor its mount is left.
pub(crate) fn open_below(directory: &File, names: &[&Name]) -> rustix::io::Result<File> {
    let mut opened: Option<File> = None;
    let mut path = Vec::new();
    for name in names {
        if path.len() + 1 + name.as_bytes().len() > PATH_MAX {
            opened = Some(open_path(opened.as_ref().unwrap_or(directory), &path)?);
            path.clear();
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
    }
    if path.is_empty() {
        path.push(b'.');
    }
    open_path(opened.as_ref().unwrap_or(directory), &path)
}

/// Opens one entry, which must be a directory.
pub(crate) fn open_child(directory: impl AsFd, name: &[u8]) -> rustix::io::Result<File> {
    open_path(directory, name)
}

/// A handle of one entry, which must be a directory, that its mode does not matter to.
pub(crate) fn child_handle(directory: impl AsFd, name: &[u8]) -> rustix::io::Result<File> {
    open_with(directory, name, OFlags::PATH)
}

fn open_path(directory: impl AsFd, path: &[u8]) -> rustix::io::Result<File> {
    open_with(directory, path, OFlags::RDONLY)
}

fn open_with(directory: impl AsFd, path: &[u8], access: OFlags) -> rustix::io::Result<File> {
    let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    loop {
        match rustix::fs::openat2(&directory, path, flags, Mode::empty(), resolve) {
            Ok(opened) => return Ok(File::from(opened)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error),
        }
    }
}
