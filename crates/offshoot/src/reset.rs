use crate::clone::DiskRequest;
use crate::records::CloneRecord;
use crate::{Clone, DiskFormat, Error, Store, VmId, volume};

impl Store {
    /// Gives a VM the disk that it had when it was cloned, under the same path, in one step; all that it has written is
    /// gone. The disk keeps its size, its strategy and its UUID. The VM must not be running.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// # let vm: VmId = "vm-1".parse()?;
    /// let clone = store.clone_template(&template, &vm, &CloneOptions::default())?;
    /// std::fs::write(&clone.path, b"rm -rf /")?;
    /// assert_eq!(store.reset(&vm)?.path, clone.path);
    /// assert_eq!(store.file_digest(&clone.path)?, store.file_digest(&template.path)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset(&self, vm: &VmId) -> Result<Clone, Error> {
        let _changing = self.lock_clone(vm)?;
        let clone = self.existing_clone(vm)?;
        let record = &clone.record;
        let template = self
            .template(record.template.id)?
            .ok_or_else(|| Error::NotFound { what: "template", name: record.template.id.to_string() })?;
        // A directory in use cannot be told from one that is not.
        let in_use = match record.format {
            DiskFormat::Dir => None,
            DiskFormat::Raw | DiskFormat::Qcow2 => volume::lock_unused(vm, &clone.path)?,
        };
        let staging = self.directory.stage()?;
        let disk = self.stage_disk(
            staging.path(),
            &DiskRequest {
                template: &template,
                strategy: Some(record.strategy),
                size_bytes: Some(record.growing_to_bytes.unwrap_or(record.size_bytes)),
                uuid: record.uuid,
                read_only: record.read_only,
                as_directory: record.format == DiskFormat::Dir,
                built_from: record.built_from.as_ref(),
                durability: record.durability(),
            },
        )?;
        let path = staging.path().join(disk.format.file());
        let record = CloneRecord {
            strategy: disk.strategy,
            size_bytes: disk.size_bytes,
            ownership: disk.ownership.map(Into::into),
            growing_to_bytes: None,
            built_from: disk.built_from,
            ..clone.record
        };
        self.replace_clone(staging, &path, &record)?;
        drop(in_use);
        Ok(Clone { record, path: clone.path })
    }
}
