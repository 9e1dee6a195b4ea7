use std::fmt;
use std::path::{Path, PathBuf};

use crate::store_dir::list;
use crate::{Area, Error, Holder, Space, StoreDir, Survey};

/// A kind of what a store has, by the directory that it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Part {
    /// Manifests and configs.
    Blobs,
    /// Layers, decoded.
    Packs,
    /// Immutable root filesystems.
    Templates,
    /// Those of VMs.
    Clones,
    /// Layers that are being fetched, or were.
    Downloads,
    /// What looked damaged.
    Quarantine,
    /// What is being made, or removed.
    Staging,
    /// What images, names and digests stand for, locks, and whatever else there is.
    Records,
}

impl Part {
    /// All, in the order in which they come into being.
    pub const ALL: [Self; 8] = [
        Self::Blobs,
        Self::Packs,
        Self::Templates,
        Self::Clones,
        Self::Downloads,
        Self::Quarantine,
        Self::Staging,
        Self::Records,
    ];

    /// Its name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blobs => "blobs",
            Self::Packs => "packs",
            Self::Templates => "templates",
            Self::Clones => "clones",
            Self::Downloads => "downloads",
            Self::Quarantine => "quarantine",
            Self::Staging => "staging",
            Self::Records => "records",
        }
    }

    /// The directory whose entries are each one of these; the rest of the store is records.
    pub fn directory(self) -> Option<&'static str> {
        match self {
            Self::Blobs => Some("blobs/sha256"),
            Self::Packs => Some(Area::Layers.directory()),
            Self::Templates => Some(Area::Templates.directory()),
            Self::Clones => Some(Area::Clones.directory()),
            Self::Downloads => Some("downloads"),
            Self::Quarantine => Some("quarantine"),
            Self::Staging => Some("tmp"),
            Self::Records => None,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that a store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// What kind of thing.
    pub part: Part,
    /// Its file's or directory's name.
    pub name: String,
    /// It, in the survey.
    pub holder: Holder,
}

impl StoreDir {
    /// All that there is in the store, by its kind and its name, and whose the bytes on disk are.
    ///
    /// What comes and goes meanwhile may be there or not.
    pub fn survey(&self) -> Result<(Vec<Content>, Space), Error> {
        let mut survey = Survey::new(self.root())?;
        let mut contents = Vec::new();
        let mut add = |part, name: String, path: &Path| -> Result<(), Error> {
            let holder = survey.add(path)?;
            contents.push(Content { part, name, holder });
            Ok(())
        };
        for part in Part::ALL {
            let Some(directory) = part.directory().map(|directory| self.root().join(directory)) else {
                continue;
            };
            // A store made long ago may not have it.
            if directory.is_dir() {
                for name in list(&directory)? {
                    let path = directory.join(&name);
                    add(part, name, &path)?;
                }
            }
        }
        let known: Vec<PathBuf> =
            Part::ALL.iter().filter_map(|part| Some(self.root().join(part.directory()?))).collect();
        for name in list(self.root())? {
            let path = self.root().join(&name);
            if !known.iter().any(|known| known.starts_with(&path)) {
                add(Part::Records, name, &path)?;
            }
        }
        Ok((contents, survey.finish()))
    }
}
