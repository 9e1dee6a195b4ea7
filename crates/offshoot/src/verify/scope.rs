//! What there is to look at: everything, or what is named.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use offshoot_oci::ImageName;
use offshoot_store::{Area, Digest, EntryName, RecordArea};

use super::check::Item;
use crate::records::{ImageRecord, NameRecord};
use crate::{Error, Store, TemplateId, TemplateName, VmId};

impl Store {
    /// Everything that a store has, but for what is being made, fetched, or was moved aside.
    pub(super) fn all_items(&self) -> Result<Vec<Item>, Error> {
        let mut items: Vec<Item> = self.directory.directories().map(Item::Directory).collect();
        items.push(Item::Format);
        for name in names(&self.directory.blobs_directory())? {
            items.push(match Digest::from_hex(&name.text) {
                Ok(digest) => Item::Blob(digest),
                Err(_) => Item::Stray(name.path),
            });
        }
        for area in [Area::Layers, Area::Templates, Area::Clones] {
            for name in names(&self.path().join(area.directory()))? {
                items.push(match EntryName::listed(&name.text) {
                    Some(entry) => Item::Entry(area, entry),
                    None => Item::Stray(name.path),
                });
            }
        }
        for area in [RecordArea::Images, RecordArea::Names, RecordArea::Digests] {
            for name in names(&self.path().join(area.directory()))? {
                items.push(match name.text.strip_suffix(".json").and_then(EntryName::listed) {
                    Some(entry) => Item::Record(area, entry),
                    None => Item::Stray(name.path),
                });
            }
        }
        Ok(items)
    }

    /// What a name stands for, and what that is made of.
    pub(super) fn named_items(&self, name: &str) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        if let Ok(name) = name.parse::<TemplateName>() {
            let record = Item::Record(RecordArea::Names, name.entry());
            match self.directory.record::<NameRecord>(RecordArea::Names, &name.entry()) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    items.push(record);
                    items.push(Item::Entry(Area::Templates, found.id.entry()));
                }
                // Whoever looks at it says what is wrong.
                Err(_) => items.push(record),
            }
        }
        if let Ok(id) = name.parse::<TemplateId>() {
            self.push_entry(Area::Templates, id.entry(), &mut items)?;
        }
        if let Ok(vm) = name.parse::<VmId>() {
            self.push_entry(Area::Clones, vm.entry(), &mut items)?;
            if !items.is_empty()
                && let Ok(Some(clone)) = self.find_clone(&vm)
            {
                self.push_entry(Area::Templates, clone.record.template.id.entry(), &mut items)?;
            }
        }
        if let Ok(digest) = name.parse::<Digest>() {
            if self.directory.has_blob(digest)? {
                items.push(Item::Blob(digest));
            }
            self.push_entry(Area::Layers, digest.into(), &mut items)?;
        }
        items.extend(self.items_of_image(name)?);
        if items.is_empty() {
            return Err(Error::NotFound {
                what: "template, clone, image, blob or layer",
                name: name.to_owned(),
            });
        }
        Ok(items)
    }

    fn push_entry(&self, area: Area, name: EntryName, items: &mut Vec<Item>) -> Result<(), Error> {
        if self.directory.contains(area, &name)? {
            items.push(Item::Entry(area, name));
        }
        Ok(())
    }

    /// The records of an image on all platforms, its documents and its packs.
    fn items_of_image(&self, name: &str) -> Result<Vec<Item>, Error> {
        let canonical = match name.parse::<ImageName>() {
            Ok(image) => image.canonical().map_err(Error::image_name(&image))?,
            Err(_) => name.to_owned(),
        };
        // Of the names of its records on all platforms.
        let beginning = EntryName::encode(&format!("{canonical} "));
        let mut items = Vec::new();
        for listed in names(&self.path().join(RecordArea::Images.directory()))? {
            let Some(entry) = listed.text.strip_suffix(".json").and_then(EntryName::listed) else { continue };
            let record = match self.directory.record::<ImageRecord>(RecordArea::Images, &entry) {
                Ok(Some(record)) if record.reference == canonical => record,
                // Whoever looks at it says what is wrong. Of one with a shortened name it is not known whose it is.
                Err(_) if entry.as_str().starts_with(beginning.as_str()) => {
                    items.push(Item::Record(RecordArea::Images, entry));
                    continue;
                }
                _ => continue,
            };
            items.push(Item::Record(RecordArea::Images, entry));
            for digest in [record.manifest_digest, record.config_digest] {
                if self.directory.has_blob(digest)? {
                    items.push(Item::Blob(digest));
                }
            }
            for layer in &record.layers {
                self.push_entry(Area::Layers, layer.diff_id.into(), &mut items)?;
            }
        }
        Ok(items)
    }
}

struct Listed {
    /// Bytes that are no text are replaced: no name of a store has such.
    text: String,
    path: PathBuf,
}

/// What is in a directory, sorted; nothing where there is none, which is found by itself.
fn names(directory: &Path) -> Result<Vec<Listed>, Error> {
    let entries = match fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(Error::io("list", directory))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", directory))?;
        let text = entry.file_name().to_string_lossy().into_owned();
        names.push(Listed { text, path: entry.path() });
    }
    names.sort_by(|one, other| one.text.cmp(&other.text));
    Ok(names)
}
