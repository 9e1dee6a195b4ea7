use std::fs::{self, File, Metadata};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::{Error, durable, reserve};

/// An open file and a kernel lock on it, which ends when this is dropped, or with the process.
///
/// To close the file would not do: a child has a copy of the handle from its fork to its exec, and the lock is held for as
/// long as there is any.
#[derive(Debug)]
pub(crate) struct Locked(File);

impl Locked {
    /// `Ok(None)` only when not waiting.
    pub(crate) fn new(file: File, operation: FlockOperation, path: &Path) -> Result<Option<Self>, Error> {
        Ok(if flock(&file, operation, path)? { Some(Self(file)) } else { None })
    }

    /// Takes another lock in the place of this one, not waiting; `Ok(None)`: neither is held.
    pub(crate) fn instead(self, operation: FlockOperation, path: &Path) -> Result<Option<Self>, Error> {
        Ok(if flock(&self, operation, path)? { Some(self) } else { None })
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// `Ok(false)`: somebody holds it, and it was not to be waited for.
fn flock(file: &File, operation: FlockOperation, path: &Path) -> Result<bool, Error> {
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

/// What was locked, if it still is the file of that path.
pub(crate) fn at(locked: Option<Locked>, path: &Path) -> Result<Option<Locked>, Error> {
    match locked {
        Some(locked) if is_at(&locked, path)? => Ok(Some(locked)),
        _ => Ok(None),
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
        Some(file) => Ok(Locked::new(file, FlockOperation::NonBlockingLockExclusive, path)?.is_some()),
        None => Ok(true),
    }
}

/// Removes a file whose lock nobody holds, while holding it: who waits for it finds it gone, and makes another.
///
/// `Ok(false)`: somebody holds it, or it is gone.
pub(crate) fn remove_free(path: &Path) -> Result<bool, Error> {
    let Some(file) = open_lock(path)? else { return Ok(false) };
    let locked = Locked::new(file, FlockOperation::NonBlockingLockExclusive, path)?;
    let Some(_locked) = at(locked, path)? else { return Ok(false) };
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("remove", path)(error)),
    }
}

/// Takes the lock that VMMs take on a disk they have open (QEMU and Cloud Hypervisor do, on ranges of its bytes), so
/// that a disk in use is not changed; it is held until [`unlock_disk`], or until all copies of the handle are closed.
///
/// It is the open file's, not the process's: one of the process would be lost as soon as any other handle on the disk is
/// closed, which a survey of the store's bytes does at any time.
///
/// `Ok(false)`: somebody has it open. A VMM that takes no locks is not seen. The file must be open for writing.
pub fn lock_disk(file: &File) -> io::Result<bool> {
    match set_disk_lock(file, nix::libc::F_WRLCK) {
        Ok(()) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives back what [`lock_disk`] took, whoever has a copy of the handle.
pub fn unlock_disk(file: &File) {
    let _ = set_disk_lock(file, nix::libc::F_UNLCK);
}

fn set_disk_lock(file: &File, kind: i32) -> Result<(), Errno> {
    let whole = nix::libc::flock {
        l_type: kind as i16,
        l_whence: nix::libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole)).map(drop)
}

/// The exclusive right to make one thing, held until dropped or until the process ends in whatever way.
///
/// The file is removed by its holder; whoever waited for a file that is gone takes the next one.
#[derive(Debug)]
pub struct KeyLock {
    path: PathBuf,
    _locked: Locked,
}

impl KeyLock {
    pub(crate) fn wait(path: PathBuf) -> Result<Self, Error> {
        loop {
            let locked = Locked::new(Self::open(&path)?, FlockOperation::LockExclusive, &path)?;
            if let Some(locked) = at(locked, &path)? {
                return Ok(Self { path, _locked: locked });
            }
        }
    }

    /// `None` where somebody has it.
    pub(crate) fn take(path: PathBuf) -> Result<Option<Self>, Error> {
        let locked = Locked::new(Self::open(&path)?, FlockOperation::NonBlockingLockExclusive, &path)?;
        // Made only of what is held: to drop one removes its file.
        Ok(at(locked, &path)?.map(|locked| Self { path, _locked: locked }))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A child that another thread is starting has a copy of every handle until its exec.
    #[test]
    fn a_lock_does_not_outlive_its_holder_in_a_copy_of_the_handle() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        for operation in [FlockOperation::LockShared, FlockOperation::LockExclusive] {
            let file = File::create(&path).unwrap();
            let _copy = file.try_clone().unwrap();
            let locked = Locked::new(file, operation, &path).unwrap().unwrap();
            assert!(!is_free(&path).unwrap());
            drop(locked);
            assert!(is_free(&path).unwrap());
        }
    }

    #[test]
    fn who_may_not_have_another_lock_instead_holds_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let file = File::create(&path).unwrap();
        let exclusive = FlockOperation::NonBlockingLockExclusive;
        let locked =
            Locked::new(file.try_clone().unwrap(), FlockOperation::LockShared, &path).unwrap().unwrap();
        let other =
            Locked::new(open_lock(&path).unwrap().unwrap(), FlockOperation::LockShared, &path).unwrap();
        assert!(locked.instead(exclusive, &path).unwrap().is_none());
        drop(other);
        assert!(is_free(&path).unwrap());
    }
}
