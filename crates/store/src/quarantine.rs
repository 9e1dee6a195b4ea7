//! What looks damaged is moved aside with a reason, never deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use serde::{Deserialize, Serialize};

use crate::durable::{self, Durability};
use crate::{Error, StoreDir, new_private_directory, record, remove_tree, staging};

const REASON: &str = "reason.json";

/// Of a thing that is called as the other is.
const OTHER_REASON: &str = "why.json";

/// Why something is in quarantine, and where it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Of this form: 1.
    pub version: u32,
    /// Where it was, relative to the store.
    pub origin: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// Seconds since the epoch.
    pub moved_at: u64,
}

impl StoreDir {
    /// Moves a file or directory of the store to `quarantine/`, beside a record of the reason; where it is now.
    ///
    /// `Ok(None)`: it was not there. An error leaves it where it was. A machine that dies between the two steps leaves a
    /// reason without the thing, and the thing where it was.
    pub fn quarantine(&self, path: &Path, reason: &str) -> Result<Option<PathBuf>, Error> {
        let target = self.quarantine_for(path, reason)?;
        match fs::rename(path, &target) {
            Ok(()) => {}
            Err(error) => {
                let _ = remove_tree(durable::parent(&target));
                if error.kind() == io::ErrorKind::NotFound {
                    return Ok(None);
                }
                return Err(Error::io("move to quarantine", path)(error));
            }
        }
        let synced = sync_quarantined(&target)
            .and_then(|()| Durability::Durable.sync_directory(durable::parent(path)));
        if let Err(error) = synced {
            let _ = self.put_back(&target, path);
            return Err(error);
        }
        Ok(Some(target))
    }

    /// Puts back what [`quarantine`](Self::quarantine) has moved aside.
    ///
    /// `Ok(false)`: something else has come in its place, and it stays where it is.
    pub fn put_back(&self, aside: &Path, path: &Path) -> Result<bool, Error> {
        match rustix::fs::renameat_with(CWD, aside, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => return Ok(false),
            Err(error) => return Err(Error::errno("put back", path)(error)),
        }
        Durability::Durable.sync_directory(durable::parent(path))?;
        let _ = remove_tree(durable::parent(aside));
        Ok(true)
    }

    /// Puts a staged file, which is synced, in the place of one that goes to quarantine: whoever looks sees the one or
    /// the other. What is no file makes way first.
    pub fn quarantine_replaced(&self, path: &Path, staged: &Path, reason: &str) -> Result<(), Error> {
        let mut linked = None;
        let mut moved = None;
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                let target = self.quarantine_for(path, reason)?;
                let link = fs::hard_link(path, &target).map_err(Error::io("link to quarantine", path));
                if let Err(error) = link.and_then(|()| sync_quarantined(&target)) {
                    let _ = remove_tree(durable::parent(&target));
                    return Err(error);
                }
                linked = Some(target);
            }
            Ok(_) => moved = self.quarantine(path, reason)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("look at", path)(error)),
        }
        if let Err(error) = fs::rename(staged, path) {
            // It has not made way.
            if let Some(target) = linked {
                let _ = remove_tree(durable::parent(&target));
            } else if let Some(aside) = moved {
                let _ = self.put_back(&aside, path);
            }
            return Err(Error::io("rename to", path)(error));
        }
        Durability::Durable.sync_directory(durable::parent(path))
    }

    /// A place for something, and the reason beside it.
    fn quarantine_for(&self, path: &Path, reason: &str) -> Result<PathBuf, Error> {
        let moved_at = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let origin = path.strip_prefix(self.root()).unwrap_or(path).to_owned();
        let quarantined = Quarantined { version: 1, origin, reason: reason.to_owned(), moved_at };
        let directory = self.root().join("quarantine").join(staging::unique());
        new_private_directory(&directory).map_err(Error::io("create", &directory))?;
        let name = path.file_name().unwrap_or_default();
        let file = directory.join(if name == REASON { OTHER_REASON } else { REASON });
        if let Err(error) = record::write_new(&file, &quarantined, Durability::Durable) {
            let _ = remove_tree(&directory);
            return Err(error);
        }
        Ok(directory.join(name))
    }
}

fn sync_quarantined(target: &Path) -> Result<(), Error> {
    let directory = durable::parent(target);
    Durability::Durable.sync_directory(directory)?;
    Durability::Durable.sync_directory(durable::parent(directory))
}
