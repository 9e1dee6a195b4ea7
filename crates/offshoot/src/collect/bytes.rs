//! What removing something gives back to the filesystem, given what stays.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use offshoot_store::{Content, Holder, Space};

use super::plan::CollectionEntry;
use crate::{Error, Store};

/// Whose the bytes of a store are, by the paths of its parts; by default of an empty one.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    holders: HashMap<PathBuf, Holder>,
    space: Option<Space>,
    alone: Vec<u64>,
}

impl Bytes {
    pub(super) fn of(store: &Store) -> Result<Self, Error> {
        let (contents, space) = store.directory.survey()?;
        let path = |content: &Content| Some(store.path().join(content.part.directory()?).join(&content.name));
        let holders = contents.iter().filter_map(|content| Some((path(content)?, content.holder))).collect();
        let alone = space.freed_alone();
        Ok(Self { holders, space: Some(space), alone })
    }

    /// How many bytes one path frees if all else stays.
    pub(super) fn alone(&self, path: &Path) -> u64 {
        match self.holders.get(path) {
            Some(holder) => self.alone.get(holder.index()).copied().unwrap_or(0),
            None => small(path),
        }
    }

    /// How many bytes these free together.
    pub(super) fn together<'a>(&self, paths: impl IntoIterator<Item = &'a Path>) -> u64 {
        let mut chosen = vec![false; self.alone.len()];
        let mut bytes = 0;
        for path in paths {
            match self.holders.get(path).and_then(|holder| chosen.get_mut(holder.index())) {
                Some(chosen) => *chosen = true,
                None => bytes += small(path),
            }
        }
        let is_chosen = |holder: Holder| chosen.get(holder.index()).copied().unwrap_or(false);
        bytes + self.space.as_ref().map_or(0, |space| space.freed(is_chosen))
    }

    /// The same of entries of a plan.
    pub(super) fn of_entries<'a>(&self, entries: impl IntoIterator<Item = &'a CollectionEntry>) -> u64 {
        self.together(entries.into_iter().map(|entry| entry.path.as_path()))
    }
}

/// Of a record or a lock, which shares its block with nobody; what came after the survey is not counted.
fn small(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.nlink() == 1 => metadata.blocks() * 512,
        _ => 0,
    }
}
