use std::io;
use std::path::{Path, PathBuf};

use crate::store_dir::FORMAT_FILE;
use crate::{Area, RemoveError, VerifyError};

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something in the store cannot be removed.
    #[error(transparent)]
    Remove(#[from] RemoveError),
    /// A directory that holds something else than a store.
    #[error("{} is not an offshoot store and not empty; name another directory with --store", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// Something else than a directory where the store, or a directory above it, should be.
    #[error("{} is not a directory; name another place for the store with --store", path.display())]
    NotADirectory {
        /// What it is.
        path: PathBuf,
    },
    /// A store that this version must not touch.
    #[error("the store {} has format {found}, which this version does not know; use a newer offshoot", path.display())]
    Format {
        /// The store.
        path: PathBuf,
        /// Its format and the features that are not known.
        found: String,
    },
    /// A store of somebody else's.
    #[error("the store {} belongs to user {owner}, not to you; name another directory with --store", path.display())]
    Owner {
        /// The store.
        path: PathBuf,
        /// The owner's id.
        owner: u32,
    },
    /// A record that cannot be read as what it must be.
    #[error("the record {} cannot be understood; {}", path.display(), remedy(path))]
    Record {
        /// The record's file.
        path: PathBuf,
        /// What its reader says.
        source: serde_json::Error,
    },
    /// A record that is not as it was written.
    #[error("the record {} has changed: its checksum does not match; {}", path.display(), remedy(path))]
    RecordChanged {
        /// The record's file.
        path: PathBuf,
    },
    /// Something else where a file of the store's should be.
    #[error("{} is not a file; what put it there has to go, and 'offshoot verify' says what is missing then", path.display())]
    NotAFile {
        /// What it is.
        path: PathBuf,
    },
    /// A file of somebody else's in the store.
    #[error("{} in the store belongs to user {owner}, not to you; give it back with chown, or remove it", path.display())]
    FileOwner {
        /// The file.
        path: PathBuf,
        /// The owner's id.
        owner: u32,
    },
    /// A store that others can change.
    #[error("the store {} can be changed by other users, since {} has mode {mode:04o}; run chmod go-w on it, or use another store", path.display(), writable.display())]
    Exposed {
        /// The store.
        path: PathBuf,
        /// What others can write: the store, or a directory above it.
        writable: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A blob that is not what its name says.
    #[error("the blob {} is not what its name says", path.display())]
    Blob {
        /// The blob's file.
        path: PathBuf,
        /// How.
        source: VerifyError,
    },
}

impl Error {
    /// What it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Remove(error) => &error.path,
            Self::Io { path, .. }
            | Self::NotAStore { path }
            | Self::NotADirectory { path }
            | Self::Format { path, .. }
            | Self::Owner { path, .. }
            | Self::Record { path, .. }
            | Self::RecordChanged { path }
            | Self::NotAFile { path }
            | Self::FileOwner { path, .. }
            | Self::Exposed { path, .. }
            | Self::Blob { path, .. } => path,
        }
    }

    /// For `map_err`: what was tried, and on what.
    pub fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_owned(), source }
    }

    pub(crate) fn errno(operation: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |source| Self::Io { operation, path: path.to_owned(), source: source.into() }
    }
}

/// What can be done about a record that cannot be read.
fn remedy(path: &Path) -> String {
    let is_of_clone = path.ancestors().nth(2).is_some_and(|area| area.ends_with(Area::Clones.directory()));
    if path.ends_with(FORMAT_FILE) {
        "without it nobody can tell what the store is: put back what it held".to_owned()
    } else if is_of_clone {
        "release the clone and make it again".to_owned()
    } else {
        "'offshoot verify' says what can be done".to_owned()
    }
}
