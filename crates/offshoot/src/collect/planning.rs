use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use offshoot_store::{Area, Capacity, Claimed, Digest, LeftoverKind, RecordArea};

use super::bytes::Bytes;
use super::choose::choose;
use super::plan::{
    Collectable, CollectionEntry, CollectionPlan, CollectionReason, Kept, KeptReason, Room, Target,
};
use super::{CollectionOptions, Records, References, problems};
use crate::records::{CloneRecord, DigestRecord};
use crate::{Error, Store, TemplateId, VmId};

impl Store {
    /// Looks for what is garbage, and for what can be made again where room is wanted. Nothing is changed.
    ///
    /// What is being used, named, or needed by something else stays, and so does what was used within the grace period;
    /// what belonged to a process that is gone needs none. What cannot be read is told, and all that it might speak of
    /// stays.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// # store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// let plan = store.plan_collection(&CollectionOptions::default())?;
    /// for entry in &plan.entries {
    ///     println!("{} {}: {}, {} bytes", entry.what, entry.id, entry.reason, entry.bytes);
    /// }
    /// assert!(plan.entries.is_empty()); // what was just built is of an image
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn plan_collection(&self, options: &CollectionOptions) -> Result<CollectionPlan, Error> {
        let records = Records::read(self)?;
        let mut planning = Planning {
            store: self,
            options,
            now: SystemTime::now(),
            records: &records,
            entries: Vec::new(),
            kept: BTreeMap::new(),
            problems: Vec::new(),
            rest: Vec::new(),
        };
        planning.leftovers()?;
        let clones = planning.sessions();
        let references = records.references(&clones, &BTreeSet::new());
        let templates = planning.templates(&references)?;
        let references = records.references(&clones, &templates);
        planning.packs(&references)?;
        planning.blobs(&references)?;
        planning.quarantine()?;
        let (bytes, room) = planning.make_room(&references)?;
        planning.digests()?;
        let Planning { mut entries, kept, problems, .. } = planning;
        for entry in &mut entries {
            entry.bytes = bytes.alone(&entry.path);
        }
        let bytes = bytes.of_entries(&entries);
        let kept = kept.into_iter().map(|((what, reason), count)| Kept { what, reason, count }).collect();
        let problems = problems::each_once(records.problems.into_iter().chain(problems));
        Ok(CollectionPlan { options: options.clone(), entries, kept, bytes, room, problems })
    }
}

struct Planning<'a> {
    store: &'a Store,
    options: &'a CollectionOptions,
    now: SystemTime,
    records: &'a Records,
    entries: Vec<CollectionEntry>,
    kept: BTreeMap<(Collectable, KeptReason), usize>,
    problems: Vec<Error>,
    /// What stays unless its room is wanted, and since when it is not used.
    rest: Vec<(SystemTime, Target, PathBuf, KeptReason)>,
}

impl Planning<'_> {
    fn take(&mut self, target: Target, path: PathBuf, reason: CollectionReason) {
        let (what, id) = (target.what(), target.id());
        // Counted when all are known.
        self.entries.push(CollectionEntry { what, id, path, reason, bytes: 0, target });
    }

    fn keep(&mut self, what: Collectable, reason: KeptReason) {
        *self.kept.entry((what, reason)).or_insert(0) += 1;
    }

    /// What cannot be looked at stays, and all else is done.
    fn unjudged(&mut self, what: Collectable, error: Error) {
        self.problems.push(error);
        self.keep(what, KeptReason::Unjudged);
    }

    fn is_young(&self, used_at: SystemTime) -> bool {
        age(self.now, used_at) < self.options.grace
    }

    fn leftovers(&mut self) -> Result<(), Error> {
        for leftover in self.store.directory.leftovers()? {
            let leftover = match leftover {
                Ok(leftover) => leftover,
                Err(error) => {
                    self.problems.push(error.into());
                    continue;
                }
            };
            let reason = match leftover.kind {
                LeftoverKind::Staging | LeftoverKind::Lock => CollectionReason::OwnerGone,
                // They are worth something to whoever fetches the layer next.
                LeftoverKind::Download if self.is_young(leftover.modified) => {
                    self.keep(Collectable::Download, KeptReason::Young);
                    continue;
                }
                LeftoverKind::Download => CollectionReason::NotContinued,
            };
            let path = leftover.path.clone();
            self.take(Target::Leftover(leftover), path, reason);
        }
        Ok(())
    }

    /// The clones of sessions that ended without releasing them.
    fn sessions(&mut self) -> BTreeSet<VmId> {
        let mut gone = BTreeSet::new();
        let records = self.records;
        for clone in &records.clones {
            match self.store.session_kept(clone) {
                Ok(Some(reason)) => self.keep(Collectable::Clone, reason),
                Ok(None) => {
                    let path = self.store.directory.entry_path(Area::Clones, &clone.vm_id.entry());
                    gone.insert(clone.vm_id.clone());
                    self.take(Target::Session(clone.vm_id.clone()), path, CollectionReason::SessionGone);
                }
                Err(error) => self.unjudged(Collectable::Clone, error),
            }
        }
        gone
    }

    fn templates(&mut self, references: &References<'_>) -> Result<BTreeSet<TemplateId>, Error> {
        let mut gone = BTreeSet::new();
        for name in self.store.directory.entry_names(Area::Templates)? {
            // What has no such name is not ours.
            let Ok(id) = name.parse::<TemplateId>() else { continue };
            if self.judge(references, Target::Template(id), CollectionReason::Outdated) {
                gone.insert(id);
            }
        }
        Ok(gone)
    }

    fn packs(&mut self, references: &References<'_>) -> Result<(), Error> {
        for name in self.store.directory.entry_names(Area::Layers)? {
            if let Ok(diff_id) = Digest::from_hex(&name) {
                self.judge(references, Target::Pack(diff_id), CollectionReason::Unreferenced);
            }
        }
        Ok(())
    }

    fn blobs(&mut self, references: &References<'_>) -> Result<(), Error> {
        for (digest, _) in self.store.directory.blobs()? {
            self.judge(references, Target::Blob(digest), CollectionReason::Unreferenced);
        }
        Ok(())
    }

    /// Whether something that others may use goes, as far as can be said now.
    fn judge(&mut self, references: &References<'_>, target: Target, reason: CollectionReason) -> bool {
        let what = target.what();
        let claim = match target.claim(&self.store.directory) {
            Some(Ok(Claimed::Free(claim))) => Some(claim),
            Some(Ok(Claimed::InUse)) => None,
            Some(Ok(Claimed::Gone)) | None => return false,
            Some(Err(error)) => {
                self.unjudged(what, error.into());
                return false;
            }
        };
        let in_use = claim.is_none();
        let unused = claim.filter(|claim| !self.is_young(claim.used_at()));
        match (references.keep(&target, false), unused) {
            (Some(kept @ (KeptReason::OfAnImage | KeptReason::OfATemplate)), Some(claim)) => {
                self.rest.push((claim.used_at(), target, claim.path().to_owned(), kept));
            }
            (Some(kept), _) => self.keep(what, kept),
            (None, Some(claim)) => {
                self.take(target, claim.path().to_owned(), reason);
                return true;
            }
            (None, None) => self.keep(what, if in_use { KeptReason::InUse } else { KeptReason::Young }),
        }
        false
    }

    /// Digests of files that are gone or were changed, or that go with this plan.
    fn digests(&mut self) -> Result<(), Error> {
        for (name, record) in self.store.directory.each_record::<DigestRecord>(RecordArea::Digests)? {
            match record {
                Ok(record) if format!("{}.json", record.state.entry()) == name => {
                    let going = self.entries.iter().any(|entry| record.path.starts_with(&entry.path));
                    if going || record.state.is_over(&record.path) {
                        let entry = record.state.entry();
                        let path = self.store.directory.record_path(RecordArea::Digests, &entry);
                        self.take(Target::Digest(entry), path, CollectionReason::FileChanged);
                    }
                }
                // Not ours.
                Ok(_) => {}
                Err(error) => self.problems.push(error.into()),
            }
        }
        Ok(())
    }

    fn quarantine(&mut self) -> Result<(), Error> {
        for name in self.store.directory.quarantine_names()? {
            let path = self.store.directory.root().join("quarantine").join(&name);
            // It may go while the list is read.
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if !self.options.quarantine {
                self.keep(Collectable::Quarantine, KeptReason::NotAskedFor);
            } else if self.is_young(metadata.modified().unwrap_or(self.now)) {
                self.keep(Collectable::Quarantine, KeptReason::Young);
            } else {
                self.take(Target::Quarantine(name), path, CollectionReason::AskedFor);
            }
        }
        Ok(())
    }

    /// Evicts what can be made again, that which was not used for longest first, until enough is free.
    fn make_room(&mut self, references: &References<'_>) -> Result<(Bytes, Option<Room>), Error> {
        let is_wanted = !self.entries.is_empty() || self.options.keep_free.is_some();
        let bytes = if is_wanted { Bytes::of(self.store)? } else { Bytes::default() };
        let mut evictable = Vec::new();
        for (used_at, target, path, kept) in std::mem::take(&mut self.rest) {
            let room_wanted = self.options.keep_free.is_some();
            match if room_wanted { references.keep(&target, true) } else { Some(kept) } {
                Some(reason) => self.keep(target.what(), reason),
                None => evictable.push((used_at, target, path, kept)),
            }
        }
        let Some(keep_free) = self.options.keep_free else { return Ok((bytes, None)) };
        evictable.sort_by_key(|(used_at, ..)| *used_at);
        let root = self.store.directory.root();
        let capacity = Capacity::of(root).map_err(Error::io("look at", root))?;
        let wanted_bytes = keep_free.bytes_of(capacity.bytes);
        let paths: Vec<&Path> = evictable.iter().map(|(_, _, path, _)| path.as_path()).collect();
        let garbage: Vec<&Path> = self.entries.iter().map(|entry| entry.path.as_path()).collect();
        let missing = |chosen: &[&Path]| {
            let freed = bytes.together(garbage.iter().chain(chosen).copied());
            wanted_bytes.saturating_sub(capacity.available_bytes).saturating_sub(freed)
        };
        let chosen = choose(&paths, missing);
        let missing_bytes = missing(&chosen);
        let evicted: BTreeSet<PathBuf> = chosen.into_iter().map(Path::to_owned).collect();
        for (_, target, path, kept) in evictable {
            if evicted.contains(&path) {
                self.take(target, path, CollectionReason::RoomWanted);
            } else {
                self.keep(target.what(), kept);
            }
        }
        Ok((bytes, Some(Room { wanted_bytes, available_bytes: capacity.available_bytes, missing_bytes })))
    }
}

/// How long ago something was, or, by a clock that was wrong, how far ahead it is.
pub(super) fn age(now: SystemTime, then: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_else(|ahead| ahead.duration())
}

impl Store {
    /// Why a clone stays; `None` of one whose session's process is gone.
    pub(super) fn session_kept(&self, clone: &CloneRecord) -> Result<Option<KeptReason>, Error> {
        let Some(session) = &clone.session else { return Ok(Some(KeptReason::NotReleased)) };
        Ok(self.directory.is_alive(session.owner())?.then_some(KeptReason::InUse))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn ages_are_distances() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        for (then, seconds) in [(1000, 0), (900, 100), (1100, 100), (0, 1000)] {
            assert_eq!(age(now, UNIX_EPOCH + Duration::from_secs(then)).as_secs(), seconds, "{then}");
        }
    }
}
