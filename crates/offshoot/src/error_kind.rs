use std::io;

use crate::progress::Cancelled;
use crate::{Error, Resize2fsError, growth};

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
    /// A registry wants credentials, or others.
    Authentication,
    /// This host or this version cannot do it.
    Unsupported,
    /// The operation was cancelled.
    Interrupted,
}

impl Error {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        if let Some(kind) = self.system_kind() {
            return kind;
        }
        match self {
            Self::Source(error) => source_kind(error),
            Self::Layer { source, .. } | Self::Pack { source, .. } | Self::PackUnreadable { source, .. } => {
                match source {
                    offshoot_layer::Error::Read(_) | offshoot_layer::Error::Host { .. } => ErrorKind::Failure,
                    offshoot_layer::Error::UnsupportedCompression(_) => ErrorKind::Unsupported,
                    _ => ErrorKind::Integrity,
                }
            }
            Self::SourceChanged { .. }
            | Self::NoSource { .. }
            | Self::OtherTemplate { .. }
            | Self::TemplateRecord { .. }
            | Self::Merge { .. }
            | Self::NoRecord { .. } => ErrorKind::Integrity,
            Self::Store(error) => match error {
                offshoot_store::Error::Record { .. }
                | offshoot_store::Error::RecordChanged { .. }
                | offshoot_store::Error::NotAFile { .. }
                | offshoot_store::Error::Blob { .. } => ErrorKind::Integrity,
                offshoot_store::Error::Format { .. } => ErrorKind::Unsupported,
                offshoot_store::Error::NotAStore { .. } | offshoot_store::Error::NotADirectory { .. } => {
                    ErrorKind::Conflict
                }
                _ => ErrorKind::Failure,
            },
            Self::OutputExists { .. }
            | Self::CloneConflict { .. }
            | Self::CloneContested { .. }
            | Self::CloneTaken { .. }
            | Self::InUse { .. }
            | Self::ReadOnlyDisk { .. }
            | Self::Shrink { .. }
            | Self::UnfinishedGrowth { .. }
            | Self::StoodOn { .. }
            | Self::TemplateInUse { .. }
            | Self::FileChanged { .. } => ErrorKind::Conflict,
            Self::TemplateDamaged { .. }
            | Self::CloneDamaged { .. }
            | Self::NotTheBlob { .. }
            | Self::LargeBlob { .. } => ErrorKind::Integrity,
            Self::NotFound { .. }
            | Self::NoPack { .. }
            | Self::NoFile { .. }
            | Self::NotPulled { .. }
            | Self::OutputPlace { .. }
            | Self::NothingToImport { .. } => ErrorKind::NotFound,
            Self::HardlinkWritable
            | Self::StrategyExcludes { .. }
            | Self::DirectoryExcludes { .. }
            | Self::NoDisk { .. }
            | Self::NotAFile { .. }
            | Self::NotAName { .. } => ErrorKind::Usage,
            Self::Resize2fs { source: Resize2fsError::Interrupted, .. } => ErrorKind::Interrupted,
            Self::NoReflink { .. }
            | Self::NoHardlink { .. }
            | Self::BadReflink { .. }
            | Self::NotBuilt { .. }
            | Self::Resize2fs { .. } => ErrorKind::Unsupported,
            Self::Growth { source, .. } => growth::error_kind(source),
            Self::Filesystem { source, .. } => growth::inspect_kind(source),
            Self::SetUuid { source, .. } => growth::uuid_kind(source),
            Self::NotClean { .. } => ErrorKind::Conflict,
            Self::Unpack { source, .. } => match source {
                offshoot_unpack::Error::Cancelled => ErrorKind::Interrupted,
                offshoot_unpack::Error::NotEmpty => ErrorKind::Conflict,
                offshoot_unpack::Error::Unrepresentable { .. } | offshoot_unpack::Error::NameTaken { .. } => {
                    ErrorKind::Unsupported
                }
                _ => ErrorKind::Failure,
            },
            Self::Overlay { .. } | Self::Random(_) => ErrorKind::Failure,
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
                if let Some(inner) = error.get_ref() {
                    if inner.is::<Cancelled>() {
                        return Some(ErrorKind::Interrupted);
                    }
                    // A layer's stream can fail in all the ways of its source.
                    if let Some(error) = inner.downcast_ref::<offshoot_oci::Error>() {
                        return Some(source_kind(error));
                    }
                }
            }
            next = error.source();
        }
        None
    }
}

fn source_kind(error: &offshoot_oci::Error) -> ErrorKind {
    match error.kind() {
        offshoot_oci::ErrorKind::NotFound => ErrorKind::NotFound,
        offshoot_oci::ErrorKind::Integrity => ErrorKind::Integrity,
        offshoot_oci::ErrorKind::Unsupported => ErrorKind::Unsupported,
        offshoot_oci::ErrorKind::Usage => ErrorKind::Usage,
        offshoot_oci::ErrorKind::Authentication => ErrorKind::Authentication,
        offshoot_oci::ErrorKind::Interrupted => ErrorKind::Interrupted,
        _ => ErrorKind::Failure,
    }
}
