use crate::device::DeviceError;
use crate::features::Features;
use crate::inspect::{InspectError, State};
use crate::journal::{JournalProblem, LogError};

/// Why a filesystem did not grow. Unless the device failed while it was written, nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrowError {
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// There is no filesystem that could be read, or it is damaged.
    #[error(transparent)]
    Inspect(InspectError),
    /// The size that was asked for is smaller than the filesystem.
    #[error(
        "the filesystem has {filesystem_bytes} bytes: making it {requested_bytes} bytes small would lose data"
    )]
    WouldLoseData {
        /// What it has.
        filesystem_bytes: u64,
        /// What was asked for.
        requested_bytes: u64,
    },
    /// The filesystem is mounted, was not unmounted, or is damaged.
    #[error("the filesystem is {state}; stop its machine and unmount it, or check it with e2fsck, first")]
    NotClean {
        /// Its condition: never [`State::Clean`].
        state: State,
    },
    /// An earlier growth was interrupted: [`finish_grow`](crate::finish_grow) comes first.
    #[error("an earlier growth of the filesystem was interrupted, and must be completed first")]
    Interrupted,
    /// The filesystem has features that this crate does not know, or does not grow: `resize2fs` may.
    #[error("filesystems with {features} are not grown natively; resize2fs may be able to")]
    UnknownFeatures {
        /// Those that stand in the way.
        features: Features,
    },
    /// The filesystem is made in a way that this crate does not grow: `resize2fs` may.
    #[error("filesystems {layout} are not grown natively; resize2fs may be able to")]
    UnknownLayout {
        /// How it is made, to be read after "filesystems".
        layout: &'static str,
    },
    /// The size that was asked for needs more descriptor blocks than were reserved when the filesystem was made.
    #[error("the filesystem can grow to {limit_bytes} bytes at most: it was made with room for no more")]
    PastReservation {
        /// The largest size.
        limit_bytes: u64,
    },
    /// There would be more inodes than can be numbered.
    #[error("the filesystem can grow to {limit_bytes} bytes at most: its inodes could not be numbered")]
    TooManyInodes {
        /// The largest size.
        limit_bytes: u64,
    },
    /// The filesystem's journal cannot make the change safe: grow a copy, and put it in place of this.
    #[error("the filesystem cannot grow in place: an interruption would damage it")]
    NoSafeJournal {
        /// Why not.
        #[source]
        problem: JournalProblem,
    },
    /// The filesystem is not the one that was planned for: somebody else writes to it.
    #[error("the filesystem was changed after its growth was planned")]
    Changed,
}

impl From<InspectError> for GrowError {
    fn from(error: InspectError) -> Self {
        match error {
            InspectError::Device(error) => Self::Device(error),
            error => Self::Inspect(error),
        }
    }
}

impl From<LogError> for GrowError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Device(error) => Self::Device(error),
            LogError::Inspect(error) => error.into(),
            LogError::Problem(problem) => Self::NoSafeJournal { problem },
        }
    }
}

impl From<JournalProblem> for GrowError {
    fn from(problem: JournalProblem) -> Self {
        Self::NoSafeJournal { problem }
    }
}
