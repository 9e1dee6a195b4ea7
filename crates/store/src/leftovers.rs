//! What dead processes left, and what was set aside: found and removed without getting into anybody's way.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::owner::{OWNERS, remove_any};
use crate::store_dir::list;
use crate::{Error, Staging, StoreDir, lock};

/// What kind of thing was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeftoverKind {
    /// What was being made, or being removed.
    Staging,
    /// A lock that nobody holds.
    Lock,
    /// A part of a layer that is not being downloaded.
    Download,
}

/// Something that no live process holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// What it is.
    pub kind: LeftoverKind,
    /// Its file name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// When it was last changed.
    pub modified: SystemTime,
}

impl StoreDir {
    /// All that no live process holds of what is being made, of locks and of downloads; an error for each of which that
    /// cannot be told.
    pub fn leftovers(&self) -> Result<Vec<Result<Leftover, Error>>, Error> {
        let mut leftovers = Vec::new();
        for (kind, directory) in [
            (LeftoverKind::Staging, "tmp"),
            (LeftoverKind::Lock, "locks"),
            (LeftoverKind::Lock, OWNERS),
            (LeftoverKind::Download, "downloads"),
        ] {
            let directory = self.root().join(directory);
            // Stores made long ago may not have all of them.
            let names = if directory.exists() { list(&directory)? } else { Vec::new() };
            for name in names {
                let path = directory.join(&name);
                let metadata = match fs::symlink_metadata(&path) {
                    Ok(metadata) => metadata,
                    // It may go while the list is read.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => {
                        leftovers.push(Err(Error::io("look at", &path)(error)));
                        continue;
                    }
                };
                let leftover =
                    Leftover { kind, name, path, modified: metadata.modified().unwrap_or(UNIX_EPOCH) };
                match self.is_left(&leftover) {
                    Ok(false) => {}
                    judged => leftovers.push(judged.map(|_| leftover)),
                }
            }
        }
        Ok(leftovers)
    }

    fn is_left(&self, leftover: &Leftover) -> Result<bool, Error> {
        match leftover.kind {
            LeftoverKind::Staging => match Self::owner_of(&leftover.name) {
                Some(owner) => Ok(!self.is_alive(&owner)?),
                None => Ok(true),
            },
            LeftoverKind::Lock | LeftoverKind::Download => lock::is_free(&leftover.path),
        }
    }

    /// Removes something that was left, if nobody holds it now.
    ///
    /// `Ok(false)`: somebody does, or it is gone.
    pub fn remove_leftover(&self, leftover: &Leftover) -> Result<bool, Error> {
        match leftover.kind {
            LeftoverKind::Staging => {
                if !self.is_left(leftover)? {
                    return Ok(false);
                }
                // Of several who try, one gets it.
                let retired = self.temporary_path()?;
                match fs::rename(&leftover.path, &retired) {
                    Ok(()) => remove_any(&retired).map(|()| true),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                    Err(error) => Err(Error::io("take away", &leftover.path)(error)),
                }
            }
            LeftoverKind::Lock | LeftoverKind::Download => lock::remove_free(&leftover.path),
        }
    }

    /// Takes something out of `quarantine/`, to be removed when what is returned is dropped or discarded.
    pub fn unquarantine(&self, name: &str) -> Result<Option<Staging<'_>>, Error> {
        let path = self.root().join("quarantine").join(name);
        let retired = self.temporary_path()?;
        match fs::rename(&path, &retired) {
            Ok(()) => Ok(Some(Staging::of_retired(self, retired))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("take away", &path)(error)),
        }
    }
}
