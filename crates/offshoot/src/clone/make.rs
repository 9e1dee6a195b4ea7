use offshoot_store::{Area, Digest, Durability, Lease, Published, SessionId};

use super::DiskRequest;
use crate::progress::Quiet;
use crate::records::{self, CloneRecord, TemplateIdentity};
use crate::{Clone, CloneOptions, Damage, Derivation, Error, FilesystemUuid, Store, Template, VmId};

/// What a clone is to be.
pub(super) struct Request<'a> {
    pub(super) template: &'a Template,
    pub(super) options: &'a CloneOptions,
    /// What its own disk is built from, where it has files of its own.
    pub(super) own: Option<Derivation>,
    /// The pack of those files, which stays until the clone's record names it.
    _injected: Option<Lease>,
    /// Whose session it is to end with.
    pub(super) session: Option<SessionId>,
}

impl Request<'_> {
    pub(super) fn template_layers(&self) -> Option<&[Digest]> {
        self.template.record.derivation().map(|derivation| derivation.layers.as_slice())
    }
}

impl Store {
    /// Gives a VM its own disk, made from a template.
    ///
    /// The clone is wholly there or not there at all. Asked again for the same, the same is returned and nothing
    /// changes, once its disk was seen to be there, of its size and on its template ([`Damage`] if it is not). Another
    /// template, read-only flag, UUID, set of injected files, size or strategy (if one is asked for) under the same id
    /// is a conflict, and so is a durable clone where there is an ephemeral one.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// let vm: VmId = "vm-1".parse()?;
    /// let options = CloneOptions { size_bytes: Some(8 << 30), ..CloneOptions::default() };
    /// let clone = store.clone_template(&template, &vm, &options)?;
    /// assert_eq!(clone.path.metadata()?.len(), 8 << 30);
    /// assert_eq!(store.clone_template(&template, &vm, &options)?, clone);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clone_template(
        &self,
        template: &Template,
        vm: &VmId,
        options: &CloneOptions,
    ) -> Result<Clone, Error> {
        let request = self.request(template, options)?;
        match self.find_clone(vm) {
            Ok(None) => {}
            Ok(Some(existing)) => {
                self.agree(&existing, &request)?;
                if let Some(clone) = self.reopen(existing, &request)? {
                    return Ok(clone);
                }
            }
            Err(error) if options.recreate && error.is_damaged_record() => self.set_aside_unreadable(vm)?,
            Err(error) => return Err(error),
        }
        if let Some(clone) = self.make(vm, &request)? {
            return Ok(clone);
        }
        // Somebody was faster; theirs is the clone if it is the same.
        match self.find_clone(vm)? {
            Some(existing) => self.agree(&existing, &request).map(|()| existing),
            None if options.recreate => {
                self.set_aside_unreadable(vm)?;
                self.make(vm, &request)?.ok_or_else(|| Error::CloneContested { vm: vm.clone() })
            }
            None => Err(Error::CloneContested { vm: vm.clone() }),
        }
    }

    /// Makes a clone that ends with this open store, at the latest; `None` where there is one of that id.
    pub(super) fn make_session(
        &self,
        template: &Template,
        vm: &VmId,
        options: &CloneOptions,
    ) -> Result<Option<Clone>, Error> {
        let session = Some(self.directory.new_session()?);
        self.make(vm, &Request { session, ..self.request(template, options)? })
    }

    fn request<'a>(&self, template: &'a Template, options: &'a CloneOptions) -> Result<Request<'a>, Error> {
        options.check()?;
        template.lease.mark_used();
        let (mut own, mut injected) = (None, None);
        if !options.injections.is_empty() {
            let derivation = template.record.derivation();
            let mut derivation = derivation.ok_or(Error::NotBuilt { id: template.record.id })?.clone();
            let index = derivation.layers.len();
            let limits = offshoot_layer::Limits::default();
            let (diff_id, lease) = self.pack_injections(&options.injections, index, &limits, &Quiet)?;
            derivation.layers.push(diff_id);
            (own, injected) = (Some(derivation), Some(lease));
        }
        Ok(Request { template, options, own, _injected: injected, session: None })
    }

    fn make(&self, vm: &VmId, request: &Request<'_>) -> Result<Option<Clone>, Error> {
        let options = request.options;
        let template = &request.template.record;
        let durability = if options.ephemeral { Durability::Ephemeral } else { Durability::Durable };
        let uuid = if options.fresh_uuid { Some(FilesystemUuid::random()?) } else { None };
        let staging = self.directory.stage()?;
        let disk = self.stage_disk(
            staging.path(),
            &DiskRequest {
                template: request.template,
                strategy: options.strategy,
                size_bytes: options.size_bytes,
                uuid,
                read_only: options.read_only,
                as_directory: options.as_directory,
                built_from: request.own.as_ref(),
                durability,
            },
        )?;
        let record = CloneRecord {
            version: records::VERSION,
            vm_id: vm.clone(),
            format: disk.format,
            strategy: disk.strategy,
            size_bytes: disk.size_bytes,
            requested_bytes: options.size_bytes,
            growing_to_bytes: None,
            read_only: options.read_only,
            ephemeral: options.ephemeral,
            uuid,
            ownership: disk.ownership.map(Into::into),
            built_from: disk.built_from,
            session: request.session.clone(),
            template: TemplateIdentity { id: template.id, name: request.template.name.clone() },
            image: template.image.clone(),
            created_at: records::now(),
        };
        staging.write_record(records::CLONE_RECORD, &record, durability)?;
        match staging.publish(Area::Clones, &vm.entry(), durability)? {
            Published::Now => Ok(Some(Clone { path: self.clone_disk(vm, record.format), record })),
            Published::Already => Ok(None),
        }
    }

    /// A clone that is there, fit for its VM to start from; `None` when it was damaged and has been set aside, or is gone.
    fn reopen(&self, existing: Clone, request: &Request<'_>) -> Result<Option<Clone>, Error> {
        if existing.record.growing_to_bytes.is_none() && self.damage(&existing)?.is_none() {
            return Ok(Some(existing));
        }
        // Somebody may be at work on it: only what is found under its lock counts.
        let vm = existing.record.vm_id;
        let _changing = self.lock_clone(&vm)?;
        let Some(existing) = self.find_clone(&vm)? else { return Ok(None) };
        self.agree(&existing, request)?;
        let Some(damage) = self.damage(&existing)? else {
            return match existing.record.growing_to_bytes {
                Some(size_bytes) => self.grow_to(existing, size_bytes).map(Some),
                None => Ok(Some(existing)),
            };
        };
        // Without the template's disk there is nothing to make it anew from.
        if request.options.recreate && !matches!(damage, Damage::NoBacking { .. }) {
            self.set_aside(&vm, &damage.to_string())?;
            return Ok(None);
        }
        let mut quarantined = None;
        if matches!(damage, Damage::Header { .. }) {
            quarantined = self.directory.quarantine(&existing.path, &damage.to_string())?;
        }
        Err(Error::CloneDamaged { vm, damage: Box::new(damage), quarantined })
    }

    /// Moves a clone to quarantine whose record is missing or cannot be understood, which is all that is known of it.
    fn set_aside_unreadable(&self, vm: &VmId) -> Result<(), Error> {
        let _changing = self.lock_clone(vm)?;
        // Before its record is looked for: to make a clone anew takes no lock.
        let exists = self.directory.contains(Area::Clones, &vm.entry())?;
        match self.find_clone(vm) {
            Ok(None) if exists => self.set_aside(vm, "it has no record"),
            // Somebody has set it aside, and perhaps made it anew.
            Ok(_) => Ok(()),
            Err(error) if error.is_damaged_record() => self.set_aside(vm, &error.to_string()),
            Err(error) => Err(error),
        }
    }

    /// Moves all that there is of a clone to quarantine, under its lock.
    fn set_aside(&self, vm: &VmId, reason: &str) -> Result<(), Error> {
        self.directory.quarantine(&self.directory.entry_path(Area::Clones, &vm.entry()), reason)?;
        Ok(())
    }
}
