//! Extent trees, `fs/ext4/ext4_extents.h`: a root of four entries in the inode, then blocks of 340.

mod read;

use std::mem::size_of;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::Checksum;
use crate::halves::{bits32to47, index, length, low16, low32};

pub(crate) use read::{Unreadable, leading, pieces, walk};

/// `EXT4_EXT_MAGIC`.
const MAGIC: u16 = 0xf30a;
/// Entries in the inode.
const ROOT_ENTRIES: u64 = 4;
/// Entries in a block; the checksum takes the place of a third of one more.
const BLOCK_ENTRIES: u64 = 340;
/// Where a block's checksum is.
const TAIL_OFFSET: usize = 4096 - size_of::<ExtentTail>();
/// The longest extent, in blocks (`EXT_INIT_MAX_LEN`).
pub(crate) const MAX_BLOCKS: u64 = 32768;

/// The head of every node, `struct ext4_extent_header`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct ExtentHeader {
    eh_magic: U16,
    eh_entries: U16,
    eh_max: U16,
    eh_depth: U16,
    eh_generation: U32,
}

/// An entry of a leaf, `struct ext4_extent`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RawExtent {
    ee_block: U32,
    ee_len: U16,
    ee_start_hi: U16,
    ee_start_lo: U32,
}

/// An entry of an inner node, `struct ext4_extent_idx`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct ExtentIndex {
    ei_block: U32,
    ei_leaf_lo: U32,
    ei_leaf_hi: U16,
    ei_unused: U16,
}

/// What follows the last possible entry of a block, `struct ext4_extent_tail`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct ExtentTail {
    et_checksum: U32,
}

const _: () = {
    assert!(size_of::<ExtentHeader>() == 12);
    assert!(size_of::<RawExtent>() == 12);
    assert!(size_of::<ExtentIndex>() == 12);
    assert!(size_of::<ExtentTail>() == 4);
    assert!(12 + 12 * BLOCK_ENTRIES + 4 == 4096);
};

/// A run of a file's blocks that lie together on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// First block within the file.
    pub(crate) logical: u64,
    /// First block on disk.
    pub(crate) physical: u64,
    /// How many.
    pub(crate) blocks: u64,
}

/// Adds to a file's mappings, in order, what may go on where the last one ends.
pub(crate) fn push(mappings: &mut Vec<Mapping>, next: Mapping) {
    if let Some(last) = mappings.last_mut()
        && last.logical.saturating_add(last.blocks) == next.logical
        && last.physical.saturating_add(last.blocks) == next.physical
    {
        last.blocks = last.blocks.saturating_add(next.blocks);
    } else {
        mappings.push(next);
    }
}

/// How many extents these mappings are.
pub(crate) fn extent_count(mappings: &[Mapping]) -> u64 {
    mappings.iter().fold(0, |count: u64, mapping| count.saturating_add(mapping.blocks.div_ceil(MAX_BLOCKS)))
}

/// How many blocks the tree of so many extents has, beside its root.
pub(crate) fn tree_blocks(extents: u64) -> u64 {
    levels(extents).iter().fold(0, |sum: u64, blocks| sum.saturating_add(*blocks))
}

/// How many blocks each level below the root has, leaves first.
fn levels(extents: u64) -> Vec<u64> {
    let mut levels = Vec::new();
    let mut entries = extents;
    while entries > ROOT_ENTRIES {
        entries = entries.div_ceil(BLOCK_ENTRIES);
        levels.push(entries);
    }
    levels
}

/// A file's extent tree, as full as can be.
pub(crate) struct ExtentTree {
    extents: Vec<Mapping>,
    levels: Vec<u64>,
}

impl ExtentTree {
    /// The tree of these mappings.
    pub(crate) fn new(mappings: &[Mapping]) -> Self {
        let mut extents = Vec::with_capacity(mappings.len());
        for mapping in mappings {
            let mut rest = *mapping;
            while rest.blocks > 0 {
                let blocks = rest.blocks.min(MAX_BLOCKS);
                extents.push(Mapping { blocks, ..rest });
                rest.logical = rest.logical.saturating_add(blocks);
                rest.physical = rest.physical.saturating_add(blocks);
                rest.blocks = rest.blocks.saturating_sub(blocks);
            }
        }
        let levels = levels(length(extents.len()));
        Self { extents, levels }
    }

    /// How many blocks it has beside the root. They are numbered level by level, leaves first.
    pub(crate) fn block_count(&self) -> u64 {
        tree_blocks(length(self.extents.len()))
    }

    /// `i_block`; `address` gives where a block of the tree lies.
    pub(crate) fn root(&self, address: impl Fn(u64) -> u64) -> [u8; 60] {
        let mut root = [0; 60];
        self.write_node(self.levels.len(), 0, ROOT_ENTRIES, &address, &mut root);
        root
    }

    /// All blocks in the order of their numbers; `seed` is the inode's.
    pub(crate) fn blocks(
        &self,
        seed: Checksum,
        address: impl Fn(u64) -> u64,
    ) -> impl Iterator<Item = [u8; 4096]> {
        let nodes =
            self.levels.iter().enumerate().flat_map(|(level, &count)| (0..count).map(move |i| (level, i)));
        nodes.map(move |(level, i)| {
            let mut block = [0; 4096];
            self.write_node(level, i, BLOCK_ENTRIES, &address, &mut block);
            let (covered, tail) = block.split_at_mut(TAIL_OFFSET);
            tail.copy_from_slice(ExtentTail { et_checksum: seed.update(covered).value().into() }.as_bytes());
            block
        })
    }

    /// Node `number` of a level; the level above the last is the root's.
    fn write_node(
        &self,
        level: usize,
        number: u64,
        capacity: u64,
        address: &impl Fn(u64) -> u64,
        node: &mut [u8],
    ) {
        let below = level.checked_sub(1).and_then(|below| self.levels.get(below));
        let available = below.copied().unwrap_or_else(|| length(self.extents.len()));
        let first = number.saturating_mul(capacity);
        let end = first.saturating_add(capacity).min(available);
        let header = ExtentHeader {
            eh_magic: MAGIC.into(),
            eh_entries: low16(low32(end.saturating_sub(first))).into(),
            eh_max: low16(low32(capacity)).into(),
            eh_depth: u16::try_from(level).unwrap_or(u16::MAX).into(),
            eh_generation: 0.into(),
        };
        let (head, entries) = node.split_at_mut(size_of::<ExtentHeader>());
        head.copy_from_slice(header.as_bytes());
        // How many blocks come before the level below, and how many extents a child of this node has.
        let mut before: u64 = 0;
        let mut span: u64 = 1;
        for blocks in self.levels.iter().take(level.saturating_sub(1)) {
            before = before.saturating_add(*blocks);
        }
        for _ in 0..level {
            span = span.saturating_mul(BLOCK_ENTRIES);
        }
        for (child, entry) in (first..end).zip(entries.chunks_exact_mut(12)) {
            let Some(extent) = self.extents.get(index(child.saturating_mul(span))) else { return };
            if level == 0 {
                let raw = RawExtent {
                    ee_block: low32(extent.logical).into(),
                    ee_len: low16(low32(extent.blocks)).into(),
                    ee_start_hi: bits32to47(extent.physical).into(),
                    ee_start_lo: low32(extent.physical).into(),
                };
                entry.copy_from_slice(raw.as_bytes());
            } else {
                let leaf = address(before.saturating_add(child));
                let raw = ExtentIndex {
                    ei_block: low32(extent.logical).into(),
                    ei_leaf_lo: low32(leaf).into(),
                    ei_leaf_hi: bits32to47(leaf).into(),
                    ei_unused: 0.into(),
                };
                entry.copy_from_slice(raw.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_grow_by_levels() {
        for (extents, blocks) in [
            (0, 0),
            (4, 0),
            (5, 1),
            (340, 1),
            (341, 2),
            (1360, 4),
            (1361, 6),
            (462_400, 1364),
            (462_401, 1367),
        ] {
            assert_eq!(tree_blocks(extents), blocks, "{extents} extents");
        }
    }

    #[test]
    fn long_mappings_are_cut() {
        let mut mappings = Vec::new();
        push(&mut mappings, Mapping { logical: 0, physical: 100, blocks: 32768 });
        push(&mut mappings, Mapping { logical: 32768, physical: 32868, blocks: 1 });
        push(&mut mappings, Mapping { logical: 32770, physical: 32869, blocks: 1 });
        assert_eq!(mappings.len(), 2);
        assert_eq!(extent_count(&mappings), 3);
        assert_eq!(ExtentTree::new(&mappings).extents.len(), 3);
    }
}
