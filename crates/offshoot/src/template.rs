use std::fs;
use std::path::PathBuf;

use offshoot_store::{Area, Digest, EntryName, RecordArea};

use crate::records::{self, ImageRecord, NameRecord, TemplateRecord};
use crate::{Error, Store, TemplateId, TemplateName};

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

    pub(crate) fn template_disk(&self, id: TemplateId) -> PathBuf {
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

/// A template's disk as it is named from within a clone's directory.
pub(crate) fn disk_beside_clones(id: TemplateId) -> String {
    format!("../../templates/{id}/{}", records::DISK)
}
