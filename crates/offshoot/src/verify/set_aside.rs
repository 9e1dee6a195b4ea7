//! What is damaged is moved out of the way, and nothing else is.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use offshoot_store::{Area, KeyLock};

use super::check::Item;
use super::{Depth, Finding, Subject};
use crate::volume::{self, DiskFile};
use crate::{Error, Progress, Store, VmId, ids, records};

impl Store {
    /// Moves a thing to quarantine that is still damaged, with the reason; where it is now.
    ///
    /// `Ok(None)`: others have made it right, or it is gone.
    pub(super) fn set_aside_damaged(
        &self,
        finding: &Finding,
        progress: &dyn Progress,
    ) -> Result<Option<PathBuf>, Error> {
        // No claim is made on it: who uses it uses damage, and does not go on with that. But who has claimed it, to remove it,
        // is waited for: it would be what comes in its place that is removed.
        let _changing = self.lock_item(&finding.item)?;
        let path = finding.item.path(self);
        let _kept = match &finding.item {
            Item::Entry(Area::Layers | Area::Templates, _) | Item::Blob(_) => self.directory.keep(&path)?,
            _ => None,
        };
        let looked_at = identity(&path)?;
        let found = self.found_now(&finding.item, Depth::Full, progress)?;
        let Some(damage) = found.iter().find(|found| found.is_damage()) else { return Ok(None) };
        let _unused = self.lock_disks(finding, &path)?;
        let reason = format!("{}: {}", damage.path.display(), damage.problem);
        let Some(aside) = self.directory.quarantine(&path, &reason)? else { return Ok(None) };
        // Records and blobs are replaced by whoever has a new one, without a lock.
        if identity(&aside)? != looked_at && self.directory.put_back(&aside, &path)? {
            return Ok(None);
        }
        Ok(Some(aside))
    }

    /// The right to change a thing, where there is one.
    pub(super) fn lock_item(&self, item: &Item) -> Result<Option<KeyLock>, Error> {
        match item {
            Item::Entry(area, name) => Ok(Some(self.directory.lock_key(*area, name)?)),
            _ => Ok(None),
        }
    }

    /// The disks of a VM that is not running, as far as can be told; nobody who asks gets them until they are closed.
    fn lock_disks(&self, finding: &Finding, directory: &Path) -> Result<Vec<DiskFile>, Error> {
        let (Item::Entry(Area::Clones, _), Subject::Clone(name)) = (&finding.item, &finding.subject) else {
            return Ok(Vec::new());
        };
        let unknown = || Error::NotFound { what: "VM", name: name.clone() };
        // Of a record that cannot be read there is only its directory's name, which may be longer than what it stands for.
        let vm: VmId = name.get(..ids::MAX_BYTES).unwrap_or(name.as_str()).parse().map_err(|_| unknown())?;
        let mut locked = Vec::new();
        for disk in [records::DISK, records::OVERLAY].map(|disk| directory.join(disk)) {
            if fs::symlink_metadata(&disk).is_ok_and(|metadata| metadata.is_file()) {
                locked.extend(volume::lock_unused(&vm, &disk)?);
            }
        }
        Ok(locked)
    }
}

/// Which file or directory a path leads to.
pub(super) fn identity(path: &Path) -> Result<Option<(u64, u64)>, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}
