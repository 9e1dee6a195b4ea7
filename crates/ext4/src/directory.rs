//! Directories: one block of entries, or a hash tree.

use crate::checksum::Checksum;
use crate::dir_entry::{CAPACITY, EntryBlock, FileType, entry_size};
use crate::hash::NameHasher;
use crate::htree::HashTree;

/// How many blocks `lost+found` has, so that e2fsck need not allocate any: 16 KiB.
pub(crate) const LOST_AND_FOUND_BLOCKS: u64 = 4;

/// A name in a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    /// The inode's number.
    pub(crate) number: u32,
    pub(crate) file_type: FileType,
}

/// How many blocks a directory with these entries has; `None` if they are too many for a hash tree.
pub(crate) fn block_count<'a>(
    entries: &(impl Iterator<Item = Entry<'a>> + Clone),
    hasher: NameHasher,
) -> Option<u64> {
    if fits_one_block(entries.clone()) {
        return Some(1);
    }
    Some(HashTree::new(entries.clone(), hasher)?.block_count())
}

/// Whether the entries and the two dots fit into one block.
fn fits_one_block<'a>(entries: impl Iterator<Item = Entry<'a>>) -> bool {
    let mut used = entry_size(b".").saturating_add(entry_size(b".."));
    for entry in entries {
        used = used.saturating_add(entry_size(entry.name));
        if used > CAPACITY {
            return false;
        }
    }
    true
}

/// Gives a directory's blocks to `out` in their order. `seed` is the inode's.
pub(crate) fn emit<'a, E>(
    entries: &(impl Iterator<Item = Entry<'a>> + Clone),
    (number, parent): (u32, u32),
    (hasher, seed): (NameHasher, Checksum),
    mut out: impl FnMut(&[u8; 4096]) -> Result<(), E>,
) -> Result<(), E> {
    if fits_one_block(entries.clone()) {
        let mut block = dots(number, parent);
        for entry in entries.clone() {
            block.push(entry.number, entry.name, entry.file_type);
        }
        return out(&block.finish(seed));
    }
    let Some(tree) = HashTree::new(entries.clone(), hasher) else { return Ok(()) };
    tree.blocks(number, parent, seed).try_for_each(|block| out(&block))
}

/// Gives the blocks of an empty `lost+found` to `out`.
pub(crate) fn emit_lost_and_found<E>(
    (number, parent): (u32, u32),
    seed: Checksum,
    mut out: impl FnMut(&[u8; 4096]) -> Result<(), E>,
) -> Result<(), E> {
    out(&dots(number, parent).finish(seed))?;
    (1..LOST_AND_FOUND_BLOCKS).try_for_each(|_| out(&EntryBlock::new().finish(seed)))
}

fn dots(number: u32, parent: u32) -> EntryBlock {
    let mut block = EntryBlock::new();
    block.push(number, b".", FileType::Directory);
    block.push(parent, b"..", FileType::Directory);
    block
}
