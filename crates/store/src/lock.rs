use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::{Error, durable, reserve};

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

/// Whether the file that is open is still the one of that path.
pub(crate) fn is_at(file: &File, path: &Path) -> Result<bool, Error> {
    is_same(&file.metadata().map_err(Error::io("look at the lock", path))?, path)
}

/// The same of what is known of an open file.
pub(crate) fn is_same(held: &Metadata, path: &Path) -> Result<bool, Error> {
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("look at the lock", path)(error)),
    }
}

/// Opens a file that may be locked; `None` where there is none. No link is followed, and no pipe waited for.
pub(crate) fn open_lock(path: &Path) -> Result<Option<File>, Error> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => Ok(Some(file.into())),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(Error::errno("open the lock", path)(error)),
    }
}

/// Whether nobody holds a lock on the file of that path; a file that is gone is held by nobody.
pub(crate) fn is_free(path: &Path) -> Result<bool, Error> {
    match open_lock(path)? {
        Some(file) => flock(&file, FlockOperation::NonBlockingLockExclusive, path),
        None => Ok(true),
    }
}

/// Removes a file whose lock nobody holds, while holding it: who waits for it finds it gone, and makes another.
///
/// `Ok(false)`: somebody holds it, or it is gone.
pub(crate) fn remove_free(path: &Path) -> Result<bool, Error> {
    let Some(file) = open_lock(path)? else { return Ok(false) };
    if !flock(&file, FlockOperation::NonBlockingLockExclusive, path)? || !is_at(&file, path)? {
        return Ok(false);
    }
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}

/// Takes the lock that VMMs take on a disk they have open (QEMU and Cloud Hypervisor do, on ranges of its bytes), so
/// that a disk in use is not changed; it is held until the file is closed.
///
/// It is the open file's, not the process's: one of the process would be lost as soon as any other handle on the disk is
/// closed, which a survey of the store's bytes does at any time.
///
/// `Ok(false)`: somebody has it open. A VMM that takes no locks is not seen. The file must be open for writing.
pub fn lock_disk(file: &File) -> io::Result<bool> {
    let whole = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as i16,
        l_whence: nix::libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
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
            let file = Self::open(&path)?;
            flock(&file, FlockOperation::LockExclusive, &path)?;
            if is_at(&file, &path)? {
                return Ok(Self { path, _file: file });
            }
        }
    }

    /// `None` where somebody has it.
    pub(crate) fn take(path: PathBuf) -> Result<Option<Self>, Error> {
        let file = Self::open(&path)?;
        let taken = flock(&file, FlockOperation::NonBlockingLockExclusive, &path)? && is_at(&file, &path)?;
        // Made only of what is held: to drop one removes its file.
        Ok(if taken { Some(Self { path, _file: file }) } else { None })
    }

    fn open(path: &Path) -> Result<File, Error> {
        let mut options = File::options();
        options.create(true).mode(0o600).truncate(false).write(true);
        let root = durable::parent(durable::parent(path));
        reserve::with(root, || options.open(path)).map_err(Error::io("open the lock", path))
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        // While still holding it, so that nobody can be waiting for the right file and lose it.
        let _ = fs::remove_file(&self.path);
    }
}
