use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::durable::{self, Durability};
use crate::lock::{self, Locked, open_lock};
use crate::{Error, new_private_directory, remove_tree, staging};

/// A directory outside the store that comes into being whole, or not at all.
///
/// Until then it is in another beside its final place, `.NAME.offshoot-…`, which its maker keeps locked and removes. What
/// a maker left that was killed is removed by the next one for the same place.
#[derive(Debug)]
pub struct NewDirectory {
    container: PathBuf,
    target: PathBuf,
    _lock: Locked,
}

impl NewDirectory {
    /// Makes room for a directory that is to be at `target`, an absolute path.
    pub fn create(target: &Path) -> Result<Self, Error> {
        let prefix = prefix(target);
        remove_left(durable::parent(target), &prefix);
        loop {
            let mut name = prefix.clone();
            name.push(staging::unique());
            let container = durable::parent(target).join(name);
            new_private_directory(&container).map_err(Error::io("create", &container))?;
            // Before it was locked, it might have been taken for one that was left.
            if let Some(lock) = locked(&container)? {
                return Ok(Self { container, target: target.to_owned(), _lock: lock });
            }
        }
    }

    /// Where the directory is to be made.
    pub fn path(&self) -> PathBuf {
        self.container.join("new")
    }

    /// Gives the directory, which was synced, its final place, for good.
    ///
    /// `Ok(false)`: there is something already that is no empty directory, and it was not changed.
    pub fn publish(self) -> Result<bool, Error> {
        match fs::rename(self.path(), &self.target) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty
                        | io::ErrorKind::AlreadyExists
                        | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(false);
            }
            Err(error) => return Err(Error::io("rename to", &self.target)(error)),
        }
        Durability::Durable.sync_directory(durable::parent(&self.target))?;
        Ok(true)
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        let _ = remove_tree(&self.container);
    }
}

fn prefix(target: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(target.file_name().unwrap_or_default());
    prefix.push(".offshoot-");
    prefix
}

/// Removes what killed makers left for the same place; what cannot be judged, or is somebody else's, stays.
fn remove_left(directory: &Path, prefix: &OsStr) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().as_bytes().starts_with(prefix.as_bytes())
            && entry.metadata().is_ok_and(|metadata| {
                metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw()
            });
        if is_ours && let Ok(Some(_lock)) = locked(&entry.path()) {
            let _ = remove_tree(&entry.path());
        }
    }
}

/// The lock on a directory; `None` where somebody has it, or it is gone.
fn locked(path: &Path) -> Result<Option<Locked>, Error> {
    let Some(file) = open_lock(path)? else { return Ok(None) };
    lock::at(Locked::new(file, FlockOperation::NonBlockingLockExclusive, path)?, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<OsString> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("rootfs");
        let new = NewDirectory::create(&target).unwrap();
        fs::create_dir(new.path()).unwrap();
        fs::write(new.path().join("file"), "a").unwrap();
        assert!(!target.exists());
        assert!(new.publish().unwrap());
        assert_eq!(names(directory.path()), ["rootfs"]);
        let again = NewDirectory::create(&target).unwrap();
        fs::create_dir(again.path()).unwrap();
        assert!(!again.publish().unwrap());
        assert_eq!(names(directory.path()), ["rootfs"]);
        assert_eq!(fs::read(target.join("file")).unwrap(), b"a");
    }

    #[test]
    fn what_a_dead_maker_left_is_removed_by_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("rootfs");
        fs::create_dir_all(directory.path().join(".rootfs.offshoot-dead/new/etc")).unwrap();
        fs::create_dir(directory.path().join(".rootfs.offshoots")).unwrap();
        fs::write(directory.path().join(".rootfs.offshoot-file"), "").unwrap();
        let living = NewDirectory::create(&target).unwrap();
        fs::create_dir(living.path()).unwrap();
        drop(NewDirectory::create(&target).unwrap());
        assert!(living.publish().unwrap());
        let mut left = names(directory.path());
        left.sort();
        assert_eq!(left, [".rootfs.offshoot-file", ".rootfs.offshoots", "rootfs"]);
    }
}
