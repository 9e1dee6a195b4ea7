//! The groups of a filesystem, and what they say of themselves.

use crate::bitmap;
use crate::group_descriptor::{GroupDescriptor, GroupFlags, SHORT_SIZE};
use crate::halves::{index, length, low16, low32};
use crate::inode::RawInode;
use crate::inspect::{Disk, InspectError};

/// Each group and its descriptor, which has the right checksum.
pub(super) fn each(
    disk: &Disk<'_>,
    mut look: impl FnMut(u64, &GroupDescriptor) -> Result<(), InspectError>,
) -> Result<(), InspectError> {
    let per_block = disk.shape.descriptors_per_block().max(1);
    let mut table = Vec::new();
    for group in 0..disk.shape.groups {
        let first = group.saturating_sub(group.checked_rem(per_block).unwrap_or(0));
        if group == first {
            let block = first.checked_div(per_block).unwrap_or(0);
            table = disk.read_blocks(disk.table_start().saturating_add(block), 1)?;
        }
        look(group, &disk.descriptor_in(&table, first, group)?.decode())?;
    }
    Ok(())
}

/// A group's bitmap of blocks, if it was written.
pub(super) fn block_bitmap(
    disk: &Disk<'_>,
    descriptor: &GroupDescriptor,
) -> Result<Option<Vec<u8>>, InspectError> {
    if descriptor.flags.contains(GroupFlags::BLOCK_UNINIT) {
        return Ok(None);
    }
    let bits = disk.shape.blocks_per_group;
    let (block, expected) = (descriptor.block_bitmap, descriptor.block_bitmap_checksum);
    bitmap_of(disk, block, bits, expected, "a block bitmap's checksum").map(Some)
}

/// Each inode of a group that is in use, which has the right checksum; but for reserved ones that mke2fs never wrote.
pub(super) fn used_inodes(
    disk: &Disk<'_>,
    group: u64,
    descriptor: &GroupDescriptor,
    mut look: impl FnMut(u32, &RawInode) -> Result<(), InspectError>,
) -> Result<(), InspectError> {
    let shape = &disk.shape;
    if descriptor.flags.contains(GroupFlags::INODE_UNINIT) {
        return Ok(());
    }
    let bits = shape.inodes_per_group;
    let (block, expected) = (descriptor.inode_bitmap, descriptor.inode_bitmap_checksum);
    let used = bitmap_of(disk, block, bits, expected, "an inode bitmap's checksum")?;
    let table = descriptor.inode_table;
    if !shape.contains(table, shape.inode_table_blocks()) {
        return Err(InspectError::damaged("where a group's inode table is"));
    }
    let per_block = shape.block_bytes.checked_div(shape.inode_bytes).unwrap_or(1).max(1);
    let mut bytes = Vec::new();
    let mut read = None;
    for inode in (0..bits).filter(|&inode| bitmap::is_set(&used, inode)) {
        let block = inode.checked_div(per_block).unwrap_or(0);
        if read != Some(block) {
            bytes = disk.read_blocks(table.saturating_add(block), 1)?;
            read = Some(block);
        }
        let start = inode.checked_rem(per_block).unwrap_or(0).saturating_mul(shape.inode_bytes);
        let end = start.saturating_add(shape.inode_bytes);
        let stored = bytes.get(index(start)..index(end)).unwrap_or_default();
        if stored.iter().all(|&byte| byte == 0) {
            continue;
        }
        let raw = RawInode::read(stored);
        let number = low32(group.saturating_mul(bits).saturating_add(inode).saturating_add(1));
        if disk.inode_checksum(number, &raw, stored) != Some(raw.checksum(shape.inode_bytes)) {
            return Err(InspectError::damaged("an inode's checksum"));
        }
        look(number, &raw)?;
    }
    Ok(())
}

/// A bitmap of so many bits, which has that checksum, or the half of it that there is room for.
fn bitmap_of(
    disk: &Disk<'_>,
    block: u64,
    bits: u64,
    expected: u32,
    part: &'static str,
) -> Result<Vec<u8>, InspectError> {
    if !disk.shape.holds(block) {
        return Err(InspectError::damaged("where a group's bitmap is"));
    }
    let mut bytes = disk.read_blocks(block, 1)?;
    bytes.truncate(index(bits / 8));
    let checksum = disk.sums.bitmap(&bytes);
    let is_short = disk.shape.descriptor_bytes <= length(SHORT_SIZE);
    let same = if is_short { low16(checksum) == low16(expected) } else { checksum == expected };
    if same { Ok(bytes) } else { Err(InspectError::damaged(part)) }
}
