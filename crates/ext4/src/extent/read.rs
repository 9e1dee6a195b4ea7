//! Where a file of somebody else's lies: its extent tree, read with nothing in it believed.

use zerocopy::FromBytes;

use super::{ExtentHeader, ExtentIndex, ExtentTail, MAGIC, MAX_BLOCKS, Mapping, RawExtent, push};
use crate::checksum::Checksum;
use crate::device::DeviceError;

use crate::inspect::Disk;
use crate::sums::Sums;

/// So many nodes are read at the most: trees of files that are written at once have far fewer.
const MAX_NODES: usize = 64;
/// The deepest tree (`EXT4_MAX_EXTENT_DEPTH`).
const MAX_DEPTH: u16 = 5;

/// Why an extent tree cannot be followed.
#[derive(Debug)]
pub(crate) enum Unreadable {
    Device(DeviceError),
    /// The tree is wrong, has holes, or is scattered beyond reason.
    Tree,
}

impl From<DeviceError> for Unreadable {
    fn from(error: DeviceError) -> Self {
        Self::Device(error)
    }
}

/// A run of a file's blocks, as a leaf says it.
struct Extent {
    mapping: Mapping,
    /// Else it reads as zeros.
    written: bool,
}

/// A node that is still to be read, and how deep the tree below it must be.
struct Pending {
    block: u64,
    depth: u16,
}

/// Where the first blocks of a file lie, at least `wanted` of them and without a hole; `seed` is the inode's.
pub(crate) fn leading(
    disk: &Disk<'_>,
    root: &[u8; 60],
    seed: Checksum,
    wanted: u64,
) -> Result<Vec<Mapping>, Unreadable> {
    let mut mappings = Vec::new();
    let mut pending = Vec::new();
    let depth = header(root)?.eh_depth.get();
    if depth > MAX_DEPTH {
        return Err(Unreadable::Tree);
    }
    follow(&mut mappings, node(disk, root, depth, &mut pending)?)?;
    for _ in 0..MAX_NODES {
        let covered = mappings.last().map_or(0, |last: &Mapping| last.logical.saturating_add(last.blocks));
        if covered >= wanted {
            return Ok(mappings);
        }
        let Some(next) = pending.pop() else { return Err(Unreadable::Tree) };
        let bytes = disk.read_blocks(next.block, 1)?;
        check(disk, &bytes, seed)?;
        follow(&mut mappings, node(disk, &bytes, next.depth, &mut pending)?)?;
    }
    Err(Unreadable::Tree)
}

/// Adds extents that were written and go on where the last one ends.
fn follow(mappings: &mut Vec<Mapping>, extents: Vec<Extent>) -> Result<(), Unreadable> {
    for Extent { mapping, written } in extents {
        let expected = mappings.last().map_or(0, |last| last.logical.saturating_add(last.blocks));
        if !written || mapping.logical != expected {
            return Err(Unreadable::Tree);
        }
        push(mappings, mapping);
    }
    Ok(())
}

/// Where all of a file's blocks lie, also those that were never written, in order; holes are left out. `take` is asked for
/// each node and each run of contents, and may refuse, which is an error; since no block may be taken twice, this ends.
pub(crate) fn walk(
    disk: &Disk<'_>,
    root: &[u8; 60],
    seed: Checksum,
    take: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Vec<Mapping>, Unreadable> {
    let depth = header(root)?.eh_depth.get();
    if depth > MAX_DEPTH {
        return Err(Unreadable::Tree);
    }
    let mut pending = Vec::new();
    let mut mappings: Vec<Mapping> = Vec::new();
    let mut extents = node(disk, root, depth, &mut pending)?;
    loop {
        for Extent { mapping, .. } in extents {
            let from = mappings.last().map_or(0, |last| last.logical.saturating_add(last.blocks));
            if mapping.logical < from || !take(mapping.physical, mapping.blocks) {
                return Err(Unreadable::Tree);
            }
            push(&mut mappings, mapping);
        }
        let Some(next) = pending.pop() else { return Ok(mappings) };
        if !take(next.block, 1) {
            return Err(Unreadable::Tree);
        }
        let bytes = disk.read_blocks(next.block, 1)?;
        check(disk, &bytes, seed)?;
        extents = node(disk, &bytes, next.depth, &mut pending)?;
    }
}

fn header(node: &[u8]) -> Result<&ExtentHeader, Unreadable> {
    let (header, _) = ExtentHeader::ref_from_prefix(node).map_err(|_| Unreadable::Tree)?;
    if header.eh_magic.get() == MAGIC { Ok(header) } else { Err(Unreadable::Tree) }
}

/// The checksum of a node that is a block.
fn check(disk: &Disk<'_>, bytes: &[u8], seed: Checksum) -> Result<(), Unreadable> {
    let Sums::Crc32c(_) = disk.sums else { return Ok(()) };
    let end = usize::from(header(bytes)?.eh_max.get()).saturating_mul(12).saturating_add(12);
    let (covered, rest) = bytes.split_at_checked(end).ok_or(Unreadable::Tree)?;
    let (tail, _) = ExtentTail::ref_from_prefix(rest).map_err(|_| Unreadable::Tree)?;
    if tail.et_checksum.get() == seed.update(covered).value() { Ok(()) } else { Err(Unreadable::Tree) }
}

/// What a node says: the extents of a leaf, else more nodes, the first of them last.
fn node(
    disk: &Disk<'_>,
    bytes: &[u8],
    depth: u16,
    pending: &mut Vec<Pending>,
) -> Result<Vec<Extent>, Unreadable> {
    let header = header(bytes)?;
    let entries = usize::from(header.eh_entries.get());
    let rest = bytes.get(12..).unwrap_or_default();
    if header.eh_depth.get() != depth || entries > rest.len() / 12 {
        return Err(Unreadable::Tree);
    }
    let entries = rest.chunks_exact(12).take(entries);
    let mut extents = Vec::new();
    if let Some(below) = depth.checked_sub(1) {
        for entry in entries.rev() {
            let index = ExtentIndex::ref_from_bytes(entry).map_err(|_| Unreadable::Tree)?;
            let block = u64::from(index.ei_leaf_lo.get()) | u64::from(index.ei_leaf_hi.get()) << 32;
            if !disk.shape.contains(block, 1) {
                return Err(Unreadable::Tree);
            }
            pending.push(Pending { block, depth: below });
        }
        return Ok(extents);
    }
    for entry in entries {
        let extent = RawExtent::ref_from_bytes(entry).map_err(|_| Unreadable::Tree)?;
        let length = u64::from(extent.ee_len.get());
        // Longer ones were never written (`EXT4_EXT_UNWRITTEN_MASK`).
        let written = length <= MAX_BLOCKS;
        let mapping = Mapping {
            logical: u64::from(extent.ee_block.get()),
            physical: u64::from(extent.ee_start_lo.get()) | u64::from(extent.ee_start_hi.get()) << 32,
            blocks: if written { length } else { length.saturating_sub(MAX_BLOCKS) },
        };
        if mapping.blocks == 0 || !disk.shape.contains(mapping.physical, mapping.blocks) {
            return Err(Unreadable::Tree);
        }
        extents.push(Extent { mapping, written });
    }
    Ok(extents)
}

/// The pieces on disk of a range of a file's blocks: `(logical, physical, blocks)`; what is beyond the
/// mappings is left out.
pub(crate) fn pieces(
    mappings: &[Mapping],
    logical: u64,
    blocks: u64,
) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
    let end = logical.saturating_add(blocks);
    mappings.iter().filter_map(move |mapping| {
        let from = mapping.logical.max(logical);
        let to = mapping.logical.saturating_add(mapping.blocks).min(end);
        let into = from.saturating_sub(mapping.logical);
        (from < to).then(|| (from, mapping.physical.saturating_add(into), to.saturating_sub(from)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_the_range() {
        let mappings = [
            Mapping { logical: 0, physical: 100, blocks: 4 },
            Mapping { logical: 4, physical: 50, blocks: 2 },
            Mapping { logical: 6, physical: 10, blocks: 90 },
        ];
        let found: Vec<_> = pieces(&mappings, 3, 5).collect();
        assert_eq!(found, [(3, 103, 1), (4, 50, 2), (6, 10, 2)]);
        assert_eq!(pieces(&mappings, 96, 5).count(), 0);
    }
}
