use crate::device::Device;
use crate::features::{Compat, Features};
use crate::grow::{self, Unfinished};
use crate::inspect::{Disk, InspectError, State};

/// What a filesystem is, by its primary superblock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filesystem {
    /// The filesystem's size in bytes.
    pub size_bytes: u64,
    /// The size of what it lies on, in bytes: no less.
    pub device_bytes: u64,
    /// A block, in bytes.
    pub block_bytes: u64,
    /// All blocks.
    pub blocks: u64,
    /// Blocks that nothing uses.
    pub free_blocks: u64,
    /// All inodes.
    pub inodes: u64,
    /// Inodes that nothing uses.
    pub free_inodes: u64,
    /// Block groups.
    pub groups: u64,
    /// The filesystem's UUID.
    pub uuid: [u8; 16],
    /// The volume's name, without the NUL bytes that pad it; it need not be UTF-8.
    pub label: Vec<u8>,
    /// Its features, by the bits of the superblock.
    pub features: Features,
    /// Its condition.
    pub state: State,
    /// Where its journal is.
    pub journal: JournalKind,
    /// The size in bytes to which it can grow with the descriptor blocks that are reserved for that.
    pub growth_limit_bytes: u64,
}

/// Where a filesystem's journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalKind {
    /// It has none.
    None,
    /// In an inode of its own.
    Internal,
    /// On another device.
    External,
}

/// Says what filesystem there is.
///
/// Nothing is written. Whatever the bytes are, little is read: the superblock, and where a journal must be
/// replayed the beginning of it. Ok does not promise that the rest of the filesystem is whole.
pub fn inspect(device: &dyn Device) -> Result<Filesystem, InspectError> {
    let disk = Disk::open(device)?;
    let mut state = State::of(&disk);
    if state == State::NeedsRecovery && !matches!(grow::find(&disk)?, Unfinished::Nothing) {
        state = State::GrowInterrupted;
    }
    let superblock = &disk.superblock;
    let journal = if !disk.features.has_compat(Compat::HAS_JOURNAL) {
        JournalKind::None
    } else if superblock.s_journal_inum.get() == 0 || superblock.s_journal_uuid != [0; 16] {
        JournalKind::External
    } else {
        JournalKind::Internal
    };
    let shape = &disk.shape;
    let name = &superblock.s_volume_name;
    let label = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Filesystem {
        size_bytes: shape.bytes(),
        device_bytes: disk.device_bytes,
        block_bytes: shape.block_bytes,
        blocks: shape.blocks,
        free_blocks: superblock.free_blocks(),
        inodes: superblock.s_inodes_count.get().into(),
        free_inodes: superblock.s_free_inodes_count.get().into(),
        groups: shape.groups,
        uuid: superblock.s_uuid,
        label: label.to_vec(),
        features: disk.features,
        state,
        journal,
        growth_limit_bytes: shape.limit_blocks().saturating_mul(shape.block_bytes),
    })
}
