//! Whose the blocks of a filesystem are.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "shapes have at most 2^32 blocks, so sums and products of their numbers fit"
)]

use crate::bitmap;
use crate::group_descriptor::GroupDescriptor;
use crate::halves::index;
use crate::inspect::{Disk, InspectError, Shape};

/// Which blocks are somebody's. Blocks before the first group are nobody's.
pub(super) struct Blocks {
    shape: Shape,
    /// A bitmap for each group of which something is taken: most of a large filesystem is empty.
    taken: Vec<Vec<u8>>,
}

impl Blocks {
    pub(super) fn new(disk: &Disk<'_>) -> Self {
        Self { shape: disk.shape, taken: vec![Vec::new(); index(disk.shape.groups)] }
    }

    /// Takes what a group has for itself.
    pub(super) fn take_group(
        &mut self,
        group: u64,
        descriptor: &GroupDescriptor,
    ) -> Result<(), InspectError> {
        let base = self.shape.base_blocks(group);
        self.take(self.shape.group_start(group), base)?;
        self.take(descriptor.block_bitmap, 1)?;
        self.take(descriptor.inode_bitmap, 1)?;
        self.take(descriptor.inode_table, self.shape.inode_table_blocks())
    }

    /// Takes blocks that must be the filesystem's, and nobody else's.
    pub(super) fn take(&mut self, start: u64, count: u64) -> Result<(), InspectError> {
        if !self.shape.contains(start, count) {
            return Err(InspectError::damaged("where a file's blocks are"));
        }
        let per_group = self.shape.blocks_per_group;
        let end = start - self.shape.first_block + count;
        let mut first = start - self.shape.first_block;
        while first < end {
            let (group, from) = (first / per_group, first % per_group);
            let to = per_group.min(from + end - first);
            let bitmap =
                self.taken.get_mut(index(group)).ok_or(InspectError::damaged("the number of groups"))?;
            if bitmap.is_empty() {
                bitmap.resize(index(per_group.div_ceil(8)), 0);
            }
            if (from..to).any(|block| bitmap::is_set(bitmap, block)) {
                return Err(InspectError::damaged("a block that is in two places"));
            }
            bitmap::set(bitmap, from..to);
            first += to - from;
        }
        Ok(())
    }

    /// Whether the blocks that are taken of a group are those of its bitmap, and the number of the others is right.
    pub(super) fn check(&self, group: u64, bitmap: &[u8], free_blocks: u64) -> Result<(), InspectError> {
        let ours = self.taken.get(index(group)).map_or(&[][..], Vec::as_slice);
        let mut free = 0;
        for block in 0..self.shape.group_blocks(group) {
            let taken = bitmap::is_set(ours, block);
            if taken != bitmap::is_set(bitmap, block) {
                let what = if taken {
                    "a block that is in use and not marked"
                } else {
                    "a block that is marked and not in use"
                };
                return Err(InspectError::damaged(what));
            }
            free += u64::from(!taken);
        }
        if free == free_blocks {
            Ok(())
        } else {
            Err(InspectError::damaged("the number of a group's free blocks"))
        }
    }
}
