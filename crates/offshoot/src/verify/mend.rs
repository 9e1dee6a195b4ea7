//! What is wrong is made right from where it came from, or moved aside.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use offshoot_oci::ImageName;
use offshoot_store::{Area, Digest, Durability, EntryName, RecordArea};

use super::{Finding, Problem, Report, Subject, contents};
use crate::build::seal;
use crate::disk::Sharing;
use crate::records::{self, CloneRecord, ImageRecord, TemplateRecord};
use crate::{Error, Progress, PullOptions, Store, Strategy, TemplateId, VmId, volume};

/// What became of a damaged thing.
#[derive(Debug)]
#[non_exhaustive]
pub struct Mended {
    /// The thing.
    pub subject: Subject,
    /// Its file or directory.
    pub path: PathBuf,
    /// What was done.
    pub outcome: Outcome,
}

/// What was done to a damaged thing.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It has its mode again.
    ModeSet,
    /// It is not kept any more: it is reckoned again when it is asked for.
    Forgotten,
    /// It is as its source has it.
    FetchedAgain,
    /// It was built from its layers again, and has the same bytes as at first.
    BuiltAgain,
    /// It was moved there, with the reason beside it.
    SetAside(PathBuf),
    /// Nothing: it could not be mended.
    Left(Error),
}

impl Store {
    /// Makes right what a look at the store has found, as far as there is something to make it from: modes are set,
    /// packs and documents fetched again from their images' sources, templates built again from their layers. What was
    /// there in their place goes to quarantine.
    ///
    /// A template that clones stand on is replaced in one rename by one with the same bytes as it had at first: a VM that
    /// runs keeps the file it has open, and finds the good one when it starts again. What a clone that is a copy may
    /// have copied of the damage, nobody can tell. What is not in the outcomes was left as it is.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// std::fs::remove_file(&template.path)?;
    /// let report = store.verify(&VerifyOptions::default(), &Quiet)?;
    /// let mended = store.repair(&report, &PullOptions::default(), &Quiet)?;
    /// assert!(matches!(mended[0].outcome, Outcome::BuiltAgain));
    /// assert!(store.verify(&VerifyOptions::default(), &Quiet)?.findings.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn repair(
        &self,
        report: &Report,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Vec<Mended>, Error> {
        let mut mended = Vec::new();
        for finding in &report.findings {
            if let Problem::Mode { expected, .. } = finding.problem {
                let set = fs::set_permissions(&finding.path, Permissions::from_mode(expected));
                let set = set.map_err(Error::io("set the mode of", &finding.path));
                mended.push(finding.became(set.map(|()| Outcome::ModeSet)));
            }
        }
        // What templates are built from comes before templates.
        let mut damaged: Vec<&Finding> = report
            .findings
            .iter()
            .filter(|finding| finding.is_damage() || finding.lacks_document())
            .collect();
        damaged.sort_by_key(|finding| matches!(finding.subject, Subject::Template(_)));
        let mut seen = BTreeSet::new();
        for finding in damaged {
            if !seen.insert(finding.subject.clone()) {
                continue;
            }
            crate::progress::check(progress).map_err(Error::io("repair", self.path()))?;
            let outcome = match &finding.subject {
                Subject::Blob(_) | Subject::Layer(_) => self.fetch_again(finding, options, progress),
                Subject::Image(reference) if finding.lacks_document() => {
                    self.pull_again(reference, options, progress).map(|()| Outcome::FetchedAgain)
                }
                Subject::Template(id) => self.build_again(id, finding, options, progress),
                Subject::Digest(_) => self.forget(finding),
                _ => continue,
            };
            mended.push(finding.became(outcome));
        }
        Ok(mended)
    }

    /// Moves what a look at the store has found to be damaged to quarantine, with the reason; what needs it, the
    /// findings say. What is only dangling, or belongs to somebody else, stays; so does the disk of a VM that runs.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// std::fs::remove_file(&template.path)?;
    /// let report = store.verify(&VerifyOptions::default(), &Quiet)?;
    /// store.quarantine(&report)?;
    /// assert!(store.templates()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn quarantine(&self, report: &Report) -> Result<Vec<Mended>, Error> {
        let mut mended = Vec::new();
        let mut seen = BTreeSet::new();
        for finding in report.findings.iter().filter(|finding| finding.is_damage()) {
            let path = self.thing(&finding.path);
            if path == self.path() || !seen.insert(path.clone()) {
                continue;
            }
            let outcome = self.move_aside(&path, finding);
            mended.push(Mended { path, ..finding.became(outcome) });
        }
        Ok(mended)
    }

    /// The thing that a file belongs to: an entry's directory, or the file itself.
    fn thing(&self, path: &Path) -> PathBuf {
        let areas =
            [Area::Layers, Area::Templates, Area::Clones].map(|area| self.path().join(area.directory()));
        let within = |area: &PathBuf| Some(area.join(path.strip_prefix(area).ok()?.iter().next()?));
        areas.iter().find_map(within).unwrap_or_else(|| path.to_owned())
    }

    fn move_aside(&self, path: &Path, finding: &Finding) -> Result<Outcome, Error> {
        let area = [Area::Layers, Area::Templates, Area::Clones]
            .into_iter()
            .find(|area| path.parent() == Some(&self.path().join(area.directory())));
        let entry = path.file_name().and_then(|name| EntryName::listed(name.to_str()?));
        // No claim is made on it: who uses it uses damage, and does not go on with that.
        let _changing = match (area, entry) {
            (Some(area), Some(entry)) => Some(self.directory.lock_key(area, &entry)?),
            _ => None,
        };
        if let Subject::Clone(name) = &finding.subject
            && let Ok(vm) = name.parse::<VmId>()
        {
            for disk in [records::DISK, records::OVERLAY] {
                drop(volume::lock_unused(&vm, &path.join(disk))?);
            }
        }
        let reason = format!("{}: {}", finding.path.display(), finding.problem);
        let aside = self.directory.quarantine(path, &reason)?;
        Ok(Outcome::SetAside(aside.unwrap_or_else(|| path.to_owned())))
    }

    fn forget(&self, finding: &Finding) -> Result<Outcome, Error> {
        let name = finding.path.file_stem().and_then(|name| EntryName::listed(name.to_str()?));
        match name {
            Some(name) if finding.path.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir()) => {
                self.directory.remove_record(RecordArea::Digests, &name)?;
                Ok(Outcome::Forgotten)
            }
            _ => self.move_aside(&finding.path, finding),
        }
    }

    /// A document or a pack, by pulling the images that have it.
    fn fetch_again(
        &self,
        finding: &Finding,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Outcome, Error> {
        let path = self.thing(&finding.path);
        self.move_aside(&path, finding)?;
        let mut last = Error::NotFound { what: "image that has", name: finding.subject.to_string() };
        for dependant in &finding.dependants {
            let Subject::Image(reference) = dependant else { continue };
            match self.pull_again(reference, options, progress) {
                Ok(()) if path.exists() => return Ok(Outcome::FetchedAgain),
                Ok(()) => last = Error::SourceChanged { image: reference.clone() },
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Pulls an image for all platforms that it was pulled for; what is whole is not fetched again.
    fn pull_again(
        &self,
        reference: &str,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let not_a_name = || Error::NotFound { what: "source of the image", name: reference.to_owned() };
        let image: ImageName = reference.parse().map_err(|_| not_a_name())?;
        for (_, record) in self.directory.each_record::<ImageRecord>(RecordArea::Images)? {
            let Ok(record) = record else { continue };
            if record.reference == reference {
                let platform = record.platform.parse().map_err(|_| not_a_name())?;
                let options = PullOptions { platform: Some(platform), ..options.clone() };
                self.pull(&image, &options, progress)?;
            }
        }
        Ok(())
    }

    /// A template's disk, from the layers that its record names; it must come out with the checksums that it had.
    fn build_again(
        &self,
        id: &str,
        finding: &Finding,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Outcome, Error> {
        let id: TemplateId =
            id.parse().map_err(|_| Error::NotFound { what: "template", name: id.to_owned() })?;
        let _changing = self.directory.lock_key(Area::Templates, &id.entry())?;
        let record: Option<TemplateRecord> =
            self.directory.entry_record(Area::Templates, &id.entry(), records::TEMPLATE_RECORD)?;
        let record = record.ok_or(Error::NotFound { what: "record of template", name: id.to_string() })?;
        let (Some(derivation), Some(image)) = (record.derivation(), &record.image) else {
            return Err(Error::NoSource { id });
        };
        let has_packs = |layers: &[Digest]| -> Result<bool, Error> {
            let found: Result<Vec<bool>, _> =
                layers.iter().map(|&layer| self.directory.contains(Area::Layers, &layer.into())).collect();
            Ok(found?.into_iter().all(|found| found))
        };
        if !has_packs(&derivation.layers)? {
            self.pull_again(&image.reference, options, progress)?;
        }
        let staging = self.directory.stage()?;
        let staged = staging.path().join(records::DISK);
        let disk = self.emit(derivation, image, &staged, Sharing::Wanted, progress)?;
        let changes =
            contents::changes(&disk.file, &record.checksums, progress).map_err(Error::io("read", &staged))?;
        // Another version of the writer, or packs that have changed too.
        if disk.size_bytes != record.size_bytes || !changes.is_empty() {
            return Err(Error::OtherTemplate { id });
        }
        seal(&disk.file, &staged)?;
        Durability::Durable.sync_file(&disk.file, &staged)?;
        let reason = format!("{}: {}", finding.path.display(), finding.problem);
        let path = self.template_disk(id);
        self.directory.quarantine_replaced(&path, &staged, &reason)?;
        self.link_again(id)?;
        Ok(Outcome::BuiltAgain)
    }

    /// Clones that are hard links to a template's disk are links to the one that took its place.
    fn link_again(&self, id: TemplateId) -> Result<(), Error> {
        for (_, record) in self.directory.each_entry_record(Area::Clones, records::CLONE_RECORD)? {
            let Ok(Some(CloneRecord { vm_id, strategy: Strategy::Hardlink, template, format, .. })) = record
            else {
                continue;
            };
            if template.id == id {
                let _changing = self.lock_clone(&vm_id)?;
                let staging = self.directory.stage()?;
                let link = staging.path().join(records::DISK);
                let disk = self.clone_disk(&vm_id, format);
                fs::hard_link(self.template_disk(id), &link).map_err(Error::io("link", &link))?;
                fs::rename(&link, &disk).map_err(Error::io("replace", &disk))?;
            }
        }
        Ok(())
    }
}

impl Finding {
    /// Whether the thing is damaged itself.
    fn is_damage(&self) -> bool {
        !matches!(
            self.problem,
            Problem::Mode { .. } | Problem::Owner { .. } | Problem::Unreadable(_) | Problem::Dangling { .. }
        )
    }

    /// Whether an image's manifest or config is missing.
    fn lacks_document(&self) -> bool {
        matches!((&self.subject, &self.problem), (Subject::Image(_), Problem::Dangling { .. }))
    }

    fn became(&self, outcome: Result<Outcome, Error>) -> Mended {
        Mended {
            subject: self.subject.clone(),
            path: self.path.clone(),
            outcome: outcome.unwrap_or_else(Outcome::Left),
        }
    }
}
