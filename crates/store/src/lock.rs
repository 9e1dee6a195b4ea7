use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::Error;

/// Takes a kernel lock on an open file, waiting for it; `Ok(false)` only when not waiting.
pub(crate) fn flock(file: &File, operation: FlockOperation, path: &Path) -> Result<bool, Error> {
    loop {
        match rustix::fs::flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::errno("lock", path)(error)),
        }
    }
}

/// Takes the lock that VMMs take on a disk they have open (QEMU and Cloud Hypervisor do, on ranges of its bytes), so
/// that a disk in use is not changed; it is held until the file, or any other handle of this process on it, is closed.
///
/// `Ok(false)`: somebody has it open. A VMM that takes no locks is not seen. The file must be open for writing.
pub fn lock_disk(file: &File) -> io::Result<bool> {
    match rustix::fs::fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::ACCESS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The exclusive right to make one thing, held until dropped or until the process ends in whatever way.
///
/// The file is removed by its holder; whoever waited for a file that is gone takes the next one.
#[derive(Debug)]
pub struct KeyLock {
    path: PathBuf,
    _file: File,
}

impl KeyLock {
    pub(crate) fn wait(path: PathBuf) -> Result<Self, Error> {
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(Error::io("open the lock", &path))?;
            flock(&file, FlockOperation::LockExclusive, &path)?;
            let held = file.metadata().map_err(Error::io("look at the lock", &path))?;
            match fs::metadata(&path) {
                Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => {
                    return Ok(Self { path, _file: file });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("look at the lock", &path)(error)),
            }
        }
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        // While still holding it, so that nobody can be waiting for the right file and lose it.
        let _ = fs::remove_file(&self.path);
    }
}
