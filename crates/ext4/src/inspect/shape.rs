//! The numbers of a filesystem on disk, checked against each other and the device before anything is done
//! with them: a guest may have written any of them.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a shape has at most 2^32 blocks of at most 2^16 bytes, so sums and products of its numbers fit"
)]

use crate::features::{Features, Incompat, RoCompat};
use crate::geometry::{self, MAX_BLOCKS, MIN_TAIL};
use crate::group_descriptor;
use crate::inspect::InspectError;
use crate::superblock::{MAGIC, REVISION_DYNAMIC, Superblock};

/// A filesystem's sizes and how it is divided. All counts are at least one where zero would make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// 1, 2, … 64 KiB.
    pub(crate) block_bytes: u64,
    /// All blocks, at most 2³².
    pub(crate) blocks: u64,
    /// Where the first group starts: 1 with blocks of 1 KiB, whose first block has no superblock.
    pub(crate) first_block: u64,
    pub(crate) blocks_per_group: u64,
    pub(crate) groups: u64,
    pub(crate) inodes_per_group: u64,
    /// Bytes of an inode, a power of two from 128 on, at most a block.
    pub(crate) inode_bytes: u64,
    /// Bytes of a group descriptor: 32, or a power of two from 64 on.
    pub(crate) descriptor_bytes: u64,
    /// Blocks of descriptors in use, and reserved for growth.
    pub(crate) descriptor_blocks: u64,
    pub(crate) reserved_blocks: u64,
}

impl Shape {
    /// The shape that a superblock tells, on a device of so many bytes.
    pub(crate) fn of(superblock: &Superblock, device_bytes: u64) -> Result<Self, InspectError> {
        let features = Features::of(superblock);
        if superblock.s_magic.get() != MAGIC || features.has_incompat(Incompat::JOURNAL_DEV) {
            return Err(InspectError::NotExt4);
        }
        let holds = |holds: bool, part| if holds { Ok(()) } else { Err(InspectError::damaged(part)) };
        holds(superblock.s_rev_level.get() == REVISION_DYNAMIC, "its revision")?;
        let log_block_size = superblock.s_log_block_size.get();
        holds(log_block_size <= 6, "the size of a block")?;
        let block_bytes = 1024u64 << log_block_size;
        let wide = features.has_incompat(Incompat::SIXTY_FOUR_BIT);
        let blocks = superblock.blocks();
        let first_block = u64::from(superblock.s_first_data_block.get());
        // With clusters of blocks of 1 KiB there is a first block all the same.
        let bigalloc = features.has_ro_compat(RoCompat::BIGALLOC);
        let usual = first_block == u64::from(log_block_size == 0) || bigalloc && first_block == 0;
        holds(usual && blocks > first_block, "the number of blocks")?;
        let filesystem_bytes = blocks.saturating_mul(block_bytes);
        if filesystem_bytes > device_bytes {
            return Err(InspectError::Truncated { filesystem_bytes, device_bytes });
        }
        holds(blocks <= MAX_BLOCKS, "the number of blocks")?;
        let blocks_per_group = u64::from(superblock.s_blocks_per_group.get());
        holds(blocks_per_group >= 8, "the number of blocks in a group")?;
        let groups = (blocks - first_block).div_ceil(blocks_per_group);
        let inodes_per_group = u64::from(superblock.s_inodes_per_group.get());
        holds((1..=8 * block_bytes).contains(&inodes_per_group), "the number of inodes in a group")?;
        let inodes = u64::from(superblock.s_inodes_count.get());
        holds(inodes == groups.saturating_mul(inodes_per_group), "the number of inodes")?;
        let inode_bytes = u64::from(superblock.s_inode_size.get());
        let usual = inode_bytes.is_power_of_two() && (128..=block_bytes).contains(&inode_bytes);
        holds(usual, "the size of an inode")?;
        let descriptor_bytes = match u64::from(superblock.s_desc_size.get()) {
            size if wide => size,
            _ => u64::try_from(group_descriptor::SHORT_SIZE).unwrap_or(0),
        };
        let usual = descriptor_bytes == 32 && !wide
            || descriptor_bytes.is_power_of_two() && (64..=1024).contains(&descriptor_bytes);
        holds(usual, "the size of a group descriptor")?;
        let reserved_blocks = u64::from(superblock.s_reserved_gdt_blocks.get());
        holds(reserved_blocks <= block_bytes / 4, "the number of reserved descriptor blocks")?;
        Ok(Self {
            block_bytes,
            blocks,
            first_block,
            blocks_per_group,
            groups,
            inodes_per_group,
            inode_bytes,
            descriptor_bytes,
            descriptor_blocks: groups.div_ceil(block_bytes / descriptor_bytes),
            reserved_blocks,
        })
    }

    /// The same filesystem with more blocks: reserved descriptor blocks come into use.
    ///
    /// A last group that is new and too small to be of use is left out. There may be more descriptor blocks
    /// than were reserved: the caller sees to that.
    pub(crate) fn grown(&self, blocks: u64) -> Self {
        let whole = self.with_blocks(blocks);
        let tail = (blocks - self.first_block) % self.blocks_per_group;
        if whole.groups > self.groups && tail != 0 && tail < whole.min_tail() {
            return self.with_blocks(blocks - tail);
        }
        whole
    }

    fn with_blocks(&self, blocks: u64) -> Self {
        let groups = (blocks - self.first_block).div_ceil(self.blocks_per_group);
        let descriptor_blocks = groups.div_ceil(self.descriptors_per_block());
        let taken = descriptor_blocks - self.descriptor_blocks;
        let reserved_blocks = self.reserved_blocks.saturating_sub(taken);
        Self { blocks, groups, descriptor_blocks, reserved_blocks, ..*self }
    }

    /// The fewest blocks that a last group may have, as mke2fs wants it.
    fn min_tail(&self) -> u64 {
        self.overhead(self.groups - 1) + MIN_TAIL
    }

    /// The most blocks for which descriptors were reserved, and inodes can be numbered.
    pub(crate) fn limit_blocks(&self) -> u64 {
        let described = (self.descriptor_blocks + self.reserved_blocks) * self.descriptors_per_block();
        let numbered = u64::from(u32::MAX) / self.inodes_per_group;
        (self.first_block + described.min(numbered) * self.blocks_per_group).min(MAX_BLOCKS)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.blocks * self.block_bytes
    }

    pub(crate) fn descriptors_per_block(&self) -> u64 {
        self.block_bytes / self.descriptor_bytes
    }

    /// Block numbers in a block of the resize inode.
    pub(crate) fn addresses_per_block(&self) -> u64 {
        self.block_bytes / 4
    }

    /// Blocks of a group's inode table.
    pub(crate) fn inode_table_blocks(&self) -> u64 {
        (self.inodes_per_group * self.inode_bytes).div_ceil(self.block_bytes)
    }

    /// A group's first block.
    pub(crate) fn group_start(&self, group: u64) -> u64 {
        self.first_block + group * self.blocks_per_group
    }

    /// How many blocks a group has: all but the last have the same.
    pub(crate) fn group_blocks(&self, group: u64) -> u64 {
        self.blocks.saturating_sub(self.group_start(group)).min(self.blocks_per_group)
    }

    /// Blocks of a superblock, its descriptors and the reserved ones, where a group has them
    /// (`sparse_super`).
    pub(crate) fn base_blocks(&self, group: u64) -> u64 {
        let has = group == 0 || geometry::has_superblock(group);
        if has { 1 + self.descriptor_blocks + self.reserved_blocks } else { 0 }
    }

    /// A group's own metadata, if it has all of it: base, bitmaps, inode table.
    pub(crate) fn overhead(&self, group: u64) -> u64 {
        self.base_blocks(group) + 2 + self.inode_table_blocks()
    }

    /// Groups with backups, ascending (`sparse_super`).
    pub(crate) fn backup_groups(&self) -> impl Iterator<Item = u64> + use<> {
        geometry::backup_groups(self.groups)
    }

    /// Where a group's descriptor is in the table, in bytes.
    pub(crate) fn descriptor_offset(&self, group: u64) -> u64 {
        group * self.descriptor_bytes
    }

    /// Whether there is such a block; block 0 is there also where the first group starts behind it.
    pub(crate) fn holds(&self, block: u64) -> bool {
        block < self.blocks
    }

    /// Whether all these blocks are some of the filesystem's.
    pub(crate) fn contains(&self, start: u64, blocks: u64) -> bool {
        start >= self.first_block && start.checked_add(blocks).is_some_and(|end| end <= self.blocks)
    }
}
