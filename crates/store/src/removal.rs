use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::descent::{handle_beneath, open_beneath};

/// How many directories are kept open on the way down.
const MAX_OPEN: usize = 32;

/// What could not be removed. The rest may be gone or not.
#[derive(Debug, thiserror::Error)]
#[error("failed to {operation} {path}", path = path.display())]
pub struct RemoveError {
    /// What was tried: `open`, `read`, `remove`.
    pub operation: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said: `EXDEV` (`CrossesDevices`) of a directory that something is mounted on.
    #[source]
    pub source: io::Error,
}

/// Removes a directory and all that is in it.
///
/// Unlike [`std::fs::remove_dir_all`] it takes directories however deep, with few open files, and those that
/// their owner may not enter; and it stops at whatever is mounted below, before anything in there is touched.
/// No link is followed, also not where the path's last name is one. Whoever else changes the directory
/// meanwhile can make it fail, but not remove anything outside.
///
/// `Ok` says that it is gone. A path that leads nowhere is an error, of kind `NotFound`.
pub fn remove_tree(directory: &Path) -> Result<(), RemoveError> {
    let fail = |operation, source: io::Error| RemoveError { operation, path: directory.to_owned(), source };
    let Some(name) = directory.file_name() else {
        return Err(fail("remove", io::ErrorKind::InvalidInput.into()));
    };
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(parent.unwrap_or(Path::new(".")), flags, Mode::empty())
        .map_err(|error| fail("open", error.into()))?;
    let mut walk = Walk { parent: parent.into(), levels: Vec::new(), opened_from: 0 };
    walk.run(name.as_bytes()).map_err(|Stopped { operation, source, name }| {
        let mut path = directory.to_owned();
        path.extend(walk.levels.iter().skip(1).map(|level| OsStr::from_bytes(&level.name)));
        path.extend(name.iter().map(|name| OsStr::from_bytes(name)));
        RemoveError { operation, path, source }
    })
}

/// What went wrong, in the deepest directory or with an entry of it.
#[derive(Debug)]
struct Stopped {
    operation: &'static str,
    source: io::Error,
    name: Option<Vec<u8>>,
}

impl Stopped {
    fn at(operation: &'static str, name: Option<&[u8]>) -> impl FnOnce(Errno) -> Self {
        move |error| Self { operation, source: error.into(), name: name.map(<[u8]>::to_vec) }
    }
}

/// A directory being emptied.
struct Level {
    name: Vec<u8>,
    /// Device and inode.
    identity: (u64, u64),
    /// `None` while too many are open.
    entries: Option<Dir>,
    /// Whether anything was removed since the entries were read from the beginning.
    progressed: bool,
}

struct Walk {
    parent: File,
    /// From the directory itself down.
    levels: Vec<Level>,
    /// The first level that is open; all below it are.
    opened_from: usize,
}

impl Walk {
    fn run(&mut self, name: &[u8]) -> Result<(), Stopped> {
        let top = open(&self.parent, name).map_err(Stopped::at("open", None))?;
        self.push(name, top)?;
        while let Some(level) = self.levels.last_mut() {
            let Some(entries) = &mut level.entries else { return Err(lost()) };
            let Some(entry) = entries.read() else {
                self.leave()?;
                continue;
            };
            let entry = entry.map_err(Stopped::at("read", None))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let directory = entries.fd().map_err(Stopped::at("read", None))?;
            if entry.file_type() != FileType::Directory && unlink(directory, name)? {
                level.progressed = true;
                continue;
            }
            match open(directory, name.to_bytes()) {
                Ok(child) => self.push(name.to_bytes(), child)?,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(Stopped::at("open", Some(name.to_bytes()))(error)),
            }
        }
        Ok(())
    }

    fn push(&mut self, name: &[u8], directory: File) -> Result<(), Stopped> {
        let stat = rustix::fs::fstat(&directory).map_err(Stopped::at("inspect", Some(name)))?;
        if stat.st_mode & 0o700 != 0o700 {
            // Where this is not permitted, what follows says so.
            let _ = rustix::fs::fchmod(&directory, Mode::RWXU);
        }
        let entries = Dir::new(directory).map_err(Stopped::at("read", Some(name)))?;
        self.levels.push(Level {
            name: name.to_vec(),
            identity: (stat.st_dev, stat.st_ino),
            entries: Some(entries),
            progressed: false,
        });
        if self.levels.len() - self.opened_from > MAX_OPEN {
            if let Some(level) = self.levels.get_mut(self.opened_from) {
                level.entries = None;
            }
            self.opened_from += 1;
        }
        Ok(())
    }

    /// Removes the deepest directory, which looks empty, and goes on in its parent.
    fn leave(&mut self) -> Result<(), Stopped> {
        self.reopen_parent()?;
        let Some((level, above)) = self.levels.split_last_mut() else { return Ok(()) };
        let parent = match above.last() {
            Some(above) => {
                above.entries.as_ref().ok_or_else(lost)?.fd().map_err(Stopped::at("read", None))?
            }
            None => self.parent.as_fd(),
        };
        match rustix::fs::unlinkat(parent, level.name.as_slice(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {
                self.levels.pop();
                if let Some(above) = self.levels.last_mut() {
                    above.progressed = true;
                }
                Ok(())
            }
            // Some filesystems skip entries where others were removed.
            Err(Errno::NOTEMPTY | Errno::EXIST) if level.progressed => {
                level.progressed = false;
                if let Some(entries) = &mut level.entries {
                    entries.rewind();
                }
                Ok(())
            }
            Err(error) => Err(Stopped::at("remove", None)(error)),
        }
    }

    /// Opens the parent of the deepest directory again, if it was closed, by way of `..`.
    fn reopen_parent(&mut self) -> Result<(), Stopped> {
        let Some((level, above)) = self.levels.split_last_mut() else { return Ok(()) };
        let Some(above) = above.last_mut().filter(|above| above.entries.is_none()) else { return Ok(()) };
        let directory = level.entries.as_ref().ok_or_else(lost)?;
        let directory = directory.fd().map_err(Stopped::at("read", None))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let parent =
            rustix::fs::openat(directory, "..", flags, Mode::empty()).map_err(Stopped::at("leave", None))?;
        let stat = rustix::fs::fstat(&parent).map_err(Stopped::at("leave", None))?;
        if (stat.st_dev, stat.st_ino) != above.identity {
            return Err(lost());
        }
        above.entries = Some(Dir::new(parent).map_err(Stopped::at("read", None))?);
        self.opened_from = self.opened_from.saturating_sub(1);
        Ok(())
    }
}

/// The directory is not where it was: someone else moved it.
fn lost() -> Stopped {
    Stopped { operation: "leave", source: io::Error::other("the directory was moved meanwhile"), name: None }
}

/// Whether the entry is gone; if not, it is a directory.
fn unlink(directory: BorrowedFd<'_>, name: &CStr) -> Result<bool, Stopped> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(error) => Err(Stopped::at("remove", Some(name.to_bytes()))(error)),
    }
}

/// Opens a directory, also where its mode forbids that to its owner.
fn open(parent: impl AsFd, name: &[u8]) -> rustix::io::Result<File> {
    match open_beneath(&parent, name) {
        Err(Errno::ACCESS) => {
            let handle = handle_beneath(&parent, name)?;
            rustix::fs::chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), Mode::RWXU)?;
            open_beneath(&handle, b".")
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_was_moved_leads_nowhere() {
        let parent = tempfile::tempdir().unwrap();
        let elsewhere = parent.path().join("elsewhere");
        std::fs::create_dir_all(parent.path().join("top/below")).unwrap();
        std::fs::create_dir_all(elsewhere.join("below")).unwrap();
        let opened = File::open(parent.path()).unwrap();
        let mut walk = Walk { parent: opened, levels: Vec::new(), opened_from: 0 };
        let top = open(&walk.parent, b"top").unwrap_or_else(|error| panic!("{error}"));
        let below = open(&top, b"below").unwrap_or_else(|error| panic!("{error}"));
        assert!(walk.push(b"top", top).is_ok() && walk.push(b"below", below).is_ok());
        walk.levels[0].entries = None;
        std::fs::rename(parent.path().join("top/below"), elsewhere.join("moved")).unwrap();
        assert_eq!(walk.leave().unwrap_err().operation, "leave");
        assert!(elsewhere.join("below").exists());
    }
}
