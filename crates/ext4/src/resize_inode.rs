//! The resize inode: a file whose blocks are the reserved group descriptors, so that nothing else takes
//! them. As `reserve_backup_gdb` in `fs/ext4/resize.c` checks it: the inode's double-indirect block names
//! the primary reserved blocks, each of which names its own backups.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a geometry has at most 2^32 blocks, so sums and products of its numbers stay below 2^48"
)]

use crate::BLOCK_BYTES;
use crate::geometry::{GROUP_BLOCKS, Geometry};
use crate::halves::{index, length, low32};
use crate::inode::DOUBLE_INDIRECT;

/// Block numbers in an indirect block.
const ADDRESSES: u64 = 1024;
/// The file's size: as far as double-indirect blocks reach.
pub(crate) const FILE_BYTES: u64 = (12 + ADDRESSES + ADDRESSES * ADDRESSES) * BLOCK_BYTES;

/// `i_block`: the double-indirect block alone.
pub(crate) fn root(double_indirect: u64) -> [u8; 60] {
    let mut block = [0; 60];
    let (words, _) = block.as_chunks_mut::<4>();
    if let Some(word) = words.get_mut(DOUBLE_INDIRECT) {
        *word = low32(double_indirect).to_le_bytes();
    }
    block
}

/// How many blocks the file has, indirect blocks included.
pub(crate) fn block_count(geometry: &Geometry) -> u64 {
    1 + geometry.reserved_blocks * (1 + length(geometry.backup_groups().count()))
}

/// The double-indirect block: reserved block `n` stands at the place of descriptor block `n`.
pub(crate) fn double_indirect(geometry: &Geometry) -> [u8; 4096] {
    let mut block = [0; 4096];
    let (words, _) = block.as_chunks_mut::<4>();
    for descriptor_block in geometry.descriptor_blocks..geometry.descriptor_blocks + geometry.reserved_blocks
    {
        if let Some(word) = words.get_mut(index(descriptor_block % ADDRESSES)) {
            *word = low32(1 + descriptor_block).to_le_bytes();
        }
    }
    block
}

/// The reserved block at `number` on disk: where its backups are.
pub(crate) fn reserved(geometry: &Geometry, number: u64) -> [u8; 4096] {
    let mut block = [0; 4096];
    let (words, _) = block.as_chunks_mut::<4>();
    for (word, group) in words.iter_mut().zip(geometry.backup_groups()) {
        *word = low32(number + group * GROUP_BLOCKS).to_le_bytes();
    }
    block
}
