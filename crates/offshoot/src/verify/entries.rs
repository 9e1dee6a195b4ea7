//! Packs, templates and clones, looked at.

use std::fs::File;
use std::io;
use std::path::Path;

use offshoot_layer::{IndexProblem, Pack};
use offshoot_store::{Area, Digest, EntryName, with_causes};

use super::attributes::Expected;
use super::check::{Check, Findings};
use super::{Problem, Subject, contents};
use crate::records::{self, CloneRecord, Origin, TemplateRecord};
use crate::{Clone, DiskFormat, Error, RangeChecksum, Strategy};

impl Check<'_> {
    pub(super) fn layer(&self, name: &EntryName, findings: &mut Findings) -> Result<(), Error> {
        let directory = self.store.directory.entry_path(Area::Layers, name);
        let Ok(diff_id) = Digest::from_hex(name.as_str()) else {
            findings.push(&directory, Problem::Stray);
            return Ok(());
        };
        findings.subject = Subject::Layer(diff_id.to_string());
        if findings.look(&directory, Expected::Directory).is_none() {
            return Ok(());
        }
        let files = ["index", "data"].map(|file| directory.join(file));
        let there = files.each_ref().map(|file| findings.look(file, Expected::Private).is_some());
        if self.is_full() && there == [true, true] {
            self.pack(&directory, diff_id, findings)?;
        }
        Ok(())
    }

    fn pack(&self, directory: &Path, diff_id: Digest, findings: &mut Findings) -> Result<(), Error> {
        let data = directory.join("data");
        let pack = match Pack::open(directory) {
            Ok(pack) => pack,
            Err(error) => return self.bad_pack(directory, error, findings),
        };
        self.reading.started("layer", diff_id, pack.data_bytes());
        if pack.diff_id() != diff_id {
            findings.push(directory, Problem::Misplaced { says: format!("layer {}", pack.diff_id()) });
        }
        match pack.damaged_files(&mut |bytes| self.reading.read(bytes)) {
            Ok(damaged) => {
                for file in damaged {
                    let path = Some(file.path.to_string());
                    findings.push(&data, Problem::Changed { offset: file.offset, bytes: file.bytes, path });
                }
                Ok(())
            }
            Err(error) => self.bad_pack(directory, error, findings),
        }
    }

    fn bad_pack(
        &self,
        directory: &Path,
        error: offshoot_layer::Error,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        match error {
            offshoot_layer::Error::Host { path, source, .. } => self.unreadable(&path, source, findings),
            offshoot_layer::Error::Index {
                path,
                problem: IndexProblem::DataLength { described: recorded_bytes, actual: actual_bytes },
            } => {
                let problem = Problem::Size { actual_bytes, recorded_bytes };
                findings.push(&path.with_file_name("data"), problem);
                Ok(())
            }
            offshoot_layer::Error::Index { path, problem } => {
                findings.push(&path, Problem::Pack(problem.to_string()));
                Ok(())
            }
            error => {
                findings.push(directory, Problem::Pack(with_causes(&error)));
                Ok(())
            }
        }
    }

    pub(super) fn template(&self, name: &EntryName, findings: &mut Findings) -> Result<(), Error> {
        let directory = self.store.directory.entry_path(Area::Templates, name);
        if Digest::from_hex(name.as_str()).is_err() {
            findings.push(&directory, Problem::Stray);
            return Ok(());
        }
        if findings.look(&directory, Expected::Directory).is_none() {
            return Ok(());
        }
        let path = directory.join(records::TEMPLATE_RECORD);
        let record = findings.record::<TemplateRecord>(&path);
        if let Some(record) = &record {
            if record.id.entry() != *name {
                findings.push(&path, Problem::Misplaced { says: format!("template {}", record.id) });
            }
            if let Some(derivation) = record.derivation()
                && derivation.template_id()? != record.id
            {
                findings.push(&path, Problem::Contradiction("its derivation makes another template"));
            }
            if !is_ascending(&record.checksums, record.size_bytes) {
                findings.push(&path, Problem::Contradiction("its checksums are not of one disk"));
                return Ok(());
            }
        }
        let disk = directory.join(records::DISK);
        if let Some(metadata) = findings.look(&disk, Expected::Sealed) {
            let (actual_bytes, record) = (metadata.len(), record.as_ref());
            match record.map(|record| record.size_bytes).filter(|&recorded| recorded != actual_bytes) {
                Some(recorded_bytes) => findings.push(&disk, Problem::Size { actual_bytes, recorded_bytes }),
                None => self.disk(&disk, record, findings)?,
            }
        }
        Ok(())
    }

    /// A template's disk, by what is known of it.
    fn disk(
        &self,
        path: &Path,
        record: Option<&TemplateRecord>,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) => return self.unreadable(path, error, findings),
        };
        // Of an import it is not known otherwise whether it was whole when it came.
        let structure = offshoot_ext4::inspect(&file)
            .and_then(|_| if self.is_full() { offshoot_ext4::check_structure(&file) } else { Ok(()) });
        match structure {
            Ok(()) => {}
            Err(offshoot_ext4::InspectError::Device(error)) => {
                return self.unreadable(path, error.source, findings);
            }
            Err(error) => findings.push(path, Problem::Filesystem(error)),
        }
        let Some(record) = record.filter(|_| self.is_full()) else { return Ok(()) };
        let is_imported = record.origin == Origin::Imported;
        let twice = if is_imported { record.size_bytes } else { 0 };
        match contents::to_read(&file, &record.checksums) {
            Ok(bytes) => self.reading.started("template", record.id.digest(), bytes.saturating_add(twice)),
            Err(error) => return self.unreadable(path, error, findings),
        }
        match contents::changes(&file, &record.checksums, &self.reading) {
            Ok(changes) => changes.into_iter().for_each(|problem| findings.push(path, problem)),
            Err(error) => return self.unreadable(path, error, findings),
        }
        if is_imported {
            match contents::digest(&file, &self.reading) {
                Ok(actual) if record.id.entry() == EntryName::from(actual) => {}
                Ok(actual) => {
                    let expected = record.id.digest();
                    findings.push(path, Problem::Digest { expected, actual });
                }
                Err(error) => return self.unreadable(path, error, findings),
            }
        }
        Ok(())
    }

    /// What can be said of a clone without reading its disk, which a VM may be writing.
    pub(super) fn clone(&self, name: &EntryName, findings: &mut Findings) -> Result<(), Error> {
        let directory = self.store.directory.entry_path(Area::Clones, name);
        if findings.look(&directory, Expected::Directory).is_none() {
            return Ok(());
        }
        let path = directory.join(records::CLONE_RECORD);
        let Some(record) = findings.record::<CloneRecord>(&path) else { return Ok(()) };
        findings.subject = Subject::Clone(record.vm_id.to_string());
        if record.vm_id.entry() != *name {
            findings.push(&path, Problem::Misplaced { says: format!("clone {}", record.vm_id) });
            return Ok(());
        }
        if (record.strategy == Strategy::Qcow2) != (record.format == DiskFormat::Qcow2) {
            findings.push(&path, Problem::Contradiction("its format and its strategy"));
        }
        if record.strategy == Strategy::Hardlink && !record.read_only {
            findings.push(&path, Problem::Contradiction("a hard link that may be written"));
        }
        let what = Subject::Template(record.template.id.to_string());
        let is_there = self.store.directory.contains(Area::Templates, &record.template.id.entry());
        self.needs(&path, what, is_there, findings)?;
        let clone = Clone { path: directory.join(record.format.file()), record };
        let expected = match (clone.record.format, clone.record.read_only) {
            (DiskFormat::Dir, _) => Expected::Tree,
            (_, true) => Expected::Sealed,
            (_, false) => Expected::Writable,
        };
        if findings.look(&clone.path, expected).is_some() {
            match self.store.damage(&clone) {
                Ok(None) => {}
                Ok(Some(damage)) => findings.push(&clone.path, Problem::Clone(damage)),
                Err(
                    Error::Io { source, .. }
                    | Error::Overlay { source: offshoot_qcow2::Error::Io { source, .. }, .. },
                ) => self.unreadable(&clone.path, source, findings)?,
                Err(Error::Overlay {
                    source: offshoot_qcow2::Error::Unsupported { feature, .. }, ..
                }) => findings.push(&clone.path, Problem::Unsupported(feature)),
                // Whatever else it is: nothing is known of the disk.
                Err(error) => {
                    self.unreadable(&clone.path, io::Error::other(with_causes(&error)), findings)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether these are stretches of a disk of that size, one behind the other.
fn is_ascending(ranges: &[RangeChecksum], size_bytes: u64) -> bool {
    let mut from = 0;
    ranges.iter().all(|range| {
        let good = range.offset >= from && range.end() <= size_bytes && range.bytes > 0;
        from = range.end();
        good
    })
}
