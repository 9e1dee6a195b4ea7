use offshoot_store::Durability;

use crate::build::seal;
use crate::disk_copy::copy_for_change;
use crate::records::{self, Origin, TemplateRecord};
use crate::{DiskFormat, Error, Store, Template, TemplateId, TemplateName, VmId, checksums, volume};

impl Store {
    /// Makes a template of a VM's disk as it is now, under that name; the VM must not be running. The clone stays as it
    /// is, and the template shares its blocks where the filesystem can.
    ///
    /// The name moves to the snapshot if it stands for another template.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// # let vm: VmId = "vm-1".parse()?;
    /// store.clone_template(&template, &vm, &CloneOptions::default())?;
    /// // The VM installs what it needs, and is stopped.
    /// let installed = store.snapshot(&vm, &"installed".parse()?)?;
    /// store.clone_template(&installed, &"vm-2".parse()?, &CloneOptions::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot(&self, vm: &VmId, name: &TemplateName) -> Result<Template, Error> {
        let _changing = self.lock_clone(vm)?;
        let clone = self.existing_clone(vm)?;
        let record = &clone.record;
        if let Some(damage) = self.damage(&clone)? {
            return Err(Error::CloneDamaged { vm: vm.clone(), damage: Box::new(damage), quarantined: None });
        }
        if let Some(unfinished_bytes) = record.growing_to_bytes {
            return Err(Error::UnfinishedGrowth { vm: vm.clone(), unfinished_bytes });
        }
        if record.format == DiskFormat::Dir {
            return Err(Error::NoDisk { vm: vm.clone(), operation: "make a template of" });
        }
        let in_use = volume::lock_unused(vm, &clone.path)?;
        let staging = self.directory.stage()?;
        let path = staging.path().join(records::DISK);
        let disk = match record.format {
            DiskFormat::Raw | DiskFormat::Dir => copy_for_change(&clone.path, &path)?,
            DiskFormat::Qcow2 => {
                let base = self.clone_base(record);
                let disk = copy_for_change(&base, &path)?;
                volume::copy_changes(&clone.path, &base, &disk, &path)?;
                disk
            }
        };
        drop(in_use);
        let checksums = checksums::of_file(&disk).map_err(Error::io("read", &path))?;
        seal(&disk, &path)?;
        Durability::Durable.sync_file(&disk, &path)?;
        let template = TemplateRecord {
            version: records::VERSION,
            id: TemplateId::random()?,
            origin: Origin::Snapshot { vm_id: vm.clone(), template: record.template.clone() },
            size_bytes: record.size_bytes,
            checksums,
            image: record.image.clone(),
            created_at: records::now(),
        };
        let mut template = self.publish_template(staging, template)?;
        self.name_template(&mut template, name)?;
        Ok(template)
    }
}
