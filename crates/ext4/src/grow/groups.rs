//! The table of group descriptors after growth, and the bitmaps that go with it.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "shapes have at most 2^32 blocks, so sums and products of their numbers fit"
)]

use zerocopy::IntoBytes;

use crate::bitmap;
use crate::group_descriptor::{GroupDescriptor, GroupFlags, RawGroupDescriptor};
use crate::grow::steps::piece;
use crate::halves::{index, low16, low32};
use crate::inspect::{Disk, InspectError, Shape};
use crate::journal::Piece;
use crate::sums::Sums;

/// What changes with the groups.
pub(super) struct Groups {
    /// All descriptors, as many whole blocks as they take.
    pub(super) table: Vec<u8>,
    /// How many of its blocks, from the first on, are as they were.
    pub(super) unchanged_blocks: u64,
    /// The bitmap of the group that was the last, if it has one: where, and what.
    pub(super) old_bitmap: Option<Piece<'static>>,
    /// Bitmaps that nobody reads before the descriptors say that they are there: where, and what.
    pub(super) fresh_bitmaps: Vec<Piece<'static>>,
    /// Free blocks that there are more than before.
    pub(super) free_blocks: u64,
}

impl Groups {
    pub(super) fn new(disk: &Disk<'_>, new: &Shape) -> Result<Self, InspectError> {
        let old = &disk.shape;
        let mut table = disk.read_blocks(disk.table_start(), old.descriptor_blocks)?;
        // Behind the last descriptor may be anything.
        table.truncate(index(old.descriptor_offset(old.groups)));
        table.resize(index(new.descriptor_blocks * new.block_bytes), 0);
        let mut groups = Self {
            table,
            unchanged_blocks: (old.groups - 1) / old.descriptors_per_block(),
            old_bitmap: None,
            fresh_bitmaps: Vec::new(),
            free_blocks: 0,
        };
        if new.descriptor_blocks > old.descriptor_blocks {
            groups.settle_backups(disk)?;
        }
        groups.extend_last(disk, new)?;
        for group in old.groups..new.groups {
            groups.add(disk, new, group);
        }
        Ok(groups)
    }

    /// Writes down what is in use in groups that have a backup but no bitmap yet.
    ///
    /// A kernel that replays the journal took the number of descriptor blocks from the superblock before that, and
    /// the number of reserved ones after it: it would make up such a bitmap with too few blocks in it.
    fn settle_backups(&mut self, disk: &Disk<'_>) -> Result<(), InspectError> {
        let old = &disk.shape;
        for group in old.backup_groups().filter(|group| group + 1 < old.groups) {
            let mut raw = disk.descriptor_in(&self.table, 0, group)?;
            if raw.decode().flags.contains(GroupFlags::BLOCK_UNINIT) {
                self.settle(disk, old, group, &mut raw)?;
                self.put(disk, group, raw);
                self.unchanged_blocks = self.unchanged_blocks.min(group / old.descriptors_per_block());
            }
        }
        Ok(())
    }

    /// Makes up the bitmap of a group that has none, as kernels do (`ext4_init_block_bitmap`). The descriptor's
    /// free blocks, which are checked, are those of the old shape.
    fn settle(
        &mut self,
        disk: &Disk<'_>,
        new: &Shape,
        group: u64,
        raw: &mut RawGroupDescriptor,
    ) -> Result<(), InspectError> {
        let old = &disk.shape;
        let descriptor = raw.decode();
        let start = old.group_start(group);
        let blocks = old.group_blocks(group);
        let mut bytes = vec![0; index(old.block_bytes)];
        bitmap::set(&mut bytes, 0..old.base_blocks(group));
        let own = [
            (descriptor.block_bitmap, 1),
            (descriptor.inode_bitmap, 1),
            (descriptor.inode_table, old.inode_table_blocks()),
        ];
        for (number, count) in own {
            if !old.contains(number, count) {
                return Err(InspectError::damaged("where a group's metadata is"));
            }
            let end = (number + count).min(start + blocks);
            if end > start {
                bitmap::set(&mut bytes, number.saturating_sub(start).min(blocks)..end - start);
            }
        }
        let used: u64 = bytes.iter().map(|byte| u64::from(byte.count_ones())).sum();
        if u64::from(descriptor.free_blocks) != blocks - used {
            return Err(InspectError::damaged("the free blocks of a group"));
        }
        bitmap::set(&mut bytes, new.group_blocks(group)..new.blocks_per_group);
        raw.set_flags(descriptor.flags - GroupFlags::BLOCK_UNINIT);
        raw.set_free_blocks(descriptor.free_blocks, disk.sums.bitmap(&bytes));
        self.fresh_bitmaps.push(piece(descriptor.block_bitmap, bytes));
        Ok(())
    }

    /// Gives the group that was the last the blocks that it lacked.
    fn extend_last(&mut self, disk: &Disk<'_>, new: &Shape) -> Result<(), InspectError> {
        let old = &disk.shape;
        let last = old.groups - 1;
        let mut raw = disk.descriptor_in(&self.table, 0, last)?;
        let descriptor = raw.decode();
        let (before, after) = (old.group_blocks(last), new.group_blocks(last));
        if u64::from(descriptor.free_blocks) > before {
            return Err(InspectError::damaged("the free blocks of the last group"));
        }
        let mut checksum = descriptor.block_bitmap_checksum;
        if descriptor.flags.contains(GroupFlags::BLOCK_UNINIT) {
            // A kernel that replays the journal takes it for the last one still, and all that is new for its.
            self.settle(disk, new, last, &mut raw)?;
            checksum = raw.decode().block_bitmap_checksum;
        } else {
            let number = descriptor.block_bitmap;
            if !old.contains(number, 1) {
                return Err(InspectError::damaged("where the last group's bitmap is"));
            }
            let mut bytes = disk.read_blocks(number, 1)?;
            if !matches(disk, checksum, disk.sums.bitmap(&bytes)) {
                return Err(InspectError::damaged("the checksum of the last group's bitmap"));
            }
            bitmap::clear(&mut bytes, before..after);
            checksum = disk.sums.bitmap(&bytes);
            self.old_bitmap = Some(piece(number, bytes));
        }
        raw.set_free_blocks(low32(u64::from(descriptor.free_blocks) + after - before), checksum);
        self.put(disk, last, raw);
        self.free_blocks += after - before;
        Ok(())
    }

    /// Adds a group whose metadata lies in itself, and of which nothing but that is in use.
    fn add(&mut self, disk: &Disk<'_>, new: &Shape, group: u64) {
        let bitmap_block = new.group_start(group) + new.base_blocks(group);
        let blocks = new.group_blocks(group);
        let used = new.overhead(group);
        let inode_table = bitmap_block + 2;
        let inodes = low32(new.inodes_per_group);
        let mut flags = GroupFlags::INODE_UNINIT;
        if inode_table * new.block_bytes >= disk.device_bytes {
            // Nobody ever wrote there.
            flags |= GroupFlags::INODE_ZEROED;
        }
        let mut checksum = 0;
        if group + 1 == new.groups {
            let mut bytes = vec![0; index(new.block_bytes)];
            bitmap::set(&mut bytes, 0..used);
            bitmap::set(&mut bytes, blocks..new.blocks_per_group);
            checksum = disk.sums.bitmap(&bytes);
            self.fresh_bitmaps.push(piece(bitmap_block, bytes));
        } else {
            flags |= GroupFlags::BLOCK_UNINIT;
        }
        let descriptor = GroupDescriptor {
            flags,
            block_bitmap: bitmap_block,
            inode_bitmap: bitmap_block + 1,
            inode_table,
            free_blocks: low32(blocks - used),
            free_inodes: inodes,
            used_directories: 0,
            unused_inodes: inodes,
            block_bitmap_checksum: checksum,
            inode_bitmap_checksum: 0,
        };
        self.put(disk, group, descriptor.to_raw());
        self.free_blocks += blocks - used;
    }

    /// Puts a descriptor into the table, its checksum set.
    fn put(&mut self, disk: &Disk<'_>, group: u64, mut raw: RawGroupDescriptor) {
        let offset = index(disk.shape.descriptor_offset(group));
        let size = index(disk.shape.descriptor_bytes);
        let Some(place) = self.table.get_mut(offset..).and_then(|rest| rest.get_mut(..size)) else { return };
        // Descriptors may be longer than what is known of them.
        for (to, from) in place.iter_mut().zip(raw.as_bytes()) {
            *to = *from;
        }
        raw.set_checksum(disk.sums.descriptor(low32(group), place));
        for (to, from) in place.iter_mut().zip(raw.as_bytes()) {
            *to = *from;
        }
    }
}

/// Whether a bitmap's checksum is the stored one, of which short descriptors have only half.
fn matches(disk: &Disk<'_>, stored: u32, checksum: u32) -> bool {
    match disk.sums {
        Sums::Crc32c(_) if disk.shape.descriptor_bytes < 64 => low16(stored) == low16(checksum),
        Sums::Crc32c(_) => stored == checksum,
        Sums::Crc16(_) | Sums::None => true,
    }
}
