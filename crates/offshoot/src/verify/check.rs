//! One thing of a store, looked at.

use std::path::{Path, PathBuf};

use offshoot_store::{Area, Digest, EntryName, RecordArea, sealed_record};
use serde::de::DeserializeOwned;

use super::attributes::{Expected, look};
use super::reading::Reading;
use super::{Depth, Finding, Problem, Subject, contents};
use crate::records::{DigestRecord, ImageRecord, NameRecord};
use crate::{Error, Store, pull};

/// A thing to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    Directory(PathBuf),
    Format,
    Stray(PathBuf),
    Blob(Digest),
    Entry(Area, EntryName),
    Record(RecordArea, EntryName),
}

impl Item {
    /// What it is called until its record says more.
    fn subject(&self) -> Subject {
        match self {
            Self::Directory(_) | Self::Format | Self::Stray(_) => Subject::Store,
            Self::Blob(digest) => Subject::Blob(digest.to_string()),
            Self::Entry(Area::Layers, name) => Subject::Layer(name.to_string()),
            Self::Entry(Area::Templates, name) => Subject::Template(name.to_string()),
            Self::Entry(Area::Clones, name) => Subject::Clone(name.to_string()),
            Self::Record(RecordArea::Images, name) => Subject::Image(name.to_string()),
            Self::Record(RecordArea::Names, name) => Subject::Name(name.to_string()),
            Self::Record(RecordArea::Digests, name) => Subject::Digest(name.to_string()),
        }
    }

    /// Where it is.
    pub(super) fn path(&self, store: &Store) -> PathBuf {
        let directory = &store.directory;
        match self {
            Self::Directory(path) | Self::Stray(path) => path.clone(),
            Self::Format => directory.format_file(),
            Self::Blob(digest) => directory.blob_path(*digest),
            Self::Entry(area, name) => directory.entry_path(*area, name),
            Self::Record(area, name) => directory.record_path(*area, name),
        }
    }
}

/// Looks at a thing; several may do so at once.
pub(super) struct Check<'a> {
    pub(super) store: &'a Store,
    pub(super) depth: Depth,
    pub(super) reading: Reading<'a>,
}

/// What is found out about one thing.
pub(super) struct Findings {
    item: Item,
    pub(super) subject: Subject,
    found: Vec<Finding>,
}

impl Findings {
    fn new(item: &Item) -> Self {
        Self { item: item.clone(), subject: item.subject(), found: Vec::new() }
    }

    pub(super) fn push(&mut self, path: &Path, problem: Problem) {
        let (item, subject) = (self.item.clone(), self.subject.clone());
        self.found.push(Finding { item, subject, path: path.to_owned(), problem, dependants: Vec::new() });
    }

    /// Looks at a file or directory; its metadata, unless it is something else altogether.
    pub(super) fn look(&mut self, path: &Path, expected: Expected) -> Option<std::fs::Metadata> {
        let mut problems = Vec::new();
        let metadata = look(path, expected, &mut problems);
        for problem in problems {
            self.push(path, problem);
        }
        metadata
    }

    /// Reads a record; one that is no good is a finding.
    pub(super) fn record<T: DeserializeOwned>(&mut self, path: &Path) -> Option<T> {
        self.look(path, Expected::Private)?;
        match sealed_record(path) {
            Ok(Some(record)) => Some(record),
            Ok(None) => None,
            Err(offshoot_store::Error::Io { source, .. }) => {
                self.push(path, Problem::Unreadable(source));
                None
            }
            Err(offshoot_store::Error::Record { source, .. }) => {
                self.push(path, Problem::Record(format!("it cannot be understood: {source}")));
                None
            }
            // Whose it is has been said.
            Err(offshoot_store::Error::FileOwner { .. }) => None,
            Err(_) => {
                self.push(path, Problem::Record("its checksum is missing or does not match".to_owned()));
                None
            }
        }
    }
}

impl Check<'_> {
    /// What is wrong with a thing.
    pub(super) fn item(&self, item: &Item) -> Result<Vec<Finding>, Error> {
        let mut findings = Findings::new(item);
        match item {
            Item::Directory(path) => {
                findings.look(path, Expected::Directory);
            }
            Item::Format => {
                // It was believed when the store was opened; then its checksum need not be there.
                let _: Option<serde_json::Value> = findings.record(&self.store.directory.format_file());
            }
            Item::Stray(path) => findings.push(path, Problem::Stray),
            Item::Blob(digest) => self.blob(*digest, &mut findings)?,
            Item::Entry(Area::Layers, name) => self.layer(name, &mut findings)?,
            Item::Entry(Area::Templates, name) => self.template(name, &mut findings)?,
            Item::Entry(Area::Clones, name) => self.clone(name, &mut findings)?,
            Item::Record(RecordArea::Images, name) => self.image(name, &mut findings)?,
            Item::Record(RecordArea::Names, name) => self.name(name, &mut findings)?,
            Item::Record(RecordArea::Digests, name) => self.kept_digest(name, &mut findings),
        }
        self.reading.check().map_err(Error::io("verify", self.store.path()))?;
        Ok(findings.found)
    }

    /// Something could not be read: because the operation was cancelled, or because it cannot be.
    pub(super) fn unreadable(
        &self,
        path: &Path,
        source: std::io::Error,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        if self.reading.cancelled() {
            return Err(Error::io("verify", path)(source));
        }
        findings.push(path, Problem::Unreadable(source));
        Ok(())
    }

    /// What a record names: it is missing, or it cannot be told whether it is.
    pub(super) fn needs(
        &self,
        record: &Path,
        what: Subject,
        is_there: Result<bool, offshoot_store::Error>,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        match is_there {
            Ok(true) => {}
            Ok(false) => findings.push(record, Problem::Dangling { what }),
            Err(offshoot_store::Error::Io { path, source, .. }) => {
                self.unreadable(&path, source, findings)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.depth == Depth::Full
    }

    fn blob(&self, expected: Digest, findings: &mut Findings) -> Result<(), Error> {
        let path = self.store.directory.blob_path(expected);
        let Some(metadata) = findings.look(&path, Expected::Private).filter(|_| self.is_full()) else {
            return Ok(());
        };
        self.reading.started("blob", expected, metadata.len());
        let actual = std::fs::File::open(&path).and_then(|file| contents::digest(&file, &self.reading));
        match actual {
            Ok(actual) if actual == expected => {}
            Ok(actual) => findings.push(&path, Problem::Digest { expected, actual }),
            Err(error) => self.unreadable(&path, error, findings)?,
        }
        Ok(())
    }

    fn image(&self, name: &EntryName, findings: &mut Findings) -> Result<(), Error> {
        let path = self.store.directory.record_path(RecordArea::Images, name);
        let Some(record) = findings.record::<ImageRecord>(&path) else { return Ok(()) };
        findings.subject = Subject::Image(record.reference.clone());
        if pull::image_entry(&record.reference, &record.platform) != *name {
            let says = format!("{} for {}", record.reference, record.platform);
            findings.push(&path, Problem::Misplaced { says });
        }
        for digest in [record.manifest_digest, record.config_digest] {
            let what = Subject::Blob(digest.to_string());
            self.needs(&path, what, self.store.directory.has_blob(digest), findings)?;
        }
        // Its packs may have been collected: it is fetched again then.
        Ok(())
    }

    fn name(&self, name: &EntryName, findings: &mut Findings) -> Result<(), Error> {
        let path = self.store.directory.record_path(RecordArea::Names, name);
        let Some(record) = findings.record::<NameRecord>(&path) else { return Ok(()) };
        findings.subject = Subject::Name(record.name.to_string());
        if record.name.entry() != *name {
            findings.push(&path, Problem::Misplaced { says: record.name.to_string() });
        }
        let what = Subject::Template(record.id.to_string());
        let is_there = self.store.directory.contains(Area::Templates, &record.id.entry());
        self.needs(&path, what, is_there, findings)
    }

    fn kept_digest(&self, name: &EntryName, findings: &mut Findings) {
        let path = self.store.directory.record_path(RecordArea::Digests, name);
        if let Some(record) = findings.record::<DigestRecord>(&path)
            && record.state.entry() != *name
        {
            findings.push(&path, Problem::Misplaced { says: record.path.display().to_string() });
        }
    }
}
