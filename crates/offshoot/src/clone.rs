use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use offshoot_store::{Area, Durability, Published, clone_file, copy_holes};
use serde::{Deserialize, Serialize};

use crate::records::{self, CloneRecord, TemplateIdentity};
use crate::{Error, Store, Template, VmId};

/// How a clone comes to be.
///
/// ```
/// use offshoot::{CloneOptions, Strategy};
///
/// // A reflink or an error, never a copy.
/// let options = CloneOptions { strategy: Some(Strategy::Reflink), ..CloneOptions::default() };
/// assert_eq!("copy".parse(), Ok(Strategy::Copy));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// All blocks are shared with the template until they are written.
    Reflink,
    /// All data is copied; holes stay holes.
    Copy,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reflink => "reflink",
            Self::Copy => "copy",
        })
    }
}

/// What a clone may be told.
#[derive(Clone, Debug, Default)]
pub struct CloneOptions {
    /// That strategy or an error; by default a reflink, and a copy where the filesystem cannot.
    pub strategy: Option<Strategy>,
    /// The disk is not to be written: its file has mode 0444.
    pub read_only: bool,
    /// Nothing is synced; the clone may be lost in a power cut.
    pub ephemeral: bool,
}

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
    /// Gives a VM its own copy of a template.
    ///
    /// The clone is wholly there or not there at all. Asked again for the same, the same is returned and nothing
    /// changes. Another template, read-only flag or strategy (if one is asked for) under the same id is a conflict, and
    /// so is a durable clone where there is an ephemeral one.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// let vm: VmId = "vm-1".parse()?;
    /// let clone = store.clone_template(&template, &vm, &CloneOptions::default())?;
    /// assert_eq!(store.clone_template(&template, &vm, &CloneOptions::default())?, clone);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clone_template(
        &self,
        template: &Template,
        vm: &VmId,
        options: &CloneOptions,
    ) -> Result<Clone, Error> {
        if let Some(existing) = self.find_clone(vm)? {
            return self.agree(existing, template, options);
        }
        let durability = if options.ephemeral { Durability::Ephemeral } else { Durability::Durable };
        let staging = self.directory.stage()?;
        let disk = staging.path().join(records::DISK);
        let strategy = copy_disk(&template.path, &disk, options, durability)?;
        let record = CloneRecord {
            version: records::VERSION,
            vm_id: vm.clone(),
            format: "raw".to_owned(),
            strategy,
            size_bytes: template.record.size_bytes,
            read_only: options.read_only,
            ephemeral: options.ephemeral,
            template: TemplateIdentity { id: template.record.id, name: template.name.clone() },
            image: template.record.image.clone(),
            created_at: records::now(),
        };
        staging.write_record(records::CLONE_RECORD, &record, durability)?;
        match staging.publish(Area::Clones, &vm.entry(), durability)? {
            Published::Now => Ok(Clone { record, path: self.clone_disk(vm) }),
            // Somebody was faster; theirs is the clone if it is the same.
            Published::Already => match self.find_clone(vm)? {
                Some(existing) => self.agree(existing, template, options),
                None => Err(Error::CloneContested { vm: vm.clone() }),
            },
        }
    }

    /// The clone of that VM, if there is one.
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
        let record = self.directory.entry_record(Area::Clones, &vm.entry(), records::CLONE_RECORD)?;
        Ok(record.map(|record| Clone { record, path: self.clone_disk(vm) }))
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
        let records: Vec<CloneRecord> = self.directory.entry_records(Area::Clones, records::CLONE_RECORD)?;
        Ok(records.into_iter().map(|record| Clone { path: self.clone_disk(&record.vm_id), record }).collect())
    }

    /// Removes a VM's clone; one that is not there is released already. The VM must not be running.
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
        self.directory.retire(Area::Clones, &vm.entry(), Durability::Durable)?;
        Ok(())
    }

    /// The clone that is there, if it is what was asked for.
    fn agree(&self, existing: Clone, template: &Template, options: &CloneOptions) -> Result<Clone, Error> {
        let conflict = |field, existing_value: String, requested: String| {
            let vm = existing.record.vm_id.clone();
            Err(Error::CloneConflict { vm, field, existing: existing_value, requested })
        };
        let record = &existing.record;
        if record.template.id != template.record.id {
            return conflict("template", record.template.id.to_string(), template.record.id.to_string());
        }
        if record.read_only != options.read_only {
            return conflict("read-only flag", record.read_only.to_string(), options.read_only.to_string());
        }
        if record.ephemeral && !options.ephemeral {
            return conflict("durability", "none (ephemeral)".to_owned(), "a durable clone".to_owned());
        }
        if let Some(requested) = options.strategy
            && requested != record.strategy
        {
            return conflict("strategy", record.strategy.to_string(), requested.to_string());
        }
        if !options.ephemeral {
            // Whoever published it may not have come to sync it.
            self.directory.sync_area(Area::Clones)?;
        }
        Ok(existing)
    }

    fn clone_disk(&self, vm: &VmId) -> PathBuf {
        self.directory.entry_path(Area::Clones, &vm.entry()).join(records::DISK)
    }
}

fn copy_disk(
    template: &Path,
    disk: &Path,
    options: &CloneOptions,
    durability: Durability,
) -> Result<Strategy, Error> {
    let source = File::open(template).map_err(Error::io("open", template))?;
    let target = File::create_new(disk).map_err(Error::io("create", disk))?;
    let strategy = match options.strategy {
        Some(Strategy::Copy) => Strategy::Copy,
        strategy => {
            if clone_file(&source, &target).map_err(Error::io("clone to", disk))? {
                Strategy::Reflink
            } else if strategy.is_some() {
                return Err(Error::NoReflink { path: template.to_owned() });
            } else {
                Strategy::Copy
            }
        }
    };
    if strategy == Strategy::Copy {
        copy_holes(&source, &target).map_err(Error::io("copy to", disk))?;
    }
    if options.read_only {
        let read_only = fs::Permissions::from_mode(0o444);
        target.set_permissions(read_only).map_err(Error::io("set the mode of", disk))?;
    }
    durability.sync_file(&target, disk)?;
    Ok(strategy)
}

/// A strategy that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a strategy: reflink and copy are")]
pub struct UnknownStrategy(String);

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, UnknownStrategy> {
        match text {
            "reflink" => Ok(Self::Reflink),
            "copy" => Ok(Self::Copy),
            _ => Err(UnknownStrategy(text.to_owned())),
        }
    }
}
