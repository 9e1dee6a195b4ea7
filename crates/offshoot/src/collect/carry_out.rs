use std::collections::BTreeSet;
use std::time::SystemTime;

use offshoot_store::{Area, Claimed, Durability, RecordArea, Staging};

use super::plan::{CollectionEntry, CollectionPlan, CollectionReason, KeptReason, Target};
use super::planning::age;
use super::{Records, References};
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
    /// Records that could not be read when they were read once more: what they might speak of stays.
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
                problems.extend(self.collect_claimed(plan, claimed, &mut outcomes)?);
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
        Ok(Collection { entries, bytes, problems })
    }

    /// Removes entries of the plan that others may use: those that nobody uses, and to which nothing refers even then. Gives
    /// the problems with the records that say so.
    fn collect_claimed(
        &self,
        plan: &CollectionPlan,
        indices: &[usize],
        outcomes: &mut [Option<CollectionOutcome>],
    ) -> Result<Vec<Error>, Error> {
        let mut claims = Vec::with_capacity(indices.len());
        for &index in indices {
            let claimed = match &plan.entries[index].target {
                Target::Template(id) => self.directory.claim(Area::Templates, &id.entry()),
                Target::Pack(diff_id) => self.directory.claim(Area::Layers, &(*diff_id).into()),
                Target::Blob(digest) => self.directory.claim_blob(*digest),
                _ => continue,
            };
            match claimed {
                Ok(Claimed::Free(claim)) => claims.push((index, claim)),
                Ok(Claimed::InUse) => outcomes[index] = Some(CollectionOutcome::Kept(KeptReason::InUse)),
                Ok(Claimed::Gone) => outcomes[index] = Some(CollectionOutcome::Gone),
                Err(error) => outcomes[index] = Some(CollectionOutcome::Failed(error.into())),
            }
        }
        // Only now: whoever publishes what refers to one of these has a lease on it, and is done or has not begun.
        let records = Records::read(self)?;
        let references = records.references(&BTreeSet::new(), &BTreeSet::new());
        let now = SystemTime::now();
        let mut retired: Vec<(usize, Staging<'_>)> = Vec::new();
        let mut parents = BTreeSet::new();
        for (index, claim) in claims {
            let entry = &plan.entries[index];
            let kept = if age(now, claim.used_at()) < plan.options.grace {
                Some(KeptReason::Young)
            } else {
                kept(&references, entry)
            };
            if let Some(reason) = kept {
                outcomes[index] = Some(CollectionOutcome::Kept(reason));
                continue;
            }
            parents.extend(claim.path().parent().map(std::path::Path::to_owned));
            match claim.retire(&self.directory) {
                Ok(staging) => retired.push((index, staging)),
                Err(error) => outcomes[index] = Some(CollectionOutcome::Failed(error.into())),
            }
        }
        for parent in parents {
            Durability::Durable.sync_directory(&parent)?;
        }
        for (index, staging) in retired {
            let removed = staging.discard().map(|()| true);
            outcomes[index] = Some(outcome(removed.map_err(Error::from)));
        }
        Ok(records.problems)
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

    fn collect_digest(&self, name: &str) -> CollectionOutcome {
        let collect = || {
            for (file, record) in self.directory.each_record::<DigestRecord>(RecordArea::Digests)? {
                if file == name {
                    let record = record?;
                    if !record.state.is_over(&record.path) {
                        return Ok(CollectionOutcome::Kept(KeptReason::InUse));
                    }
                    let removed = self.directory.remove_record(RecordArea::Digests, &record.state.entry());
                    return Ok(outcome(removed.map_err(Error::from)));
                }
            }
            Ok(CollectionOutcome::Gone)
        };
        collect().unwrap_or_else(CollectionOutcome::Failed)
    }
}

fn kept(references: &References<'_>, entry: &CollectionEntry) -> Option<KeptReason> {
    let room_wanted = entry.reason == CollectionReason::RoomWanted;
    match &entry.target {
        Target::Template(id) => references.keep_template(*id, room_wanted),
        Target::Pack(diff_id) => references.keep_pack(*diff_id, room_wanted),
        Target::Blob(digest) => references.keep_blob(*digest),
        _ => None,
    }
}

fn outcome(removed: Result<bool, Error>) -> CollectionOutcome {
    match removed {
        Ok(true) => CollectionOutcome::Removed,
        Ok(false) => CollectionOutcome::Gone,
        Err(error) => CollectionOutcome::Failed(error),
    }
}
