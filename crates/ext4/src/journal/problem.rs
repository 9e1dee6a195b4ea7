/// Why a filesystem's journal cannot carry a change that must not happen by halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalProblem {
    /// The filesystem has no journal.
    #[error("the filesystem has no journal")]
    Missing,
    /// The journal is a device of its own.
    #[error("the journal is on another device")]
    External,
    /// The journal is not one file of extents without holes, as mke2fs makes it.
    #[error("the journal does not lie where it can be written to")]
    Scattered,
    /// Something in the journal's superblock cannot be.
    #[error("the journal is damaged: {part} cannot be right")]
    Damaged {
        /// What.
        part: &'static str,
    },
    /// A kernel gave the journal up.
    #[error("the journal was aborted after an error")]
    Aborted,
    /// Features of the journal that are not known here, or are not used.
    #[error("the journal has features that are not known (compat {compat:#x}, incompat {incompat:#x})")]
    Features {
        /// Those of `s_feature_compat` and of `s_feature_ro_compat`.
        compat: u32,
        /// Those of `s_feature_incompat`.
        incompat: u32,
    },
    /// The filesystem has more blocks than the journal can number.
    #[error("the journal has no room for block numbers of more than 32 bits")]
    NarrowTags,
    /// The change is larger than the journal.
    #[error("the journal has room for {has_blocks} blocks, but {needed_blocks} are needed")]
    TooSmall {
        /// What the change needs.
        needed_blocks: u64,
        /// What the journal has.
        has_blocks: u64,
    },
}
