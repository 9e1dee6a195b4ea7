//! How a filesystem of some size is divided into block groups.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a geometry has at most 2^32 blocks, so sums and products of its numbers stay below 2^48"
)]

use crate::{inode, journal};

/// Blocks in a group: as many as a bitmap has bits.
pub(crate) const GROUP_BLOCKS: u64 = 32768;
/// The largest filesystem: the reserved descriptors' block numbers have 32 bits.
pub(crate) const MAX_BLOCKS: u64 = 1 << 32;
/// Descriptors in a block.
pub(crate) const DESCRIPTORS_PER_BLOCK: u64 = 64;

/// Blocks for descriptors that are reserved from the start, in use or not: 512 GiB.
const MIN_DESCRIPTOR_BLOCKS: u64 = 64;
/// As many as a block of the resize inode can name.
const MAX_RESERVED: u64 = 1024;
/// A group has room for so many inodes: bits of its bitmap.
const MAX_INODES_PER_GROUP: u64 = 32768;
/// One inode for so many blocks: 16 KiB.
const BLOCKS_PER_INODE: u64 = 4;
/// What a last group must have besides its own metadata, as mke2fs wants it.
pub(crate) const MIN_TAIL: u64 = 50;

/// Numbers of a filesystem that follow from its size and how many inodes it must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// All blocks.
    pub(crate) blocks: u64,
    pub(crate) groups: u64,
    pub(crate) inodes_per_group: u64,
    /// Blocks of descriptors in use, and reserved for growth.
    pub(crate) descriptor_blocks: u64,
    pub(crate) reserved_blocks: u64,
    /// Zero without a journal.
    pub(crate) journal_blocks: u64,
}

impl Geometry {
    /// Divides so many blocks; a last group too small to be of use is left out. There may be fewer inodes
    /// than asked for, and metadata may not fit: the caller sees to both.
    pub(crate) fn new(blocks: u64, inodes: u64, has_journal: bool) -> Self {
        let whole = Self::divide(blocks, inodes, has_journal);
        let tail = blocks % GROUP_BLOCKS;
        if whole.groups > 1 && tail != 0 && tail < whole.min_tail() {
            return Self::divide(blocks - tail, inodes, has_journal);
        }
        whole
    }

    fn divide(blocks: u64, inodes: u64, has_journal: bool) -> Self {
        let groups = blocks.div_ceil(GROUP_BLOCKS).max(1);
        let descriptor_blocks = groups.div_ceil(DESCRIPTORS_PER_BLOCK);
        let usual = if groups == 1 { blocks } else { GROUP_BLOCKS }.div_ceil(BLOCKS_PER_INODE);
        let per_block = inode::PER_BLOCK;
        // Inode numbers have 32 bits.
        let most = (u64::from(u32::MAX) / groups / per_block * per_block).min(MAX_INODES_PER_GROUP);
        let inodes_per_group = usual.max(inodes.div_ceil(groups)).clamp(1, most).next_multiple_of(per_block);
        Self {
            blocks,
            groups,
            inodes_per_group,
            descriptor_blocks,
            reserved_blocks: (descriptor_blocks * 4)
                .max(MIN_DESCRIPTOR_BLOCKS)
                .saturating_sub(descriptor_blocks)
                .min(MAX_RESERVED),
            journal_blocks: if has_journal { journal::default_blocks(blocks) } else { 0 },
        }
    }

    /// The fewest blocks that the last group may have.
    pub(crate) fn min_tail(&self) -> u64 {
        let base = if has_superblock(self.groups - 1) { self.base_blocks() } else { 0 };
        base + 2 + self.inode_table_blocks() + MIN_TAIL
    }

    /// The fewest blocks at which there is one more group than here.
    pub(crate) fn blocks_with_another_group(&self, inodes: u64) -> u64 {
        let whole = self.groups * GROUP_BLOCKS;
        whole + Self::divide(whole + 1, inodes, false).min_tail()
    }

    /// All inodes, the reserved ones included.
    pub(crate) fn inodes(&self) -> u64 {
        self.groups * self.inodes_per_group
    }

    /// Blocks of a group's inode table.
    pub(crate) fn inode_table_blocks(&self) -> u64 {
        self.inodes_per_group / inode::PER_BLOCK
    }

    /// Blocks of a superblock, its descriptors and the reserved ones.
    pub(crate) fn base_blocks(&self) -> u64 {
        1 + self.descriptor_blocks + self.reserved_blocks
    }

    /// How many blocks a group has: all but the last have the same.
    pub(crate) fn group_blocks(&self, group: u64) -> u64 {
        self.blocks.saturating_sub(group * GROUP_BLOCKS).min(GROUP_BLOCKS)
    }

    /// The groups with a backup of the superblock and the descriptors, ascending: 1 and the powers of 3, 5
    /// and 7 (`sparse_super`).
    pub(crate) fn backup_groups(&self) -> impl Iterator<Item = u64> + use<> {
        backup_groups(self.groups)
    }

    /// Blocks that no file can ever use: the base of every group, bitmaps, inode tables, the journal.
    pub(crate) fn overhead_blocks(&self) -> u64 {
        let bases = 1 + u64::try_from(self.backup_groups().count()).unwrap_or_default();
        bases * self.base_blocks() + self.groups * (2 + self.inode_table_blocks()) + self.journal_blocks
    }
}

/// Those of so many groups (fewer than 2³²) that have a backup with `sparse_super`, ascending.
pub(crate) fn backup_groups(groups: u64) -> impl Iterator<Item = u64> + use<> {
    let (mut three, mut five, mut seven) = (1, 5, 7);
    std::iter::from_fn(move || {
        let next = three.min(five).min(seven);
        for (power, base) in [(&mut three, 3), (&mut five, 5), (&mut seven, 7)] {
            if *power == next {
                *power *= base;
            }
        }
        (next < groups).then_some(next)
    })
}

/// Whether a group has a superblock with `sparse_super`.
pub(crate) fn has_superblock(group: u64) -> bool {
    let is_power = |base: u64| {
        let mut power = base;
        while power < group {
            power *= base;
        }
        power == group
    };
    group <= 1 || is_power(3) || is_power(5) || is_power(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_are_at_powers_of_3_5_and_7() {
        let groups =
            |count: u64| Geometry::new(count * GROUP_BLOCKS, 0, true).backup_groups().collect::<Vec<_>>();
        assert_eq!(groups(1), []);
        assert_eq!(groups(130), [1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
        for group in 1..1000 {
            assert_eq!(has_superblock(group), groups(1000).contains(&group), "{group}");
        }
    }

    #[test]
    fn growth_is_reserved() {
        for (gib, descriptor_blocks, reserved) in
            [(1, 1, 63), (10, 2, 62), (512, 64, 192), (2048, 256, 768), (16384, 2048, 1024)]
        {
            let geometry = Geometry::new(gib << 18, 0, true);
            assert_eq!((geometry.descriptor_blocks, geometry.reserved_blocks), (descriptor_blocks, reserved));
        }
    }

    #[test]
    fn small_last_groups_are_left_out() {
        let usual = Geometry::new(2 * GROUP_BLOCKS + 10, 0, true);
        assert_eq!((usual.groups, usual.blocks), (2, 2 * GROUP_BLOCKS));
        let enough = 2 * GROUP_BLOCKS + 2 + 512 + MIN_TAIL;
        assert_eq!(Geometry::new(enough, 0, true).blocks, enough);
        assert_eq!(Geometry::new(enough - 1, 0, true).groups, 2);
    }
}
