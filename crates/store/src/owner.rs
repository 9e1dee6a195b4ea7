use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::lock::{self, Locked};
use crate::{Error, StoreDir, new_private_file, reserve, staging};

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

/// One of the sessions of an open store, which none other ever is: its owner's id, and a number.
///
/// ```
/// let session: offshoot_store::SessionId = "1f-2e-0.3".to_owned().try_into()?;
/// assert_eq!(session.owner().to_string(), "1f-2e-0");
/// # Ok::<(), offshoot_store::OwnerIdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId {
    owner: OwnerId,
    /// As it was written; none in what was written before sessions were told apart.
    number: Option<String>,
}

impl SessionId {
    /// Whose it is.
    pub fn owner(&self) -> &OwnerId {
        &self.owner
    }
}

impl TryFrom<String> for SessionId {
    type Error = OwnerIdError;

    fn try_from(text: String) -> Result<Self, OwnerIdError> {
        let Some((owner, number)) = text.split_once('.') else {
            return Ok(Self { owner: text.try_into()?, number: None });
        };
        let good = !number.is_empty()
            && number.len() <= MAX_BYTES
            && number.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = good.then(|| number.to_owned()).ok_or(OwnerIdError)?;
        Ok(Self { owner: owner.to_owned().try_into()?, number: Some(number) })
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        match id.number {
            Some(number) => format!("{}.{number}", id.owner),
            None => id.owner.into(),
        }
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
    _locked: Locked,
    next: AtomicU64,
}

impl Owner {
    pub(crate) fn new(root: &Path) -> Result<Self, Error> {
        loop {
            let id = OwnerId(staging::unique());
            let path = root.join(OWNERS).join(&id.0);
            let file = reserve::with(root, || new_private_file(&path)).map_err(Error::io("create", &path))?;
            let locked = Locked::new(file, FlockOperation::LockExclusive, &path)?;
            // Between the two, a collection may have taken it for a dead one's.
            if let Some(locked) = lock::at(locked, &path)? {
                reserve::keep(root);
                return Ok(Self { id, path, _locked: locked, next: AtomicU64::new(0) });
            }
        }
    }

    pub(crate) fn id(&self) -> &OwnerId {
        &self.id
    }

    /// A name in `tmp/` that nobody else draws.
    pub(crate) fn next_name(&self) -> String {
        format!("{}.{}", self.id, self.next_number())
    }

    fn next_number(&self) -> String {
        format!("{:x}", self.next.fetch_add(1, Ordering::Relaxed))
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

    /// A session of this open store that no other is.
    pub fn new_session(&self) -> Result<SessionId, Error> {
        let owner = self.as_owner()?;
        Ok(SessionId { owner: owner.id().clone(), number: Some(owner.next_number()) })
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

    #[test]
    fn a_session_is_an_owner_and_a_number() {
        for (text, owner) in [
            ("1f-2e-0.3", Some("1f-2e-0")),
            ("1f-2e-0", Some("1f-2e-0")),
            ("1f-2e-0.", None),
            (".3", None),
            ("1f.3.4", None),
            ("1f.../x", None),
            ("", None),
            (&format!("1f.{}", "0".repeat(97)), None),
        ] {
            let session = SessionId::try_from(text.to_owned());
            assert_eq!(session.as_ref().ok().map(|session| session.owner().0.as_str()), owner, "{text:?}");
            assert!(session.is_err() || String::from(session.unwrap()) == text, "{text:?}");
        }
    }
}
