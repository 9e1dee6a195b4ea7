use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::{Error, StoreDir, lock, new_private_file, reserve, staging};

pub(crate) const OWNERS: &str = "owners";

/// The most bytes of an [`OwnerId`].
const MAX_BYTES: usize = 96;

/// Whose something is that is being made, or that is to go with its maker: an open store, in one process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OwnerId(String);

/// A text that no open store draws for its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an owner's id is hexadecimal digits and hyphens")]
pub struct OwnerIdError;

impl TryFrom<String> for OwnerId {
    type Error = OwnerIdError;

    fn try_from(text: String) -> Result<Self, OwnerIdError> {
        let known = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
        let good = !text.is_empty() && text.len() <= MAX_BYTES && text.bytes().all(known);
        if good { Ok(Self(text)) } else { Err(OwnerIdError) }
    }
}

impl From<OwnerId> for String {
    fn from(id: OwnerId) -> Self {
        id.0
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An open store that makes something: a file with a lock, which the kernel drops with the process.
///
/// One lock is enough for all that it makes, since the names of what it makes begin with its own: nothing has to be
/// locked while it is being made, and nothing can be seen before it is locked.
#[derive(Debug)]
pub(crate) struct Owner {
    id: OwnerId,
    path: PathBuf,
    _file: File,
    next: AtomicU64,
}

impl Owner {
    pub(crate) fn new(root: &Path) -> Result<Self, Error> {
        loop {
            let id = OwnerId(staging::unique());
            let path = root.join(OWNERS).join(&id.0);
            let file = reserve::with(root, || new_private_file(&path)).map_err(Error::io("create", &path))?;
            lock::flock(&file, FlockOperation::LockExclusive, &path)?;
            // Between the two, a collection may have taken it for a dead one's.
            if lock::is_at(&file, &path)? {
                reserve::keep(root);
                return Ok(Self { id, path, _file: file, next: AtomicU64::new(0) });
            }
        }
    }

    pub(crate) fn id(&self) -> &OwnerId {
        &self.id
    }

    /// A name in `tmp/` that nobody else draws.
    pub(crate) fn next_name(&self) -> String {
        format!("{}.{:x}", self.id, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl StoreDir {
    /// Who this is, for as long as this store is open in this process.
    pub fn owner(&self) -> Result<&OwnerId, Error> {
        Ok(self.as_owner()?.id())
    }

    /// Whether an owner's process is there and has its store open; if not, it never will be again.
    pub fn is_alive(&self, owner: &OwnerId) -> Result<bool, Error> {
        Ok(!lock::is_free(&self.root().join(OWNERS).join(&owner.0))?)
    }

    /// Whose a name in `tmp/` is; nobody's where it is not of the form that owners give.
    pub(crate) fn owner_of(name: &str) -> Option<OwnerId> {
        name.split_once('.')?.0.to_owned().try_into().ok()
    }
}

/// Removes a file or a directory, whichever it is.
pub(crate) fn remove_any(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(crate::remove_tree(path)?),
        removed => removed.map_err(Error::io("remove", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_no_path() {
        for (text, good) in [
            ("1f-2e-0", true),
            ("", false),
            ("..", false),
            ("../../x", false),
            ("1f.0", false),
            ("a/b", false),
            (&"a".repeat(97), false),
        ] {
            assert_eq!(OwnerId::try_from(text.to_owned()).is_ok(), good, "{text:?}");
        }
    }
}
