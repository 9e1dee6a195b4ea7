use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::durable::{self, Durability};
use crate::seal::{self, Seal};
use crate::store_dir::list;
use crate::{Area, EntryName, Error, RecordArea, StoreDir, read_own_file};

/// File or directory names, and what was found of each.
pub type Each<T> = Vec<(String, Result<T, Error>)>;

/// A record is JSON that people can read too.
fn encode<T: Serialize>(record: &T, path: &Path) -> Result<Vec<u8>, Error> {
    let json = serde_json::to_vec_pretty(record)
        .map_err(|source| Error::Record { path: path.to_owned(), source })?;
    Ok(seal::seal(json))
}

/// Writes a record that does not exist yet, in a directory that is still being staged.
pub(crate) fn write_new<T: Serialize>(path: &Path, record: &T, durability: Durability) -> Result<(), Error> {
    durable::write_new(path, &encode(record, path)?, durability)
}

/// Reads a record; `None` where there is none. One without a checksum is believed, so that one can be written by hand.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let Some(bytes) = read_own_file(path)? else { return Ok(None) };
    if Seal::of(&bytes) == Seal::Broken {
        return Err(Error::RecordChanged { path: path.to_owned() });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Record { path: path.to_owned(), source })
}

/// Reads a record that must be as it was written, its checksum included; `None` where there is none.
pub fn sealed_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let Some(bytes) = read_own_file(path)? else { return Ok(None) };
    if Seal::of(&bytes) != Seal::Whole {
        return Err(Error::RecordChanged { path: path.to_owned() });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Record { path: path.to_owned(), source })
}

impl StoreDir {
    /// The record of that name; `None` where there is none.
    pub fn record<T: DeserializeOwned>(
        &self,
        area: RecordArea,
        name: &EntryName,
    ) -> Result<Option<T>, Error> {
        read(&self.record_path(area, name))
    }

    /// Writes a record in place of whatever was there, in one rename, synced.
    pub fn put_record<T: Serialize>(
        &self,
        area: RecordArea,
        name: &EntryName,
        record: &T,
    ) -> Result<(), Error> {
        self.put(&self.record_path(area, name), record, Durability::Durable)
    }

    /// Writes the record `file` within an entry in place of the one that is there, in one rename.
    pub fn put_entry_record<T: Serialize>(
        &self,
        area: Area,
        name: &EntryName,
        file: &str,
        record: &T,
        durability: Durability,
    ) -> Result<(), Error> {
        self.put(&self.entry_path(area, name).join(file), record, durability)
    }

    fn put<T: Serialize>(&self, path: &Path, record: &T, durability: Durability) -> Result<(), Error> {
        let staged = self.temporary_path()?;
        let put =
            write_new(&staged, record, durability).and_then(|()| durable::rename(&staged, path, durability));
        if put.is_err() {
            let _ = fs::remove_file(&staged);
        }
        put
    }

    /// All records of an area with their files' names, each read for itself: one that cannot be read says so.
    pub fn each_record<T: DeserializeOwned>(&self, area: RecordArea) -> Result<Each<T>, Error> {
        let directory = self.root().join(area.directory());
        let mut records = Vec::new();
        for name in list(&directory)? {
            if name.ends_with(".json")
                && let Some(record) = read(&directory.join(&name)).transpose()
            {
                records.push((name, record));
            }
        }
        Ok(records)
    }

    /// The same of the records `file` in the entries of an area, with the entries' names; `None` is an entry without.
    pub fn each_entry_record<T: DeserializeOwned>(
        &self,
        area: Area,
        file: &str,
    ) -> Result<Each<Option<T>>, Error> {
        let directory = self.root().join(area.directory());
        let mut records = Vec::new();
        for name in list(&directory)? {
            let record = read(&directory.join(&name).join(file));
            // An entry may go while the list is read.
            if !matches!(record, Ok(None)) || fs::symlink_metadata(directory.join(&name)).is_ok() {
                records.push((name, record));
            }
        }
        Ok(records)
    }

    /// The names of all entries of an area, sorted.
    pub fn entry_names(&self, area: Area) -> Result<Vec<String>, Error> {
        list(&self.root().join(area.directory()))
    }

    /// The names in `quarantine/`, sorted.
    pub fn quarantine_names(&self) -> Result<Vec<String>, Error> {
        list(&self.root().join("quarantine"))
    }

    /// Removes a record, for good; `Ok(false)` where there is none.
    pub fn remove_record(&self, area: RecordArea, name: &EntryName) -> Result<bool, Error> {
        let path = self.record_path(area, name);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("remove", &path)(error)),
        }
        Durability::Durable.sync_directory(durable::parent(&path))?;
        Ok(true)
    }
}
