use offshoot_oci::ImageName;
use offshoot_store::{Area, Claim, Claimed, RecordArea};

use crate::collect::Records;
use crate::pull::image_entry;
use crate::{Error, Store, TemplateId, TemplateName, VmId};

impl Store {
    /// Removes a template's name, a template, or an image's reference: what a name stands for is found as
    /// [`inspect`](Self::inspect) finds it, but for clones.
    ///
    /// - The last name of a template takes the template with it, unless a running process uses it; of several names, only
    ///   this one goes.
    /// - A template's id takes the template, with all its names.
    /// - An image's reference takes what was known of it, on all platforms. Its packs and templates are left to
    ///   [`collect`](Self::collect).
    ///
    /// Refused is what clones stand on ([`Error::StoodOn`]), and what is not there.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let options = BuildOptions { name: Some("base".parse()?), ..BuildOptions::default() };
    /// let template = store.build(&"scratch:".parse()?, &options, &Quiet)?;
    /// let vm: VmId = "vm-1".parse()?;
    /// store.clone_template(&template, &vm, &CloneOptions::default())?;
    /// drop(template);
    /// assert!(matches!(store.remove("base"), Err(Error::StoodOn { clones, .. }) if clones == [vm.clone()]));
    /// store.release(&vm)?;
    /// store.remove("base")?;
    /// assert!(store.templates()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        if let Ok(id) = name.parse::<TemplateId>() {
            return self.remove_template(id);
        }
        if let Ok(name) = name.parse::<TemplateName>()
            && let Some(id) = self.named(&name)?
        {
            return self.remove_name(&name, id);
        }
        self.remove_image(name)
    }

    fn remove_template(&self, id: TemplateId) -> Result<(), Error> {
        let claim = match self.directory.claim_after_others(Area::Templates, &id.entry())? {
            Claimed::Free(claim) => claim,
            Claimed::InUse => {
                refuse_clones(&Records::read(self)?, id)?;
                return Err(Error::TemplateInUse { id });
            }
            Claimed::Gone => return Err(Error::NotFound { what: "template", name: id.to_string() }),
        };
        let records = Records::read(self)?;
        refuse_clones(&records, id)?;
        if let Some(problem) = records.problems.into_iter().next() {
            return Err(problem);
        }
        for name in records.names.iter().filter(|name| name.id == id) {
            self.take_name(&name.name, id)?;
        }
        self.take_away(claim)
    }

    fn remove_name(&self, name: &TemplateName, id: TemplateId) -> Result<(), Error> {
        let claimed = self.directory.claim_after_others(Area::Templates, &id.entry())?;
        let records = Records::read(self)?;
        let has_other_names = records.names.iter().any(|other| other.id == id && other.name != *name);
        if !has_other_names {
            refuse_clones(&records, id)?;
        }
        self.take_name(name, id)?;
        match claimed {
            // What cannot be read may need it.
            Claimed::Free(claim) if !has_other_names && records.problems.is_empty() => self.take_away(claim),
            _ => Ok(()),
        }
    }

    /// Removes a name of a template, unless it stands for another one by now: then it is not the one that was asked for.
    fn take_name(&self, name: &TemplateName, id: TemplateId) -> Result<(), Error> {
        let _moving = self.directory.lock_record(RecordArea::Names, &name.entry())?;
        if self.named(name)? == Some(id) {
            self.directory.remove_record(RecordArea::Names, &name.entry())?;
        }
        Ok(())
    }

    fn take_away(&self, claim: Claim) -> Result<(), Error> {
        let Some(retired) = claim.retire(&self.directory)? else { return Ok(()) };
        if let Err(error) = self.directory.sync_area(Area::Templates) {
            // What may come back when the power fails must come back whole.
            retired.leave();
            return Err(error.into());
        }
        Ok(retired.discard()?)
    }

    fn remove_image(&self, name: &str) -> Result<(), Error> {
        let reference = match name.parse::<ImageName>() {
            Ok(image) => image.canonical().map_err(Error::image_name(&image))?,
            Err(_) => name.to_owned(),
        };
        let mut records = Records::read(self)?;
        // One of them may be the image's, or a clone's that stands on it.
        if !records.problems.is_empty() {
            return Err(records.problems.swap_remove(0));
        }
        let images: Vec<_> = records.images.iter().filter(|image| image.reference == reference).collect();
        if images.is_empty() {
            return Err(Error::NotFound { what: "template or image", name: name.to_owned() });
        }
        let of_image = |id| {
            let template = records.templates.get(&id);
            template.is_some_and(|template| images.iter().any(|image| Records::is_of(template, image)))
        };
        let clones = records.clones.iter().filter(|clone| of_image(clone.template.id));
        refuse(&format!("the image {reference}"), clones.map(|clone| clone.vm_id.clone()).collect())?;
        for image in images {
            let entry = image_entry(&image.reference, &image.platform);
            self.directory.remove_record(RecordArea::Images, &entry)?;
        }
        Ok(())
    }
}

fn refuse_clones(records: &Records, id: TemplateId) -> Result<(), Error> {
    let clones = records.clones_of(id).map(|clone| clone.vm_id.clone()).collect();
    refuse(&format!("the template {id}"), clones)
}

fn refuse(what: &str, clones: Vec<VmId>) -> Result<(), Error> {
    if clones.is_empty() { Ok(()) } else { Err(Error::StoodOn { what: what.to_owned(), clones }) }
}
