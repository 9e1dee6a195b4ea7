use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags};
use serde::Serialize;

use crate::durable::{self, Durability};
use crate::owner::remove_any;
use crate::{Area, EntryName, Error, Lease, StoreDir, lease, new_private_directory, record, remove_tree};

/// A name that no other live process or thread draws.
pub fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nanoseconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    format!("{:x}-{nanoseconds:x}-{:x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A directory in `tmp/` where something is made; removed on drop unless it was published.
///
/// It needs no lock of its own: its name says whose it is, and its owner holds a lock.
#[derive(Debug)]
pub struct Staging<'store> {
    store: &'store StoreDir,
    path: PathBuf,
    published: bool,
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The staged directory is there now.
    Now,
    /// Somebody else's was there already; the staged one is dropped.
    Already,
}

impl<'store> Staging<'store> {
    /// What was published, out of sight now.
    pub(crate) fn of_retired(store: &'store StoreDir, path: PathBuf) -> Self {
        Self { store, path, published: false }
    }

    /// Removes it, and says what goes wrong, which a drop cannot.
    pub fn discard(mut self) -> Result<(), Error> {
        self.published = true;
        remove_any(&self.path)
    }

    /// Leaves it to a collection, when this open store is closed.
    pub fn leave(mut self) {
        self.published = true;
    }

    /// The directory, private to the caller.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the record of what is being made.
    pub fn write_record<T: Serialize>(
        &self,
        file: &str,
        content: &T,
        durability: Durability,
    ) -> Result<(), Error> {
        record::write_new(&self.path.join(file), content, durability)
    }

    /// Makes the directory visible under its final name in one rename.
    ///
    /// Files in it are the caller's to have synced; with [`Durability::Durable`] the directory itself, and then its
    /// new parent, are synced before this returns.
    pub fn publish(
        mut self,
        area: Area,
        name: &EntryName,
        durability: Durability,
    ) -> Result<Published, Error> {
        let target = self.store.entry_path(area, name);
        durability.sync_directory(&self.path)?;
        let published = self.rename_to(&target)?;
        if published == Published::Now {
            durability.sync_directory(durable::parent(&target))?;
        }
        Ok(published)
    }

    /// The same, synced, for what others are made from: what is there then stays for as long as the lease lives.
    pub fn publish_leased(mut self, area: Area, name: &EntryName) -> Result<(Published, Lease), Error> {
        let target = self.store.entry_path(area, name);
        Durability::Durable.sync_directory(&self.path)?;
        // Before anybody sees it.
        let own = lease::of_private(&self.path)?;
        loop {
            if self.rename_to(&target)? == Published::Now {
                Durability::Durable.sync_directory(durable::parent(&target))?;
                return Ok((Published::Now, own));
            }
            // What was in the way may be gone by now.
            if let Some(theirs) = self.store.lease(area, name)? {
                // Whoever published it may not have come to sync it.
                Durability::Durable.sync_directory(durable::parent(&target))?;
                return Ok((Published::Already, theirs));
            }
        }
    }

    /// A published directory is never empty, so the rename cannot replace one.
    fn rename_to(&mut self, target: &Path) -> Result<Published, Error> {
        match fs::rename(&self.path, target) {
            Ok(()) => {
                self.published = true;
                Ok(Published::Now)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                Ok(Published::Already)
            }
            Err(error) => Err(Error::io("rename to", target)(error)),
        }
    }
}

impl Staging<'_> {
    /// Puts the directory in the place of a published one, in one step of the filesystem: whoever looks sees the old
    /// entry or the new one. The old one is removed when the new one is there for good; if that cannot be had, it is
    /// [left](Self::leave).
    ///
    /// Files in it are the caller's to have synced, as for [`publish`](Self::publish). The entry must be there.
    pub fn replace(self, area: Area, name: &EntryName, durability: Durability) -> Result<(), Error> {
        let target = self.store.entry_path(area, name);
        durability.sync_directory(&self.path)?;
        rustix::fs::renameat_with(CWD, &self.path, CWD, &target, RenameFlags::EXCHANGE)
            .map_err(Error::errno("replace", &target))?;
        if let Err(error) = durability.sync_directory(durable::parent(&target)) {
            // What is staged now is the old entry, which may be back when the power fails.
            self.leave();
            return Err(error);
        }
        Ok(())
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if !self.published {
            let _ = remove_any(&self.path);
        }
    }
}

impl StoreDir {
    /// A new empty directory in `tmp/`, on the same filesystem as everything else in the store.
    pub fn stage(&self) -> Result<Staging<'_>, Error> {
        let path = self.temporary_path()?;
        new_private_directory(&path).map_err(Error::io("create", &path))?;
        Ok(Staging { store: self, path, published: false })
    }

    /// A path in `tmp/` that nobody else draws.
    pub(crate) fn temporary_path(&self) -> Result<PathBuf, Error> {
        Ok(self.root().join("tmp").join(self.as_owner()?.next_name()))
    }

    /// Takes a published directory away: out of sight in one rename, then removed.
    ///
    /// `Ok(false)`: there was none.
    pub fn retire(&self, area: Area, name: &EntryName, durability: Durability) -> Result<bool, Error> {
        let path = self.entry_path(area, name);
        let retired = self.temporary_path()?;
        match fs::rename(&path, &retired) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("take away", &path)(error)),
        }
        durability.sync_directory(durable::parent(&path))?;
        remove_tree(&retired)?;
        Ok(true)
    }
}
