use std::fs;
use std::path::{Path, PathBuf};

use offshoot_store::{StoreDir, new_private_directory, remove_tree, unique};

use super::{Probe, ProbeState};

/// A temporary directory on the store's filesystem, removed on drop.
pub(super) struct Place {
    path: PathBuf,
}

impl Place {
    /// In the store if there is one, else where it would be made.
    pub(super) fn find(store: &Path, probes: &mut Vec<Probe>) -> Option<Self> {
        let refused = |found: String, advice| Probe::less("store", ProbeState::Unusable, found, advice);
        let Ok(store) = std::path::absolute(store) else {
            probes.push(refused(store.display().to_string(), "name another directory with --store"));
            return None;
        };
        let is_there = store.join("offshoot.json").symlink_metadata().is_ok();
        if is_there && let Err(error) = StoreDir::open(&store) {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text.push_str(&format!(": {error}"));
                cause = error.source();
            }
            probes.push(refused(text, "see 'offshoot verify', or name another directory with --store"));
            return None;
        }
        // Not in `tmp/`, where a collection would take it for a dead process's.
        let above = store.ancestors().find(|directory| directory.is_dir())?;
        let path = above.join(format!(".offshoot-{}", unique()));
        match new_private_directory(&path) {
            Ok(()) => {
                let found = if is_there { "" } else { ", which is to be made" };
                probes.push(Probe::ok("store", format!("{}{found}", store.display())));
                Some(Self { path })
            }
            Err(error) => {
                let found = format!("cannot write to {}: {error}", above.display());
                probes.push(refused(found, "make it writable, or name another directory with --store"));
                None
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if remove_tree(&self.path).is_err() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
