//! Ways down from a directory that cannot leave it.

use std::fs::File;
use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Opens the directory that a path of a few names leads to. No link is followed, and neither the directory nor its
/// mount is left.
pub fn open_beneath(directory: impl AsFd, path: &[u8]) -> rustix::io::Result<File> {
    open_with(directory, path, OFlags::RDONLY)
}

/// A handle of such a directory, that its mode does not matter to.
pub(crate) fn handle_beneath(directory: impl AsFd, path: &[u8]) -> rustix::io::Result<File> {
    open_with(directory, path, OFlags::PATH)
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
