use std::fmt;

use crate::features::{Incompat, RoCompat};
use crate::inspect::Disk;
use crate::superblock::{STATE_ERROR, STATE_ORPHAN, STATE_VALID};

/// What a filesystem's superblock says of its condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Cleanly unmounted.
    Clean,
    /// Its journal must be replayed: it is mounted, or a machine was stopped while it was.
    NeedsRecovery,
    /// A growth of ours was interrupted: [`finish_grow`](crate::finish_grow) completes it.
    GrowInterrupted,
    /// A kernel found it damaged.
    Errors,
    /// Not cleanly unmounted, and there is no journal that says so: it is mounted, or was when its machine
    /// stopped.
    NotClean,
    /// Files without a name are still to be removed.
    Orphans,
}

impl State {
    /// What the superblock alone says: never that a growth was interrupted.
    pub(crate) fn of(disk: &Disk<'_>) -> Self {
        let superblock = &disk.superblock;
        let state = superblock.s_state.get();
        if disk.features.has_incompat(Incompat::RECOVER) {
            Self::NeedsRecovery
        } else if state & STATE_ERROR != 0 {
            Self::Errors
        } else if state & STATE_VALID == 0 {
            Self::NotClean
        } else if state & STATE_ORPHAN != 0
            || superblock.s_last_orphan.get() != 0
            || disk.features.has_ro_compat(RoCompat::ORPHAN_PRESENT)
        {
            Self::Orphans
        } else {
            Self::Clean
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clean => "clean",
            Self::NeedsRecovery => "mounted, or not unmounted: its journal must be replayed",
            Self::GrowInterrupted => "an interrupted growth, which the same command completes",
            Self::Errors => "damaged, as a kernel found",
            Self::NotClean => "mounted, or not cleanly unmounted",
            Self::Orphans => "with files that are still to be removed",
        })
    }
}
