use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use offshoot_ext4::Plan;
use offshoot_layer::{Limits, Pack};
use offshoot_oci::{ImageConfig, ImageName, Injection, Platform};
use offshoot_store::{Area, Digest, Durability, EntryName, Published, RecordArea, Writeback};
use offshoot_tree::{Merge, SourceId, Tree};

use crate::disk::Disk;
use crate::progress::{Event, Progress};
use crate::records::{self, ImageIdentity, ImageRecord, NameRecord, TemplateRecord};
use crate::{Derivation, DiskSize, Error, PullOptions, Store, TemplateId, TemplateName};

/// The largest manifest or config that is read back from the store, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

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
    /// Which image of an index; the host's by default.
    pub platform: Option<Platform>,
    /// What a layer may ask for.
    pub limits: Limits,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            name: None,
            size: DiskSize::default(),
            journal: true,
            injections: Vec::new(),
            platform: None,
            limits: Limits::default(),
        }
    }
}

/// An immutable root filesystem in the store.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Template {
    /// What it is.
    pub record: TemplateRecord,
    /// The name it was asked for by, if any.
    pub name: Option<TemplateName>,
    /// Its disk, a raw ext4 filesystem that nobody may write.
    pub path: PathBuf,
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
        let pull = PullOptions { platform: options.platform.clone(), limits: options.limits };
        let image = self.pull(image, &pull, progress)?;
        let mut layers: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
        if !options.injections.is_empty() {
            layers.push(self.pack_injections(
                &options.injections,
                layers.len(),
                &options.limits,
                progress,
            )?);
        }
        let derivation = Derivation {
            writer_version: offshoot_ext4::WRITER_VERSION,
            layers,
            config_digest: image.config_digest,
            size: options.size,
            journal: options.journal,
        };
        let mut template = self.ensure_built(derivation, image, progress)?;
        if let Some(name) = &options.name {
            let record = NameRecord { version: records::VERSION, name: name.clone(), id: template.record.id };
            self.directory.put_record(RecordArea::Names, &name.entry(), &record)?;
            template.name = Some(name.clone());
        }
        Ok(template)
    }

    fn ensure_built(
        &self,
        derivation: Derivation,
        image: ImageRecord,
        progress: &dyn Progress,
    ) -> Result<Template, Error> {
        let id = derivation.template_id()?;
        let reused = |mut template: Template, image: ImageIdentity| {
            // Whoever published it may not have come to sync it.
            self.directory.sync_area(Area::Templates)?;
            progress.event(Event::BuildFinished { reused: true });
            // Several images may make one template; this caller asked for this one.
            template.record.image = image;
            Ok(template)
        };
        let image = self.identify(image)?;
        if let Some(template) = self.template(id)? {
            return reused(template, image);
        }
        let _maker = self.directory.lock_key(Area::Templates, &id.entry())?;
        if let Some(template) = self.template(id)? {
            return reused(template, image);
        }
        self.emit(id, derivation, image, progress)
    }

    fn emit(
        &self,
        id: TemplateId,
        derivation: Derivation,
        image: ImageIdentity,
        progress: &dyn Progress,
    ) -> Result<Template, Error> {
        let (tree, packs) = self.merge(&derivation.layers)?;
        let options = offshoot_ext4::Options {
            uuid: uuid(id),
            hash_seed: id.derive("hash seed"),
            created_seconds: created_seconds(&image.config),
            label: Default::default(),
            size: derivation.size.into(),
            journal: derivation.journal,
        };
        let failed = |source| Error::Disk { image: image.reference.clone(), source };
        let plan = Plan::new(&tree, &options).map_err(failed)?;
        let summary = plan.summary();
        progress.event(Event::BuildStarted {
            bytes: summary.metadata_bytes + summary.copied_bytes + summary.shared_bytes,
        });

        let staging = self.directory.stage()?;
        let path = staging.path().join(records::DISK);
        let file = File::create_new(&path).map_err(Error::io("create", &path))?;
        let (writeback, wake) = Writeback::new(true);
        let written_back = std::thread::scope(|scope| {
            let file = &file;
            let written_back = scope.spawn(move || Writeback::run(file, &wake));
            let emitted = plan.emit(&mut Disk::new(file, packs, writeback, progress)).map_err(failed);
            let written_back = written_back.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            emitted.map(|()| written_back)
        })?;
        written_back.map_err(Error::io("sync", &path))?;
        let read_only = fs::Permissions::from_mode(0o444);
        file.set_permissions(read_only).map_err(Error::io("set the mode of", &path))?;
        Durability::Durable.sync_file(&file, &path)?;

        let record = TemplateRecord {
            version: records::VERSION,
            id,
            derivation,
            size_bytes: plan.size_bytes(),
            image,
            created_at: records::now(),
        };
        staging.write_record(records::TEMPLATE_RECORD, &record, Durability::Durable)?;
        if staging.publish(Area::Templates, &id.entry(), Durability::Durable)? == Published::Already {
            // We alone may make it, and looked whether it was there.
            return Err(Error::TemplateDamaged {
                path: self.directory.entry_path(Area::Templates, &id.entry()),
            });
        }
        progress.event(Event::BuildFinished { reused: false });
        Ok(Template { path: self.template_disk(id), record, name: None })
    }

    /// The tree of these layers, and their packs' data by [`SourceId`].
    fn merge(&self, layers: &[Digest]) -> Result<(Tree, Vec<File>), Error> {
        let mut merge = Merge::new();
        let mut packs = Vec::with_capacity(layers.len());
        for (source, &diff_id) in (0..).map(SourceId).zip(layers) {
            let directory = self.directory.entry_path(Area::Layers, &diff_id.into());
            let pack = Pack::open(&directory).map_err(|source| match source {
                offshoot_layer::Error::Host { .. } => Error::PackUnreadable { diff_id, source },
                source => Error::Pack { diff_id, source },
            })?;
            let (changes, data) = pack.into_parts();
            merge.apply(source, changes).map_err(|source| Error::Merge { diff_id, source })?;
            packs.push(data);
        }
        Ok((merge.finish(), packs))
    }

    fn identify(&self, image: ImageRecord) -> Result<ImageIdentity, Error> {
        let bytes = self
            .directory
            .blob(image.config_digest, MAX_DOCUMENT_BYTES)?
            .ok_or(Error::NotFound { what: "config", name: image.config_digest.to_string() })?;
        Ok(ImageIdentity {
            reference: image.reference,
            manifest_digest: image.manifest_digest,
            config: ImageConfig::parse(&bytes)?,
        })
    }

    /// The template of that id, if there is one.
    pub(crate) fn template(&self, id: TemplateId) -> Result<Option<Template>, Error> {
        let record: Option<TemplateRecord> =
            self.directory.entry_record(Area::Templates, &id.entry(), records::TEMPLATE_RECORD)?;
        Ok(record.map(|record| Template { record, name: None, path: self.template_disk(id) }))
    }

    /// The template of that name or id, if there is one.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let options = BuildOptions { name: Some("base".parse()?), ..BuildOptions::default() };
    /// let template = store.build(&"scratch:".parse()?, &options, &Quiet)?;
    /// assert_eq!(store.find_template("base")?, Some(template));
    /// assert_eq!(store.find_template("other")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find_template(&self, name_or_id: &str) -> Result<Option<Template>, Error> {
        let name = name_or_id.parse::<TemplateName>().ok();
        let id = match &name {
            Some(name) => {
                self.directory.record::<NameRecord>(RecordArea::Names, &name.entry())?.map(|record| record.id)
            }
            None => name_or_id.parse().ok(),
        };
        let Some(id) = id else { return Ok(None) };
        let Some(template) = self.template(id)? else { return Ok(None) };
        Ok(Some(Template { name, ..template }))
    }

    fn template_disk(&self, id: TemplateId) -> PathBuf {
        self.directory.entry_path(Area::Templates, &id.entry()).join(records::DISK)
    }

    /// All templates with the names that stand for them, in the order of their ids.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// for (record, names) in store.templates()? {
    ///     println!("{} {} bytes, {} names", record.id, record.size_bytes, names.len());
    /// }
    /// # assert_eq!(store.templates()?, [(template.record, Vec::new())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn templates(&self) -> Result<Vec<(TemplateRecord, Vec<TemplateName>)>, Error> {
        let names: Vec<NameRecord> = self.directory.records(RecordArea::Names)?;
        let templates: Vec<TemplateRecord> =
            self.directory.entry_records(Area::Templates, records::TEMPLATE_RECORD)?;
        let named = |id| names.iter().filter(move |name| name.id == id).map(|name| name.name.clone());
        Ok(templates.into_iter().map(|template| (template.clone(), named(template.id).collect())).collect())
    }

    /// All images, in the order of their references' encodings.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// assert_eq!(store.images()?[0].reference, "scratch:");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn images(&self) -> Result<Vec<ImageRecord>, Error> {
        Ok(self.directory.records(RecordArea::Images)?)
    }

    /// Whether a layer is packed, and how many bytes its pack takes.
    pub(crate) fn pack_bytes(&self, diff_id: Digest) -> Option<u64> {
        let directory = self.directory.entry_path(Area::Layers, &EntryName::from(diff_id));
        let data = fs::metadata(directory.join("data")).ok()?.len();
        Some(data + fs::metadata(directory.join("index")).ok()?.len())
    }
}

/// The filesystem's UUID: version 8 (RFC 9562), derived from the id.
fn uuid(id: TemplateId) -> [u8; 16] {
    let mut bytes = id.derive("uuid");
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

/// The filesystem's own times: when the image says it was made, so that they follow from its content; the epoch if it
/// does not say so, or not in a form or range that a superblock has.
fn created_seconds(config: &ImageConfig) -> u32 {
    let created = config.created.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    created.and_then(|created| u32::try_from(created.as_second()).ok()).unwrap_or(0)
}
