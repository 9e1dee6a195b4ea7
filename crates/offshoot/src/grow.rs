use std::fs::File;
use std::path::Path;

use offshoot_store::{Area, Durability, Staging};

use crate::disk_copy::copy_for_change;
use crate::growth::{self, Plan};
use crate::records::{self, CloneRecord};
use crate::volume::Volume;
use crate::{Clone, DiskFormat, Error, Store, VmId};

impl Store {
    /// Makes a VM's disk and the filesystem on it larger; the VM must not be running.
    ///
    /// `Ok` promises that both have the size, which is rounded down where a last block group would be too small to be
    /// of use. A process or machine that dies on the way leaves a filesystem of the old size or of the new one, and the
    /// same call completes it. Nothing is ever made smaller.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// let vm: VmId = "vm-1".parse()?;
    /// store.clone_template(&template, &vm, &CloneOptions::default())?;
    /// let clone = store.grow(&vm, 8 << 30)?;
    /// assert_eq!(clone.path.metadata()?.len(), 8 << 30);
    /// assert_eq!(store.grow(&vm, 1 << 30).unwrap_err().kind(), ErrorKind::Conflict); // would lose data
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn grow(&self, vm: &VmId, size_bytes: u64) -> Result<Clone, Error> {
        growth::prefetch(&self.directory.entry_path(Area::Clones, &vm.entry()).join(DiskFormat::Raw.file()));
        let _changing = self.lock_clone(vm)?;
        let mut clone = self.existing_clone(vm)?;
        if let Some(damage) = self.damage(&clone)? {
            return Err(Error::CloneDamaged { vm: vm.clone(), damage: Box::new(damage), quarantined: None });
        }
        if clone.record.format == DiskFormat::Dir {
            return Err(Error::NoDisk { vm: vm.clone(), operation: "grow" });
        }
        if clone.record.read_only {
            return Err(Error::ReadOnlyDisk { vm: vm.clone() });
        }
        if let Some(unfinished) = clone.record.growing_to_bytes {
            clone = self.grow_to(clone, unfinished)?;
        }
        let current_bytes = clone.record.size_bytes;
        if size_bytes < current_bytes {
            return Err(Error::Shrink { current_bytes, requested_bytes: size_bytes });
        }
        if size_bytes == current_bytes { Ok(clone) } else { self.grow_to(clone, size_bytes) }
    }

    /// Makes a sound clone's disk larger, or completes a growth to that size; under its lock.
    pub(crate) fn grow_to(&self, mut clone: Clone, size_bytes: u64) -> Result<Clone, Error> {
        let durability = clone.record.durability();
        let volume = self.open_disk(&clone)?;
        if let Plan::InPlace(plan) = growth::plan(&volume, &clone.path, size_bytes, durability)? {
            // A disk that is longer than its filesystem keeps its length.
            let size_bytes = plan.device_bytes().max(clone.record.size_bytes);
            clone.record.growing_to_bytes = Some(size_bytes);
            self.put_clone_record(&clone.record)?;
            if growth::apply(&plan, &volume, &clone.path, durability)? {
                volume.flush(&clone.path)?;
                clone.record.size_bytes = size_bytes;
                clone.record.growing_to_bytes = None;
                self.put_clone_record(&clone.record)?;
                return Ok(clone);
            }
        }
        let staging = self.directory.stage()?;
        let path = staging.path().join(clone.record.format.file());
        let copy = copy_for_change(&clone.path, &path)?;
        let record = self.grow_copy(&clone, copy, &path, size_bytes)?;
        self.replace_clone(staging, &path, &record)?;
        // Only now: the original is locked for as long as it is open.
        drop(volume);
        Ok(Clone { record, path: clone.path })
    }

    fn grow_copy(
        &self,
        clone: &Clone,
        copy: File,
        path: &Path,
        size_bytes: u64,
    ) -> Result<CloneRecord, Error> {
        let base = self.clone_base(&clone.record);
        // Synced as a whole when it is finished.
        let volume = Volume::open(copy, path, clone.record.format, &base, Durability::Ephemeral)?;
        let size_bytes = growth::grow_private(&volume, &volume, path, size_bytes, self.resize2fs())?;
        volume.flush(path)?;
        Ok(CloneRecord { size_bytes, growing_to_bytes: None, ..clone.record.clone() })
    }

    /// Puts a staged disk and its record in the place of a clone's, in one step of the filesystem.
    pub(crate) fn replace_clone(
        &self,
        staging: Staging<'_>,
        disk: &Path,
        record: &CloneRecord,
    ) -> Result<(), Error> {
        let durability = record.durability();
        // A list of clones that is being read may miss one that is exchanged; then its template is seen to be in use.
        let _template = self.directory.lease(Area::Templates, &record.template.id.entry())?;
        // A directory was synced as it was made.
        if durability == Durability::Durable && record.format != DiskFormat::Dir {
            let file = File::open(disk).map_err(Error::io("open", disk))?;
            durability.sync_file(&file, disk)?;
        }
        staging.write_record(records::CLONE_RECORD, record, durability)?;
        staging.replace(Area::Clones, &record.vm_id.entry(), durability)?;
        Ok(())
    }
}
