use std::path::PathBuf;

use offshoot_store::{Area, Durability, KeyLock};

use crate::records::{self, CloneRecord};
use crate::volume::{self, Volume};
use crate::{DiskFormat, Error, Store, VmId};

/// One VM's own root filesystem.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Clone {
    /// What it is.
    pub record: CloneRecord,
    /// Its disk.
    pub path: PathBuf,
}

impl Store {
    /// The clone of that VM, if there is one; its disk is not looked at.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// assert_eq!(store.find_clone(&"vm-1".parse()?)?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find_clone(&self, vm: &VmId) -> Result<Option<Clone>, Error> {
        let record: Option<CloneRecord> =
            self.directory.entry_record(Area::Clones, &vm.entry(), records::CLONE_RECORD)?;
        Ok(record.map(|record| Clone { path: self.clone_disk(vm, record.format), record }))
    }

    /// The clone of that VM, or an error that says that there is none.
    pub(crate) fn existing_clone(&self, vm: &VmId) -> Result<Clone, Error> {
        self.find_clone(vm)?.ok_or_else(|| Error::NotFound { what: "clone", name: vm.to_string() })
    }

    /// All clones, in the order of their ids' encodings.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// store.clone_template(&template, &"vm-1".parse()?, &CloneOptions::default())?;
    /// for clone in store.clones()? {
    ///     println!("{} {}", clone.record.vm_id, clone.path.display());
    /// }
    /// # assert_eq!(store.clones()?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clones(&self) -> Result<Vec<Clone>, Error> {
        let each = self.directory.each_entry_record(Area::Clones, records::CLONE_RECORD)?;
        let records = each.into_iter().filter_map(|(_, record)| record.transpose());
        let clone =
            |record: CloneRecord| Clone { path: self.clone_disk(&record.vm_id, record.format), record };
        Ok(records.map(|record| record.map(clone)).collect::<Result<_, _>>()?)
    }

    /// Removes a VM's clone; one that is not there is released already. A disk that a VMM has open is a conflict, where
    /// the VMM locks its disks as QEMU and Cloud Hypervisor do; a VM under others must not be running.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// let vm: VmId = "vm-1".parse()?;
    /// let clone = store.clone_template(&template, &vm, &CloneOptions::default())?;
    /// store.release(&vm)?;
    /// assert!(!clone.path.exists());
    /// store.release(&vm)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn release(&self, vm: &VmId) -> Result<(), Error> {
        let _changing = self.lock_clone(vm)?;
        self.release_locked(vm)
    }

    /// The same for who has the clone's lock.
    pub(crate) fn release_locked(&self, vm: &VmId) -> Result<(), Error> {
        // The record is not asked: one that cannot be understood must not keep its clone for ever. A directory in use
        // cannot be told from one that is not.
        let lock = |format| volume::lock_unused(vm, &self.clone_disk(vm, format));
        let _in_use = [lock(DiskFormat::Raw)?, lock(DiskFormat::Qcow2)?];
        self.directory.retire(Area::Clones, &vm.entry(), Durability::Durable)?;
        Ok(())
    }

    /// The exclusive right to change a clone that exists. To make one needs no lock: the rename decides.
    pub(crate) fn lock_clone(&self, vm: &VmId) -> Result<KeyLock, Error> {
        Ok(self.directory.lock_key(Area::Clones, &vm.entry())?)
    }

    pub(crate) fn clone_disk(&self, vm: &VmId, format: DiskFormat) -> PathBuf {
        self.directory.entry_path(Area::Clones, &vm.entry()).join(format.file())
    }

    /// The template's disk that a clone stands on, if it is an overlay, or was copied from.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// let clone = store.clone_template(&template, &"vm-1".parse()?, &CloneOptions::default())?;
    /// assert_eq!(store.base_disk(&clone), template.path);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn base_disk(&self, clone: &Clone) -> PathBuf {
        self.clone_base(&clone.record)
    }

    pub(crate) fn clone_base(&self, record: &CloneRecord) -> PathBuf {
        self.template_disk(record.template.id)
    }

    /// The guest's view of a clone's disk, to be written; nobody else has it open, as far as can be told.
    pub(crate) fn open_disk(&self, clone: &Clone) -> Result<Volume, Error> {
        let file = volume::open_unused(&clone.record.vm_id, &clone.path)?;
        let base = self.clone_base(&clone.record);
        Volume::open(file, &clone.path, clone.record.format, &base, clone.record.durability())
    }

    pub(crate) fn put_clone_record(&self, record: &CloneRecord) -> Result<(), Error> {
        let durability = record.durability();
        let entry = record.vm_id.entry();
        self.directory.put_entry_record(Area::Clones, &entry, records::CLONE_RECORD, record, durability)?;
        Ok(())
    }
}

impl CloneRecord {
    pub(crate) fn durability(&self) -> Durability {
        if self.ephemeral { Durability::Ephemeral } else { Durability::Durable }
    }
}
