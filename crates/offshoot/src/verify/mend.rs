//! What is wrong is made right from where it came from, or moved aside.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use offshoot_store::RecordArea;

use super::check::{Check, Item};
use super::reading::Reading;
use super::{Depth, Finding, Problem, Report, Subject};
use crate::{Damage, Error, Progress, PullOptions, Store};

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
    /// A clone that is a hard link is one to its template's disk again.
    LinkedAgain,
    /// It was moved there, with the reason beside it.
    SetAside(PathBuf),
    /// It could not be mended, and is as it was; only after a failed sync it may have been mended all the same.
    Left(Error),
}

impl Store {
    /// Makes right what a look at the store has found, as far as there is something to make it from: modes are set,
    /// packs and documents fetched again from their images' sources, templates built again from their layers. What was
    /// there in their place goes to quarantine.
    ///
    /// A template that clones stand on is replaced in one rename by one with the same bytes as it had at first: a VM that
    /// runs keeps the file it has open, and finds the good one when it starts again. What a clone that is a copy may
    /// have copied of the damage, nobody can tell. Each thing is looked at again first: what others have made right
    /// meanwhile, or is gone, is not touched. What is not in the outcomes was left as it is.
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
                mended.extend(finding.became(self.set_mode(finding, expected, progress)));
            }
        }
        // What templates are built from comes before templates, and these before clones.
        let mut damaged: Vec<&Finding> = report
            .findings
            .iter()
            .filter(|finding| finding.is_damage() && !finding.is_stray() || finding.lacks_document())
            .collect();
        damaged.sort_by_key(|finding| match finding.item {
            Item::Entry(area, _) => Some(area),
            _ => None,
        });
        let mut seen = BTreeSet::new();
        for finding in damaged {
            if seen.contains(&finding.item) {
                continue;
            }
            crate::progress::check(progress).map_err(Error::io("repair", self.path()))?;
            let outcome = match &finding.subject {
                Subject::Blob(_) | Subject::Layer(_) => self.fetch_again(finding, options, progress),
                Subject::Image(_) if finding.lacks_document() => {
                    self.fetch_documents(finding, options, progress)
                }
                Subject::Template(id) => self.build_again(id, finding, options, progress, &mut mended),
                Subject::Digest(_) => self.forget(finding, progress),
                Subject::Clone(vm) if finding.is_no_link() => self.link_again(vm, progress),
                // There may be a remedy for what else is wrong with it.
                _ => continue,
            };
            seen.insert(&finding.item);
            mended.extend(finding.became(outcome));
        }
        Ok(mended)
    }

    /// Moves what a look at the store has found to be damaged to quarantine, with the reason; what needs it, the
    /// findings say. What is only dangling, or belongs to somebody else, stays; so do the disk of a VM that runs, and the
    /// store's own files and directories. Each thing is looked at again first, as for [`repair`](Self::repair).
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// std::fs::remove_file(&template.path)?;
    /// let report = store.verify(&VerifyOptions::default(), &Quiet)?;
    /// store.quarantine(&report, &Quiet)?;
    /// assert!(store.templates()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn quarantine(&self, report: &Report, progress: &dyn Progress) -> Result<Vec<Mended>, Error> {
        let mut mended = Vec::new();
        let mut seen = BTreeSet::new();
        for finding in report.findings.iter().filter(|finding| finding.is_damage()) {
            // What the store is made of is not moved: then there would be no store.
            let is_own = matches!(finding.item, Item::Directory(_) | Item::Format);
            if is_own || !seen.insert(&finding.item) {
                continue;
            }
            crate::progress::check(progress).map_err(Error::io("set aside", self.path()))?;
            let outcome = self.set_aside_damaged(finding, progress);
            let path = finding.item.path(self);
            let outcome = outcome.map(|aside| aside.map(Outcome::SetAside));
            mended.extend(finding.became(outcome).map(|mended| Mended { path, ..mended }));
        }
        Ok(mended)
    }

    /// What is wrong with a thing now; whoever goes by that has its lock.
    pub(super) fn found_now(
        &self,
        item: &Item,
        depth: Depth,
        progress: &dyn Progress,
    ) -> Result<Vec<Finding>, Error> {
        Check { store: self, depth, reading: Reading { progress, index: None } }.item_if_there(item)
    }

    fn set_mode(
        &self,
        finding: &Finding,
        mode: u32,
        progress: &dyn Progress,
    ) -> Result<Option<Outcome>, Error> {
        let _changing = self.lock_item(&finding.item)?;
        let found = self.found_now(&finding.item, Depth::Quick, progress)?;
        let is_same = |now: &Finding| {
            now.path == finding.path
                && matches!(now.problem, Problem::Mode { expected, .. } if expected == mode)
        };
        if !found.iter().any(is_same) {
            return Ok(None);
        }
        fs::set_permissions(&finding.path, Permissions::from_mode(mode))
            .map_err(Error::io("set the mode of", &finding.path))?;
        Ok(Some(Outcome::ModeSet))
    }

    fn forget(&self, finding: &Finding, progress: &dyn Progress) -> Result<Option<Outcome>, Error> {
        let is_file = finding.path.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir());
        match &finding.item {
            Item::Record(RecordArea::Digests, name) if is_file => {
                if !self.found_now(&finding.item, Depth::Quick, progress)?.iter().any(Finding::is_damage) {
                    return Ok(None);
                }
                self.directory.remove_record(RecordArea::Digests, name)?;
                Ok(Some(Outcome::Forgotten))
            }
            _ => Ok(self.set_aside_damaged(finding, progress)?.map(Outcome::SetAside)),
        }
    }
}

impl Finding {
    /// Whether an image's manifest or config is missing.
    fn lacks_document(&self) -> bool {
        matches!((&self.subject, &self.problem), (Subject::Image(_), Problem::Dangling { .. }))
    }

    /// Nothing says what it should be.
    fn is_stray(&self) -> bool {
        matches!(self.problem, Problem::Stray)
    }

    /// Whether a clone should be a link to its template's disk, and is one to another.
    pub(super) fn is_no_link(&self) -> bool {
        matches!(self.problem, Problem::Clone(Damage::NotTheTemplate { .. }))
    }

    /// Nothing became of what was not wrong any more.
    fn became(&self, outcome: Result<Option<Outcome>, Error>) -> Option<Mended> {
        let outcome = outcome.unwrap_or_else(|error| Some(Outcome::Left(error)))?;
        Some(Mended { subject: self.subject.clone(), path: self.path.clone(), outcome })
    }
}
