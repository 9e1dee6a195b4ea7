use std::fmt;
use std::path::PathBuf;

use offshoot_store::{Area, Claimed, Digest, EntryName, Leftover, LeftoverKind, StoreDir};
use serde::Serialize;

use super::CollectionOptions;
use crate::{Error, TemplateId, VmId};

/// What a collection would do, and why: a value that can be printed, and then [carried out](crate::Store::collect).
#[derive(Debug)]
#[non_exhaustive]
pub struct CollectionPlan {
    /// What it was made for.
    pub options: CollectionOptions,
    /// What goes, in that order.
    pub entries: Vec<CollectionEntry>,
    /// What stays, and why: one for each reason.
    pub kept: Vec<Kept>,
    /// How many bytes all of it frees together, which may be more than the sum of each alone: some share theirs.
    pub bytes: u64,
    /// What is wanted of the filesystem, where something is.
    pub room: Option<Room>,
    /// What could not be read, each thing once: all that it might speak of stays.
    pub problems: Vec<Error>,
}

/// What can be collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Collectable {
    /// What was being made, or removed.
    Staging,
    /// A lock's file.
    Lock,
    /// A part of a layer.
    Download,
    /// A VM's clone, for a session.
    Clone,
    /// A template.
    Template,
    /// A layer, decoded.
    Pack,
    /// A manifest or config.
    Blob,
    /// What a file's bytes were.
    Digest,
    /// What looked damaged.
    Quarantine,
}

impl Collectable {
    /// Its name in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Lock => "lock",
            Self::Download => "download",
            Self::Clone => "clone",
            Self::Template => "template",
            Self::Pack => "pack",
            Self::Blob => "blob",
            Self::Digest => "digest",
            Self::Quarantine => "quarantine",
        }
    }
}

impl fmt::Display for Collectable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectionEntry {
    /// What it is.
    pub what: Collectable,
    /// How it is called.
    pub id: String,
    /// Where it is.
    pub path: PathBuf,
    /// Why it goes.
    pub reason: CollectionReason,
    /// How many bytes that frees if all else stays.
    pub bytes: u64,
    pub(super) target: Target,
}

/// The same for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Leftover(Leftover),
    Session(VmId),
    Template(TemplateId),
    Pack(Digest),
    Blob(Digest),
    Digest(EntryName),
    Quarantine(String),
}

impl Target {
    pub(super) fn what(&self) -> Collectable {
        match self {
            Self::Leftover(leftover) => match leftover.kind {
                LeftoverKind::Staging => Collectable::Staging,
                LeftoverKind::Lock => Collectable::Lock,
                LeftoverKind::Download => Collectable::Download,
            },
            Self::Session(_) => Collectable::Clone,
            Self::Template(_) => Collectable::Template,
            Self::Pack(_) => Collectable::Pack,
            Self::Blob(_) => Collectable::Blob,
            Self::Digest(_) => Collectable::Digest,
            Self::Quarantine(_) => Collectable::Quarantine,
        }
    }

    pub(super) fn id(&self) -> String {
        match self {
            Self::Leftover(leftover) => leftover.name.clone(),
            Self::Session(vm) => vm.to_string(),
            Self::Template(id) => id.to_string(),
            Self::Pack(digest) | Self::Blob(digest) => digest.to_string(),
            Self::Digest(name) => format!("{name}.json"),
            Self::Quarantine(name) => name.clone(),
        }
    }

    /// The right to remove what others may have a lease on; `None` of what nobody can.
    pub(super) fn claim(&self, store: &StoreDir) -> Option<Result<Claimed, offshoot_store::Error>> {
        match self {
            Self::Template(id) => Some(store.claim(Area::Templates, &id.entry())),
            Self::Pack(diff_id) => Some(store.claim(Area::Layers, &(*diff_id).into())),
            Self::Blob(digest) => Some(store.claim_blob(*digest)),
            Self::Leftover(_) | Self::Session(_) | Self::Digest(_) | Self::Quarantine(_) => None,
        }
    }
}

/// Why something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CollectionReason {
    /// The process whose it was is gone.
    OwnerGone,
    /// It was a session's, whose process is gone.
    SessionGone,
    /// A download that nobody goes on with.
    NotContinued,
    /// Nothing names the template, no clone stands on it, and no build makes it any more: its image is gone or has
    /// moved on.
    Outdated,
    /// No image, template or clone has it.
    Unreferenced,
    /// The file is gone, or was changed.
    FileChanged,
    /// It can be made again, and its room is wanted.
    RoomWanted,
    /// It was asked for.
    AskedFor,
}

impl fmt::Display for CollectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OwnerGone => "its process is gone",
            Self::SessionGone => "its session's process is gone",
            Self::NotContinued => "nobody goes on with it",
            Self::Outdated => "no name, clone or image",
            Self::Unreferenced => "nothing refers to it",
            Self::FileChanged => "its file is gone or changed",
            Self::RoomWanted => "its room is wanted",
            Self::AskedFor => "asked for",
        })
    }
}

/// What stays for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// What it is.
    pub what: Collectable,
    /// Why it stays.
    pub reason: KeptReason,
    /// How many of them.
    pub count: usize,
}

/// Why something stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeptReason {
    /// A running process uses it.
    InUse,
    /// It was used within the grace period.
    Young,
    /// The template has a name.
    Named,
    /// A clone needs it.
    Cloned,
    /// An image needs it, or a build of the image would make it.
    OfAnImage,
    /// A template was built from it.
    OfATemplate,
    /// What is in quarantine needs it.
    Quarantined,
    /// A record that may speak of it cannot be read.
    Unjudged,
    /// Only what is asked for goes from there.
    NotAskedFor,
    /// The clone is no session's.
    NotReleased,
}

impl fmt::Display for KeptReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::InUse => "in use",
            Self::Young => "used within the grace period",
            Self::Named => "named",
            Self::Cloned => "needed by a clone",
            Self::OfAnImage => "of an image",
            Self::OfATemplate => "of a template",
            Self::Quarantined => "needed by what is in quarantine",
            Self::Unjudged => "a record cannot be read",
            Self::NotAskedFor => "set aside",
            Self::NotReleased => "not released",
        })
    }
}

/// What is wanted of the store's filesystem. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Room {
    /// What is to be free.
    pub wanted_bytes: u64,
    /// What was free when the plan was made.
    pub available_bytes: u64,
    /// What will be missing, by the plan's sums.
    pub missing_bytes: u64,
}

impl Room {
    /// When so many bytes were freed.
    pub(super) fn after(self, bytes: u64) -> Self {
        let missing = self.wanted_bytes.saturating_sub(self.available_bytes);
        Self { missing_bytes: missing.saturating_sub(bytes), ..self }
    }
}
