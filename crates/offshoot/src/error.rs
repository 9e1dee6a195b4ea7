use std::io;
use std::path::{Path, PathBuf};

use offshoot_oci::ImageName;
use offshoot_store::Digest;

use crate::VmId;
use crate::progress::Cancelled;

/// What can go wrong; [`kind`](Self::kind) says what a caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store itself.
    #[error(transparent)]
    Store(#[from] offshoot_store::Error),
    /// The image, or where it comes from.
    #[error(transparent)]
    Source(#[from] offshoot_oci::Error),
    /// A layer cannot be packed.
    #[error("cannot unpack layer {} of the image{}", index + 1, described(blob.as_ref()))]
    Layer {
        /// Its position, from 0 for the lowest.
        index: usize,
        /// Its blob, where that is known.
        blob: Option<Digest>,
        /// Why not.
        source: offshoot_layer::Error,
    },
    /// A pack in the store cannot be read now; nothing is known of its state.
    #[error("cannot read the pack of layer {diff_id}")]
    PackUnreadable {
        /// The layer.
        diff_id: Digest,
        /// Why not.
        source: offshoot_layer::Error,
    },
    /// A pack in the store is not what was written.
    #[error(
        "the pack of layer {diff_id} is damaged; remove its directory from the store's layers/ and pull again"
    )]
    Pack {
        /// The layer.
        diff_id: Digest,
        /// How.
        source: offshoot_layer::Error,
    },
    /// A layer contradicts those below it.
    #[error("layer {diff_id} does not fit the layers below it")]
    Merge {
        /// The layer.
        diff_id: Digest,
        /// How.
        source: offshoot_tree::MergeError,
    },
    /// The disk cannot be made.
    #[error("cannot make a disk of {image}")]
    Disk {
        /// The image's reference.
        image: String,
        /// Why not.
        source: offshoot_ext4::Error,
    },
    /// A template's directory without its record: nothing of ours leaves such a thing.
    #[error("the template in {} has no record; remove that directory and build again", path.display())]
    TemplateDamaged {
        /// The directory.
        path: PathBuf,
    },
    /// An output without a place to be.
    #[error("{} cannot be written: its directory does not exist, or it names no file", path.display())]
    OutputPlace {
        /// The output.
        path: PathBuf,
    },
    /// An output is never replaced.
    #[error("{} exists already; remove it or name another file", path.display())]
    OutputExists {
        /// The output.
        path: PathBuf,
    },
    /// A clone's id is taken.
    #[error(
        "the clone {vm} exists with another {field}: it has {existing}, asked for was {requested}; release it first or use another id"
    )]
    CloneConflict {
        /// The id.
        vm: VmId,
        /// What differs.
        field: &'static str,
        /// What the clone has.
        existing: String,
        /// What was asked for.
        requested: String,
    },
    /// Somebody else made the clone and released it, or its record is missing.
    #[error(
        "the clone {vm} has no record: it was released just now, or it is damaged; release it and try again"
    )]
    CloneContested {
        /// The id.
        vm: VmId,
    },
    /// Nothing of that name.
    #[error("there is no {what} {name} in the store")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The filesystem under the store has no reflinks.
    #[error(
        "the filesystem of {} cannot share blocks (reflink); use --strategy copy, or a store on XFS or btrfs", path.display()
    )]
    NoReflink {
        /// What was to be cloned.
        path: PathBuf,
    },
    /// The image has no canonical name: its path is not UTF-8, or has a colon, or the current directory is gone.
    #[error("the image {image} cannot be named in the store")]
    ImageName {
        /// As it was asked for.
        image: String,
        /// Why not.
        source: io::Error,
    },
    /// A value has no JSON form.
    #[error("cannot encode a derivation")]
    Encode(#[source] serde_json::Error),
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
}

/// What a caller can do about an [`Error`].
///
/// ```
/// # use offshoot::*;
/// # let directory = tempfile::tempdir()?;
/// let store = Store::open(&directory.path().join("store"))?;
/// let error = store.inspect("nothing-of-that-name").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something failed.
    Failure,
    /// It was asked for in a way that cannot be meant.
    Usage,
    /// What was asked for is not there.
    NotFound,
    /// It is in use, or made from something else, or in the way.
    Conflict,
    /// It is not what its digest or its format says.
    Integrity,
    /// The disk is full.
    NoSpace,
    /// This host or this version cannot do it.
    Unsupported,
    /// The operation was cancelled.
    Interrupted,
}

impl Error {
    pub(crate) fn image_name(image: &ImageName) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::ImageName { image: image.to_string(), source }
    }

    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_owned(), source }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        if let Some(kind) = self.system_kind() {
            return kind;
        }
        match self {
            Self::Source(error) => match error.kind() {
                offshoot_oci::ErrorKind::NotFound => ErrorKind::NotFound,
                offshoot_oci::ErrorKind::Integrity => ErrorKind::Integrity,
                offshoot_oci::ErrorKind::Unsupported => ErrorKind::Unsupported,
                offshoot_oci::ErrorKind::Usage => ErrorKind::Usage,
                _ => ErrorKind::Failure,
            },
            Self::Layer { source, .. } | Self::Pack { source, .. } | Self::PackUnreadable { source, .. } => {
                match source {
                    offshoot_layer::Error::Read(_) | offshoot_layer::Error::Host { .. } => ErrorKind::Failure,
                    offshoot_layer::Error::UnsupportedCompression(_) => ErrorKind::Unsupported,
                    _ => ErrorKind::Integrity,
                }
            }
            Self::Merge { .. } | Self::TemplateDamaged { .. } => ErrorKind::Integrity,
            Self::Store(error) => match error {
                offshoot_store::Error::Record { .. } | offshoot_store::Error::Blob { .. } => {
                    ErrorKind::Integrity
                }
                offshoot_store::Error::Format { .. } => ErrorKind::Unsupported,
                offshoot_store::Error::NotAStore { .. } => ErrorKind::Conflict,
                _ => ErrorKind::Failure,
            },
            Self::OutputExists { .. } | Self::CloneConflict { .. } | Self::CloneContested { .. } => {
                ErrorKind::Conflict
            }
            Self::NotFound { .. } | Self::OutputPlace { .. } => ErrorKind::NotFound,
            Self::NoReflink { .. } => ErrorKind::Unsupported,
            Self::ImageName { source, .. } if source.kind() == io::ErrorKind::InvalidInput => {
                ErrorKind::Usage
            }
            Self::Disk { .. } | Self::ImageName { .. } | Self::Encode(_) | Self::Io { .. } => {
                ErrorKind::Failure
            }
        }
    }

    /// A full disk and an interruption come up wherever there is I/O.
    fn system_kind(&self) -> Option<ErrorKind> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                    return Some(ErrorKind::NoSpace);
                }
                if matches!(error.get_ref(), Some(inner) if inner.is::<Cancelled>()) {
                    return Some(ErrorKind::Interrupted);
                }
            }
            next = error.source();
        }
        None
    }
}

fn described(blob: Option<&Digest>) -> String {
    blob.map(|blob| format!(" (blob {blob})")).unwrap_or_default()
}
