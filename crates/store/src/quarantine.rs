//! What looks damaged is moved aside with a reason, never deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable::{self, Durability};
use crate::{Error, StoreDir, new_private_directory, record, remove_tree, staging};

const REASON: &str = "reason.json";

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
    /// `Ok(None)`: it was not there. A machine that dies between the two steps leaves a reason without the thing, and
    /// the thing where it was.
    pub fn quarantine(&self, path: &Path, reason: &str) -> Result<Option<PathBuf>, Error> {
        let target = self.quarantine_for(path, reason)?;
        match fs::rename(path, &target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let _ = remove_tree(durable::parent(&target));
                return Ok(None);
            }
            Err(error) => return Err(Error::io("move to quarantine", path)(error)),
        }
        sync_quarantined(&target)?;
        Durability::Durable.sync_directory(durable::parent(path))?;
        Ok(Some(target))
    }

    /// Puts a staged file, which is synced, in the place of one that goes to quarantine: whoever looks sees the one or
    /// the other. What is no file makes way first.
    pub fn quarantine_replaced(&self, path: &Path, staged: &Path, reason: &str) -> Result<(), Error> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                let target = self.quarantine_for(path, reason)?;
                fs::hard_link(path, &target).map_err(Error::io("link to quarantine", path))?;
                sync_quarantined(&target)?;
            }
            Ok(_) => {
                self.quarantine(path, reason)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("look at", path)(error)),
        }
        durable::rename(staged, path, Durability::Durable)
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
        record::write_new(&directory.join(REASON), &quarantined, Durability::Durable)?;
        Ok(directory.join(path.file_name().unwrap_or_default()))
    }
}

fn sync_quarantined(target: &Path) -> Result<(), Error> {
    let directory = durable::parent(target);
    Durability::Durable.sync_directory(directory)?;
    Durability::Durable.sync_directory(durable::parent(directory))
}
