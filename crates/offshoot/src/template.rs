use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use offshoot_store::{Area, Digest, EntryName, Lease, RecordArea};

use crate::records::{self, ImageRecord, NameRecord, TemplateRecord};
use crate::{Error, Store, TemplateId, TemplateName};

/// An immutable root filesystem in the store, which stays there for as long as this value, or a clone of it, lives:
/// [`Store::collect`] and [`Store::remove`], of whatever process, find it in use. A process that ends, in whatever way,
/// uses nothing.
///
/// ```
/// # use offshoot::*;
/// # let directory = tempfile::tempdir()?;
/// # let root = directory.path().join("store");
/// # let store = Store::open(&root)?;
/// let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
/// let id = template.record.id.to_string();
/// assert_eq!(store.remove(&id).unwrap_err().kind(), ErrorKind::Conflict);
/// drop(template);
/// store.remove(&id)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Template {
    /// What it is.
    pub record: TemplateRecord,
    /// The name it was asked for by, if any.
    pub name: Option<TemplateName>,
    /// Its disk, a raw ext4 filesystem that nobody may write.
    pub path: PathBuf,
    pub(crate) lease: Arc<Lease>,
    /// Of its layers' packs, where a build has seen to them.
    _packs: Arc<[Lease]>,
}

impl Template {
    pub(crate) fn new(record: TemplateRecord, path: PathBuf, lease: Lease) -> Self {
        Self { record, name: None, path, lease: lease.into(), _packs: Arc::new([]) }
    }

    /// Its disk, which is there, and as long as it was made; what it holds is for `verify` to say.
    pub(crate) fn disk(&self) -> Result<&PathBuf, Error> {
        match fs::symlink_metadata(&self.path) {
            Ok(metadata) if metadata.is_file() && metadata.len() == self.record.size_bytes => Ok(&self.path),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("look at", &self.path)(error))
            }
            _ => Err(Error::TemplateDamaged { id: self.record.id, path: self.path.clone() }),
        }
    }

    /// The same, which keeps these packs where they are too.
    pub(crate) fn with_packs(self, packs: Vec<Lease>) -> Self {
        Self { _packs: packs.into(), ..self }
    }
}

impl PartialEq for Template {
    /// Whether both are the same template, asked for by the same name.
    fn eq(&self, other: &Self) -> bool {
        (&self.record, &self.name, &self.path) == (&other.record, &other.name, &other.path)
    }
}

impl Store {
    /// The template of that id, if there is one.
    pub(crate) fn template(&self, id: TemplateId) -> Result<Option<Template>, Error> {
        // Before the record is read: what is read then stays.
        let Some(lease) = self.directory.lease(Area::Templates, &id.entry())? else { return Ok(None) };
        let record: Option<TemplateRecord> =
            self.directory.entry_record(Area::Templates, &id.entry(), records::TEMPLATE_RECORD)?;
        let path = self.template_disk(id);
        Ok(record.map(|record| Template::new(record, path, lease)))
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
        let Ok(name) = name_or_id.parse::<TemplateName>() else {
            return name_or_id.parse().map_or(Ok(None), |id| self.template(id));
        };
        let mut id = self.named(&name)?;
        while let Some(sought) = id {
            if let Some(template) = self.template(sought)? {
                return Ok(Some(Template { name: Some(name), ..template }));
            }
            // The name may have moved on before the template went.
            id = self.named(&name)?.filter(|&id| id != sought);
        }
        Ok(None)
    }

    /// What a name stands for.
    pub(crate) fn named(&self, name: &TemplateName) -> Result<Option<TemplateId>, Error> {
        let record: Option<NameRecord> = self.directory.record(RecordArea::Names, &name.entry())?;
        Ok(record.map(|record| record.id))
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
        let names = self.directory.each_record(RecordArea::Names)?.into_iter().map(|(_, record)| record);
        let names = names.collect::<Result<Vec<NameRecord>, _>>()?;
        let each = self.directory.each_entry_record(Area::Templates, records::TEMPLATE_RECORD)?;
        let templates = each.into_iter().filter_map(|(_, record)| record.transpose());
        let templates = templates.collect::<Result<Vec<TemplateRecord>, _>>()?;
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
        let each = self.directory.each_record(RecordArea::Images)?;
        Ok(each.into_iter().map(|(_, record)| record).collect::<Result<_, _>>()?)
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
