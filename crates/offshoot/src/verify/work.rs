//! Many things looked at by several threads; what looks wrong is looked at again while nobody can change it.

use std::io;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::check::{Check, Item};
use super::reading::Reading;
use super::{Depth, Finding, Report};
use crate::progress::{Event, Progress};
use crate::{Error, Store};

impl Store {
    pub(super) fn verify_items(
        &self,
        mut items: Vec<Item>,
        depth: Depth,
        progress: &dyn Progress,
    ) -> Result<Report, Error> {
        // Nothing behind a link or another user's directory is looked at: it is not the store's.
        let mut findings = Vec::new();
        let directories: Vec<Item> =
            items.extract_if(.., |item| matches!(item, Item::Directory(_))).collect();
        let check = |index| Check { store: self, depth, reading: Reading { progress, index: Some(index) } };
        let mut counts = Vec::new();
        for (index, item) in directories.iter().enumerate() {
            let found = check(index).item(item)?;
            if let Item::Directory(path) = item
                && found.iter().any(Finding::is_not_there)
            {
                items.retain(|item| !item.path(self).starts_with(path));
            }
            counts.push(found.len());
            findings.extend(found);
        }
        let checked = directories.len() + items.len();
        progress.event(Event::VerifyStarted { things: checked });
        for (index, &findings) in counts.iter().enumerate() {
            progress.event(Event::VerifyFinished { index, findings });
        }
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        let work = || -> Result<(), Error> {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(index) else { return Ok(()) };
                let index = directories.len() + index;
                let findings = check(index).settled(item)?;
                progress.event(Event::VerifyFinished { index, findings: findings.len() });
                if let Ok(mut found) = found.lock() {
                    found.push((index, findings));
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            let joined = others
                .into_iter()
                .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            std::iter::once(own).chain(joined).collect::<Result<(), Error>>()
        })?;
        let mut found = found.into_inner().unwrap_or_default();
        found.sort_by_key(|(index, _)| *index);
        findings.extend(found.into_iter().flat_map(|(_, findings)| findings));
        self.name_dependants(&mut findings);
        Ok(Report { findings, checked })
    }
}

impl Check<'_> {
    /// What is wrong with a thing. What others were just changing is looked at again when they are done.
    fn settled(&self, item: &Item) -> Result<Vec<Finding>, Error> {
        let found = self.item(item)?;
        if found.is_empty() {
            return Ok(found);
        }
        let _changing = match self.store.lock_item(item) {
            // A disk that fails is read-only by then: that is when it is looked at.
            Err(Error::Store(offshoot_store::Error::Io { source, .. })) if cannot_be_made(&source) => None,
            locked => locked?,
        };
        self.item_if_there(item)
    }

    /// What is wrong with a thing; nothing with one that has gone, which a collection may take while it is looked at.
    pub(super) fn item_if_there(&self, item: &Item) -> Result<Vec<Finding>, Error> {
        let found = self.item(item)?;
        let is_gone = std::fs::symlink_metadata(item.path(self.store))
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        // A store is never without its own files.
        let is_own = matches!(item, Item::Format | Item::Directory(_));
        Ok(if is_gone && !is_own { Vec::new() } else { found })
    }
}

/// Whether there is no place for a lock's file.
fn cannot_be_made(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kinds = [NotADirectory, NotFound, QuotaExceeded, ReadOnlyFilesystem, StorageFull];
    kinds.contains(&error.kind())
}
