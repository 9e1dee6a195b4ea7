//! Templates, from their layers, and the clones that are links to them.

use std::fs;

use offshoot_store::{Area, Durability, Lease, RecordArea};

use super::check::Item;
use super::contents;
use super::mend::{Mended, Outcome};
use super::reading::Reading;
use super::set_aside::identity;
use super::{Depth, Finding, Subject};
use crate::build::seal;
use crate::disk::Sharing;
use crate::progress::Event;
use crate::records::{self, CloneRecord, ImageRecord, TemplateRecord};
use crate::{Damage, Derivation, Error, Progress, PullOptions, Store, Strategy, TemplateId, VmId};

impl Store {
    /// A template's disk, from the layers that its record names; it must come out with the checksums that it had. Also
    /// says of which clones the links could not be made anew.
    pub(super) fn build_again(
        &self,
        id: &str,
        finding: &Finding,
        options: &PullOptions,
        progress: &dyn Progress,
        unlinked: &mut Vec<Mended>,
    ) -> Result<Option<Outcome>, Error> {
        let no_record = || Error::NotFound { what: "record of template", name: id.to_owned() };
        let id: TemplateId = id.parse().map_err(|_| no_record())?;
        // It stays while it is built again, without a lock: others' keys are waited for meanwhile.
        let _template = self.directory.lease(Area::Templates, &id.entry())?;
        let record = self.template_record(id)?.ok_or_else(no_record)?;
        let (Some(derivation), Some(image)) = (record.derivation(), &record.image) else {
            return Err(Error::NoSource { id });
        };
        let path = self.template_disk(id);
        let looked_at = identity(&path)?;
        let mut damage = self.found_now(&finding.item, Depth::Full, progress)?;
        damage.retain(Finding::is_damage);
        let of_disk = damage.iter().any(|found| found.path == path);
        match damage.into_iter().next() {
            None => return Ok(None),
            // There is nothing to make it from but itself.
            Some(found) if !of_disk => {
                return Err(Error::TemplateRecord { id, path: found.path, source: Box::new(found.problem) });
            }
            Some(_) => {}
        }
        let _packs = self.packs_again(derivation, options, progress)?;
        let staging = self.directory.stage()?;
        let staged = staging.path().join(records::DISK);
        let disk = self.emit(derivation, image, &staged, Sharing::Wanted, progress)?;
        let reading = Reading { progress, index: None };
        let changes =
            contents::changes(&disk.file, &record.checksums, &reading).map_err(Error::io("read", &staged))?;
        // Another version of the writer, or packs that have changed too.
        if disk.size_bytes != record.size_bytes || !changes.is_empty() {
            return Err(Error::OtherTemplate { id });
        }
        seal(&disk.file, &staged)?;
        Durability::Durable.sync_file(&disk.file, &staged)?;
        {
            let _changing = self.lock_item(&finding.item)?;
            if self.template_record(id)?.as_ref() != Some(&record) {
                return Err(no_record());
            }
            // Others have made it right meanwhile.
            if identity(&path)? != looked_at {
                return Ok(None);
            }
            let reason = format!("{}: {}", finding.path.display(), finding.problem);
            self.directory.quarantine_replaced(&path, &staged, &reason)?;
        }
        progress.event(Event::BuildFinished { reused: false });
        // A clone that is not linked is found by the next look, and linked by the next repair.
        let clones = self.directory.each_entry_record(Area::Clones, records::CLONE_RECORD);
        for (_, clone) in clones.into_iter().flatten() {
            if let Ok(Some(CloneRecord { vm_id, strategy: Strategy::Hardlink, template, format, .. })) = clone
                && template.id == id
                && let Err(error) = self.link_to(&vm_id, id, looked_at)
            {
                let path = self.clone_disk(&vm_id, format);
                let subject = Subject::Clone(vm_id.to_string());
                unlinked.push(Mended { subject, path, outcome: Outcome::Left(error) });
            }
        }
        Ok(Some(Outcome::BuiltAgain))
    }

    /// The record of a template that is its own.
    fn template_record(&self, id: TemplateId) -> Result<Option<TemplateRecord>, Error> {
        let record: Option<TemplateRecord> =
            self.directory.entry_record(Area::Templates, &id.entry(), records::TEMPLATE_RECORD)?;
        Ok(record.filter(|record| record.id == id))
    }

    /// What a template is built from; it stays as long as what is returned. What is missing is pulled.
    fn packs_again(
        &self,
        derivation: &Derivation,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Vec<Lease>, Error> {
        let lease = || -> Result<Option<Vec<Lease>>, Error> {
            let lease = |&layer| Ok(self.directory.lease(Area::Layers, &Into::into(layer))?);
            derivation.layers.iter().map(lease).collect()
        };
        if let Some(packs) = lease()? {
            return Ok(packs);
        }
        let mut failed = None;
        for (_, image) in self.directory.each_record::<ImageRecord>(RecordArea::Images)? {
            let Ok(image) = image else { continue };
            if !image.layers.iter().any(|layer| derivation.layers.contains(&layer.diff_id)) {
                continue;
            }
            match self.pull_again(&image, options, progress) {
                Ok(_pulled) => {
                    if let Some(packs) = lease()? {
                        return Ok(packs);
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        // What is missing without a source, is named by whoever looks for it.
        failed.map_or(Ok(Vec::new()), Err)
    }

    /// A clone that should be a link to its template's disk, once that is whole.
    pub(super) fn link_again(&self, vm: &str, progress: &dyn Progress) -> Result<Option<Outcome>, Error> {
        let unknown = || Error::NotFound { what: "clone", name: vm.to_owned() };
        let vm: VmId = vm.parse().map_err(|_| unknown())?;
        let id = self.existing_clone(&vm)?.record.template.id;
        let _template = self.directory.lease(Area::Templates, &id.entry())?;
        let template = Item::Entry(Area::Templates, id.entry());
        if self.found_now(&template, Depth::Full, progress)?.iter().any(Finding::is_damage) {
            return Err(Error::NotFound { what: "whole template", name: id.to_string() });
        }
        Ok(self.link_to(&vm, id, None)?.then_some(Outcome::LinkedAgain))
    }

    /// Makes a clone a link to its template's disk, if it should be one and is not; whether that was so.
    ///
    /// What was there goes to quarantine, unless it is known to be there.
    fn link_to(&self, vm: &VmId, id: TemplateId, kept: Option<(u64, u64)>) -> Result<bool, Error> {
        let _changing = self.lock_clone(vm)?;
        let Some(clone) = self.find_clone(vm)? else { return Ok(false) };
        let damage = self.damage(&clone)?;
        let Some(damage @ Damage::NotTheTemplate { .. }) = damage.filter(|_| clone.record.template.id == id)
        else {
            return Ok(false);
        };
        if !clone.record.read_only {
            // What its VM writes would be everybody's.
            return Err(Error::HardlinkWritable);
        }
        let staging = self.directory.stage()?;
        let link = staging.path().join(records::DISK);
        fs::hard_link(self.template_disk(id), &link).map_err(Error::io("link", &link))?;
        if kept.is_some() && identity(&clone.path)? == kept {
            fs::rename(&link, &clone.path).map_err(Error::io("replace", &clone.path))?;
            Durability::Durable.sync_directory(clone.path.parent().unwrap_or(&clone.path))?;
        } else {
            self.directory.quarantine_replaced(&clone.path, &link, &damage.to_string())?;
        }
        Ok(true)
    }
}
