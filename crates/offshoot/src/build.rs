use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use offshoot_oci::{ImageConfig, ImageName, Injection};
use offshoot_store::{Area, Durability, Published, RecordArea, Staging};

use crate::disk::Sharing;
use crate::progress::{Event, Progress};
use crate::records::{self, ImageIdentity, ImageRecord, NameRecord, Origin, TemplateRecord};
use crate::{Derivation, DiskSize, Error, PullOptions, Store, Template, TemplateId, TemplateName};

/// What a build may be told.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// A human name for the template.
    pub name: Option<TemplateName>,
    /// How large the disk is to be.
    pub size: DiskSize,
    /// Whether the filesystem has a journal.
    pub journal: bool,
    /// Files of the host that are put on top of the image, in that order.
    pub injections: Vec<Injection>,
    /// The packs of its layers are to be there too, also where the template is: clones that are directories, or have
    /// files of their own, are made from them. They stay for as long as the template's value lives.
    pub with_packs: bool,
    /// How the image is come by.
    pub pull: PullOptions,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            name: None,
            size: DiskSize::default(),
            journal: true,
            injections: Vec::new(),
            with_packs: false,
            pull: PullOptions::default(),
        }
    }
}

impl Store {
    /// Pulls an image and builds its template; one that is there already is used as it is.
    ///
    /// `Ok` promises a whole, synced template under the id of its derivation. Of all who want the same one at once,
    /// one builds and the others wait for it.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let options = BuildOptions { size: DiskSize::Bytes(1 << 30), ..BuildOptions::default() };
    /// let template = store.build(&"scratch:".parse()?, &options, &Quiet)?;
    /// assert_eq!(template.path.metadata()?.len(), 1 << 30);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn build(
        &self,
        image: &ImageName,
        options: &BuildOptions,
        progress: &dyn Progress,
    ) -> Result<Template, Error> {
        let mut template = match self.built_before(image, options, progress)? {
            Some(template) => template,
            None => {
                let pulled = self.pull_for_use(image, &options.pull, progress)?;
                let mut derivation = derivation(&pulled.record, options);
                // What it is built from stays until it is built, and then as long as the caller has it.
                let mut packs = pulled.packs;
                if !options.injections.is_empty() {
                    let (index, limits) = (derivation.layers.len(), &options.pull.limits);
                    let (diff_id, lease) =
                        self.pack_injections(&options.injections, index, limits, progress)?;
                    derivation.layers.push(diff_id);
                    packs.push(lease);
                }
                let image = identify(pulled.record, &pulled.config)?;
                self.ensure_built(derivation, image, progress)?.with_packs(packs)
            }
        };
        if let Some(name) = &options.name {
            self.name_template(&mut template, name)?;
        }
        Ok(template)
    }

    /// The template of an image that need not be looked at again, if it is there: its packs may be gone.
    fn built_before(
        &self,
        image: &ImageName,
        options: &BuildOptions,
        progress: &dyn Progress,
    ) -> Result<Option<Template>, Error> {
        if options.with_packs || !options.injections.is_empty() {
            return Ok(None);
        }
        let Some(known) = self.known_image(image, &options.pull)? else { return Ok(None) };
        let id = derivation(&known.record, options).template_id()?;
        let Some(template) = self.template(id)? else { return Ok(None) };
        let packs = self.lease_packs(&known.record)?.unwrap_or_default();
        let image = identify(known.record, &known.config)?;
        Ok(Some(self.reuse_template(template, image, progress)?.with_packs(packs)))
    }

    fn ensure_built(
        &self,
        derivation: Derivation,
        image: ImageIdentity,
        progress: &dyn Progress,
    ) -> Result<Template, Error> {
        let id = derivation.template_id()?;
        if let Some(template) = self.template(id)? {
            return self.reuse_template(template, image, progress);
        }
        let _maker = self.directory.lock_key(Area::Templates, &id.entry())?;
        if let Some(template) = self.template(id)? {
            return self.reuse_template(template, image, progress);
        }
        self.make_template(id, derivation, image, progress)
    }

    fn reuse_template(
        &self,
        mut template: Template,
        image: ImageIdentity,
        progress: &dyn Progress,
    ) -> Result<Template, Error> {
        // Whoever published it may not have come to sync it.
        self.directory.sync_area(Area::Templates)?;
        progress.event(Event::BuildFinished { reused: true });
        // Several images may make one template; this caller asked for this one.
        template.record.image = Some(image);
        Ok(template)
    }

    fn make_template(
        &self,
        id: TemplateId,
        derivation: Derivation,
        image: ImageIdentity,
        progress: &dyn Progress,
    ) -> Result<Template, Error> {
        let staging = self.directory.stage()?;
        let path = staging.path().join(records::DISK);
        let disk = self.emit(&derivation, &image, &path, Sharing::Wanted, progress)?;
        seal(&disk.file, &path)?;
        Durability::Durable.sync_file(&disk.file, &path)?;
        let record = TemplateRecord {
            version: records::VERSION,
            id,
            origin: Origin::Built(derivation),
            size_bytes: disk.size_bytes,
            checksums: disk.checksums,
            image: Some(image),
            created_at: records::now(),
        };
        let template = self.publish_template(staging, record)?;
        progress.event(Event::BuildFinished { reused: false });
        Ok(template)
    }

    /// Makes a staged template visible; the caller has made sure that there is none of its id.
    pub(crate) fn publish_template(
        &self,
        staging: Staging<'_>,
        record: TemplateRecord,
    ) -> Result<Template, Error> {
        let entry = record.id.entry();
        staging.write_record(records::TEMPLATE_RECORD, &record, Durability::Durable)?;
        match staging.publish_leased(Area::Templates, &entry)? {
            (Published::Now, lease) => {
                let path = self.template_disk(record.id);
                Ok(Template::new(record, path, lease))
            }
            (Published::Already, _) => {
                Err(Error::NoRecord { path: self.directory.entry_path(Area::Templates, &entry) })
            }
        }
    }

    /// Lets a name stand for a template, whatever it stood for before. The template is there as long as the caller has it.
    pub(crate) fn name_template(&self, template: &mut Template, name: &TemplateName) -> Result<(), Error> {
        let record = NameRecord { version: records::VERSION, name: name.clone(), id: template.record.id };
        let _moving = self.directory.lock_record(RecordArea::Names, &name.entry())?;
        self.directory.put_record(RecordArea::Names, &name.entry(), &record)?;
        template.name = Some(name.clone());
        Ok(())
    }
}

/// Of the template of an image, without files of the host.
fn derivation(image: &ImageRecord, options: &BuildOptions) -> Derivation {
    Derivation {
        writer_version: offshoot_ext4::WRITER_VERSION,
        layers: image.layers.iter().map(|layer| layer.diff_id).collect(),
        config_digest: image.config_digest,
        size: options.size,
        journal: options.journal,
    }
}

fn identify(image: ImageRecord, config: &[u8]) -> Result<ImageIdentity, Error> {
    Ok(ImageIdentity {
        reference: image.reference,
        manifest_digest: image.manifest_digest,
        config: ImageConfig::parse(config)?,
    })
}

/// A template's disk is never written again: mode 0444.
pub(crate) fn seal(disk: &File, path: &Path) -> Result<(), Error> {
    disk.set_permissions(fs::Permissions::from_mode(0o444)).map_err(Error::io("set the mode of", path))
}
