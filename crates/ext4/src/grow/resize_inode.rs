//! What growth does to the resize inode: reserved blocks come into use and leave it, and those that stay get
//! backups in the new groups that have them (`fs/ext4/resize.c`: `add_new_gdb`, `reserve_backup_gdb`).

#![expect(
    clippy::arithmetic_side_effects,
    reason = "shapes have at most 2^32 blocks, so sums and products of their numbers fit"
)]

use std::ops::Range;

use zerocopy::IntoBytes;

use crate::grow::steps::piece;
use crate::halves::{index, length, low32};
use crate::inode::{self, DOUBLE_INDIRECT, InodeFlags};
use crate::inspect::{Disk, InspectError, Shape, StoredInode};
use crate::journal::Piece;

/// The blocks of the resize inode that growth to a shape changes: where, and what. Descriptor blocks that come
/// into use are not among them.
pub(super) fn changes(disk: &Disk<'_>, new: &Shape) -> Result<Vec<Piece<'static>>, InspectError> {
    let old = &disk.shape;
    let backups = |shape: &Shape| length(shape.backup_groups().count());
    let mut changes = Vec::new();
    if old.reserved_blocks == 0
        || *old == (Shape { blocks: old.blocks, groups: old.groups, ..*new }) && backups(old) == backups(new)
    {
        return Ok(changes);
    }
    let inode = disk.inode(inode::RESIZE)?;
    let number = double_indirect(disk, &inode)?;
    let mut block = disk.read_blocks(number, 1)?;
    take(disk, new, &mut block)?;
    changes.push(piece(number, block));
    let stays = disk.table_start() + new.descriptor_blocks;
    if backups(old) != backups(new) && new.reserved_blocks > 0 {
        changes.push(piece(stays, backups_of(new, stays..stays + new.reserved_blocks)?));
    }
    let file_blocks = 1 + new.reserved_blocks * (1 + backups(new));
    changes.push(with_blocks(disk, &inode, file_blocks)?);
    Ok(changes)
}

fn damaged() -> InspectError {
    InspectError::damaged("the resize inode")
}

/// The only block of the inode itself.
fn double_indirect(disk: &Disk<'_>, inode: &StoredInode) -> Result<u64, InspectError> {
    let (words, _) = inode.raw.block().as_chunks::<4>();
    let mut found = 0;
    for (position, word) in words.iter().enumerate() {
        match u64::from(u32::from_le_bytes(*word)) {
            block if position == DOUBLE_INDIRECT => found = block,
            0 => {}
            _ => return Err(damaged()),
        }
    }
    let flags = inode.raw.flags();
    let usual = inode.raw.is_regular() && !flags.intersects(InodeFlags::EXTENTS | InodeFlags::HUGE_FILE);
    if usual && disk.shape.contains(found, 1) { Ok(found) } else { Err(damaged()) }
}

/// Takes the blocks that come into use out of the double-indirect block, which is checked.
fn take(disk: &Disk<'_>, new: &Shape, block: &mut [u8]) -> Result<(), InspectError> {
    let old = &disk.shape;
    let (words, _) = block.as_chunks_mut::<4>();
    for position in old.descriptor_blocks..old.descriptor_blocks + old.reserved_blocks {
        let word = words.get_mut(index(position % old.addresses_per_block())).ok_or_else(damaged)?;
        if u64::from(u32::from_le_bytes(*word)) != disk.table_start() + position {
            return Err(damaged());
        }
        if position < new.descriptor_blocks {
            *word = [0; 4];
        }
    }
    Ok(())
}

/// What reserved blocks hold: each names its own backups, and nothing else can stand in it. So it is not read, which
/// would take longer than all the rest of a growth where the disk is not in memory.
fn backups_of(new: &Shape, reserved: Range<u64>) -> Result<Vec<u8>, InspectError> {
    let mut bytes = vec![0; index((reserved.end - reserved.start) * new.block_bytes)];
    for (number, block) in reserved.zip(bytes.chunks_exact_mut(index(new.block_bytes))) {
        let (words, _) = block.as_chunks_mut::<4>();
        let mut words = words.iter_mut();
        for group in new.backup_groups() {
            let word = words.next().ok_or_else(damaged)?;
            *word = low32(number + group * new.blocks_per_group).to_le_bytes();
        }
    }
    Ok(bytes)
}

/// The block that has the inode, with so many blocks in it.
fn with_blocks(
    disk: &Disk<'_>,
    inode: &StoredInode,
    file_blocks: u64,
) -> Result<Piece<'static>, InspectError> {
    let shape = &disk.shape;
    let mut block = disk.read_blocks(inode.block, 1)?;
    let bytes = block.get_mut(inode.offset..).and_then(|rest| rest.get_mut(..index(shape.inode_bytes)));
    let bytes = bytes.ok_or_else(damaged)?;
    let mut raw = inode.raw.clone();
    raw.set_sectors(file_blocks * (shape.block_bytes / 512));
    if let Some(checksum) = disk.inode_checksum(inode.number, &raw, bytes) {
        raw.set_checksum(checksum, shape.inode_bytes);
    }
    for (to, from) in bytes.iter_mut().zip(raw.as_bytes()) {
        *to = *from;
    }
    Ok(piece(inode.block, block))
}
