use std::path::{Path, PathBuf};

use offshoot_store::{Error, StoreDir, new_private_directory, remove_tree, unique, with_causes};

use super::{Probe, ProbeState};

/// A temporary directory on the store's filesystem, removed on drop.
pub(super) struct Place {
    path: PathBuf,
}

impl Place {
    /// In the store if there is one, else where it would be made.
    pub(super) fn find(store: &Path, probes: &mut Vec<Probe>) -> Option<Self> {
        let made = std::path::absolute(store).map_err(Error::io("find", store)).and_then(|store| {
            let is_there = StoreDir::check(&store)?;
            let above = store.ancestors().find(|directory| directory.is_dir()).unwrap_or(Path::new("/"));
            // Not in `tmp/`, where a collection would take it for a dead process's.
            let path = above.join(format!(".offshoot-{}", unique()));
            new_private_directory(&path).map_err(Error::io("write to", above))?;
            let found = if is_there { "" } else { ", which is to be made" };
            Ok((format!("{}{found}", store.display()), Self { path }))
        });
        match made {
            Ok((found, place)) => {
                probes.push(Probe::ok("store", found));
                Some(place)
            }
            Err(error) => {
                let advice = match error {
                    Error::Io { operation: "write to", .. } => {
                        "make it writable, or name another directory with --store"
                    }
                    _ => "no command would use it; name another directory with --store",
                };
                probes.push(Probe::less("store", ProbeState::Unusable, with_causes(&error), advice));
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
        let _ = remove_tree(&self.path);
    }
}
