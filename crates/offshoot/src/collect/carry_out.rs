use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use offshoot_store::{Area, Capacity, Claimed, Durability, EntryName, RecordArea, Staging, with_causes};

use super::Records;
use super::plan::{CollectionEntry, CollectionPlan, CollectionReason, KeptReason, Room, Target};
use super::planning::age;
use crate::records::DigestRecord;
use crate::{Error, Store, VmId};

/// How many entries are claimed at once: each is an open file, and their users wait for one look at the records.
const MAX_CLAIMS: usize = 128;

/// What became of a plan.
#[derive(Debug)]
#[non_exhaustive]
pub struct Collection {
    /// Each entry of the plan, in its order.
    pub entries: Vec<Collected>,
    /// How many bytes were freed, by the plan's sums.
    pub bytes: u64,
    /// What is wanted of the store's filesystem, where something is, and what is missing of it by what was removed; where
    /// not all went, the filesystem is asked once more, since somebody else may have removed the rest.
    pub room: Option<Room>,
    /// What could not be read when it was read once more, each told once, without what the plan tells already: what it might
    /// speak of stays.
    pub problems: Vec<Error>,
}

/// What became of one entry of a plan.
#[derive(Debug)]
#[non_exhaustive]
pub struct Collected {
    /// The entry.
    pub entry: CollectionEntry,
    /// What became of it.
    pub outcome: CollectionOutcome,
}

/// What became of one entry of a plan.
#[derive(Debug)]
#[non_exhaustive]
pub enum CollectionOutcome {
    /// It is gone.
    Removed,
    /// It stays: it came into use after the plan was made.
    Kept(KeptReason),
    /// Somebody else removed it.
    Gone,
    /// It could not be removed.
    Failed(Error),
}

impl Store {
    /// Does what a plan says, and no more. Each thing is looked at once more when nobody can use it any longer; what has
    /// come into use since the plan was made stays.
    ///
    /// Nobody is kept waiting for longer than one look at the store's records takes. A process that dies on the way
    /// leaves a valid store, and the next collection finishes.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// store.put_blob(Digest::of(b"{}"), b"{}")?; // of no image
    /// let options = CollectionOptions { grace: std::time::Duration::ZERO, ..CollectionOptions::default() };
    /// let plan = store.plan_collection(&options)?;
    /// let collection = store.collect(&plan)?;
    /// assert_eq!(collection.bytes, plan.bytes);
    /// assert!(store.blobs()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn collect(&self, plan: &CollectionPlan) -> Result<Collection, Error> {
        let mut outcomes: Vec<Option<CollectionOutcome>> = plan.entries.iter().map(|_| None).collect();
        let mut templates = Vec::new();
        let mut packs_and_blobs = Vec::new();
        let mut digests = Vec::new();
        let mut problems = Vec::new();
        let mut told: BTreeSet<String> = plan.problems.iter().map(|problem| with_causes(problem)).collect();
        for (index, entry) in plan.entries.iter().enumerate() {
            match &entry.target {
                Target::Leftover(leftover) => {
                    let removed = self.directory.remove_leftover(leftover);
                    outcomes[index] = Some(outcome(removed.map_err(Error::from)));
                }
                Target::Session(vm) => outcomes[index] = Some(self.collect_session(vm)),
                Target::Quarantine(name) => {
                    let taken = self.directory.unquarantine(name).map_err(Error::from);
                    let removed = taken.and_then(|taken| match taken {
                        Some(taken) => taken.discard().map(|()| true).map_err(Error::from),
                        None => Ok(false),
                    });
                    outcomes[index] = Some(outcome(removed));
                }
                Target::Template(_) => templates.push(index),
                Target::Pack(_) | Target::Blob(_) => packs_and_blobs.push(index),
                Target::Digest(_) => digests.push(index),
            }
        }
        // Templates before what only they refer to.
        for phase in [templates, packs_and_blobs] {
            for claimed in phase.chunks(MAX_CLAIMS) {
                let found = self.collect_claimed(plan, claimed, &mut outcomes);
                problems.extend(found.into_iter().filter(|problem| told.insert(with_causes(problem))));
            }
        }
        for index in digests {
            if let Target::Digest(name) = &plan.entries[index].target {
                outcomes[index] = Some(self.collect_digest(name));
            }
        }
        let entries =
            plan.entries.iter().cloned().zip(outcomes).map(|(entry, outcome)| Collected {
                entry,
                outcome: outcome.unwrap_or(CollectionOutcome::Gone),
            });
        let entries: Vec<Collected> = entries.collect();
        let removed = |collected: &&Collected| matches!(collected.outcome, CollectionOutcome::Removed);
        let all = entries.iter().all(|collected| removed(&collected));
        // What did not go may share with what did: then only what each has for itself is sure.
        let bytes = match all {
            true => plan.bytes,
            false => entries.iter().filter(removed).map(|collected| collected.entry.bytes).sum(),
        };
        let room = plan.room.map(|room| if all { room.after(bytes) } else { self.room_now(room, bytes) });
        Ok(Collection { entries, bytes, room, problems })
    }

    /// What is missing where not all went, of which others may have removed some: by what the filesystem says, or by the sum
    /// of what was removed, which some filesystems count later.
    fn room_now(&self, room: Room, bytes: u64) -> Room {
        let counted = room.after(bytes);
        let Ok(capacity) = Capacity::of(self.directory.root()) else { return counted };
        let missing_bytes = room.wanted_bytes.saturating_sub(capacity.available_bytes);
        Room { missing_bytes: missing_bytes.min(counted.missing_bytes), ..room }
    }

    /// Removes entries of the plan that others may use: those that nobody uses, and to which nothing refers even then. Gives
    /// the problems with the records that say so.
    fn collect_claimed(
        &self,
        plan: &CollectionPlan,
        indices: &[usize],
        outcomes: &mut [Option<CollectionOutcome>],
    ) -> Vec<Error> {
        let mut claims = Vec::with_capacity(indices.len());
        for &index in indices {
            let Some(claimed) = plan.entries[index].target.claim(&self.directory) else { continue };
            match claimed {
                Ok(Claimed::Free(claim)) => claims.push((index, claim)),
                Ok(Claimed::InUse) => outcomes[index] = Some(CollectionOutcome::Kept(KeptReason::InUse)),
                Ok(Claimed::Gone) => outcomes[index] = Some(CollectionOutcome::Gone),
                Err(error) => outcomes[index] = Some(CollectionOutcome::Failed(error.into())),
            }
        }
        // Only now: whoever publishes what refers to one of these has a lease on it, and is done or has not begun.
        let records = match Records::read(self) {
            Ok(records) => records,
            Err(error) => {
                for (index, _) in claims {
                    outcomes[index] = Some(CollectionOutcome::Kept(KeptReason::Unjudged));
                }
                return vec![error];
            }
        };
        let references = records.references(&BTreeSet::new(), &BTreeSet::new());
        let now = SystemTime::now();
        let mut retired: Vec<(usize, PathBuf, Staging<'_>)> = Vec::new();
        for (index, claim) in claims {
            let entry = &plan.entries[index];
            let room_wanted = entry.reason == CollectionReason::RoomWanted;
            let kept = if age(now, claim.used_at()) < plan.options.grace {
                Some(KeptReason::Young)
            } else {
                references.keep(&entry.target, room_wanted)
            };
            if let Some(reason) = kept {
                outcomes[index] = Some(CollectionOutcome::Kept(reason));
                continue;
            }
            let area = claim.path().parent().map(Path::to_owned).unwrap_or_default();
            match claim.retire(&self.directory) {
                Ok(Some(staging)) => retired.push((index, area, staging)),
                Ok(None) => outcomes[index] = Some(CollectionOutcome::Gone),
                Err(error) => outcomes[index] = Some(CollectionOutcome::Failed(error.into())),
            }
        }
        let mut unsynced: BTreeMap<PathBuf, Option<Arc<_>>> = BTreeMap::new();
        for (index, area, staging) in retired {
            let failed = unsynced
                .entry(area.clone())
                .or_insert_with_key(|area| Durability::Durable.sync_directory(area).err().map(Arc::new));
            outcomes[index] = Some(match failed {
                None => outcome(staging.discard().map(|()| true).map_err(Error::from)),
                // What may come back when the power fails must come back whole.
                Some(error) => {
                    staging.leave();
                    let error = io::Error::other(Arc::clone(error));
                    CollectionOutcome::Failed(Error::io("remove for good what was in", &area)(error))
                }
            });
        }
        records.problems
    }

    /// Releases a clone whose session's process is gone, unless its VM still runs.
    fn collect_session(&self, vm: &VmId) -> CollectionOutcome {
        let collect = || {
            let Some(_changing) = self.directory.try_lock_key(Area::Clones, &vm.entry())? else {
                return Ok(CollectionOutcome::Kept(KeptReason::InUse));
            };
            let Some(clone) = self.find_clone(vm)? else { return Ok(CollectionOutcome::Gone) };
            if let Some(reason) = self.session_kept(&clone.record)? {
                return Ok(CollectionOutcome::Kept(reason));
            }
            match self.release_locked(vm) {
                Err(Error::InUse { .. }) => Ok(CollectionOutcome::Kept(KeptReason::InUse)),
                released => released.map(|()| CollectionOutcome::Removed),
            }
        };
        collect().unwrap_or_else(CollectionOutcome::Failed)
    }

    fn collect_digest(&self, name: &EntryName) -> CollectionOutcome {
        let collect = || {
            let record = self.directory.record::<DigestRecord>(RecordArea::Digests, name)?;
            if record.is_some_and(|record| !record.state.is_over(&record.path)) {
                return Ok(CollectionOutcome::Kept(KeptReason::InUse));
            }
            let removed = self.directory.remove_record(RecordArea::Digests, name);
            Ok(outcome(removed.map_err(Error::from)))
        };
        collect().unwrap_or_else(CollectionOutcome::Failed)
    }
}

fn outcome(removed: Result<bool, Error>) -> CollectionOutcome {
    match removed {
        Ok(true) => CollectionOutcome::Removed,
        Ok(false) => CollectionOutcome::Gone,
        Err(error) => CollectionOutcome::Failed(error),
    }
}
