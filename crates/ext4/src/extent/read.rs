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
    node(disk, root, depth, &mut pending, &mut mappings)?;
    for _ in 0..MAX_NODES {
        let covered = mappings.last().map_or(0, |last: &Mapping| last.logical.saturating_add(last.blocks));
        if covered >= wanted {
            return Ok(mappings);
        }
        let Some(next) = pending.pop() else { return Err(Unreadable::Tree) };
        let bytes = disk.read_blocks(next.block, 1)?;
        check(disk, &bytes, seed)?;
        node(disk, &bytes, next.depth, &mut pending, &mut mappings)?;
    }
    Err(Unreadable::Tree)
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

/// Takes up what a node says: mappings of a leaf, else more nodes, the first of them last.
fn node(
    disk: &Disk<'_>,
    bytes: &[u8],
    depth: u16,
    pending: &mut Vec<Pending>,
    mappings: &mut Vec<Mapping>,
) -> Result<(), Unreadable> {
    let header = header(bytes)?;
    let entries = usize::from(header.eh_entries.get());
    let rest = bytes.get(12..).unwrap_or_default();
    if header.eh_depth.get() != depth || entries > rest.len() / 12 {
        return Err(Unreadable::Tree);
    }
    let entries = rest.chunks_exact(12).take(entries);
    if let Some(below) = depth.checked_sub(1) {
        for entry in entries.rev() {
            let index = ExtentIndex::ref_from_bytes(entry).map_err(|_| Unreadable::Tree)?;
            let block = u64::from(index.ei_leaf_lo.get()) | u64::from(index.ei_leaf_hi.get()) << 32;
            if !disk.shape.contains(block, 1) {
                return Err(Unreadable::Tree);
            }
            pending.push(Pending { block, depth: below });
        }
        return Ok(());
    }
    for entry in entries {
        let extent = RawExtent::ref_from_bytes(entry).map_err(|_| Unreadable::Tree)?;
        let mapping = Mapping {
            logical: u64::from(extent.ee_block.get()),
            physical: u64::from(extent.ee_start_lo.get()) | u64::from(extent.ee_start_hi.get()) << 32,
            blocks: u64::from(extent.ee_len.get()),
        };
        let expected = mappings.last().map_or(0, |last| last.logical.saturating_add(last.blocks));
        // Longer ones were never written (`EXT4_EXT_UNWRITTEN_MASK`).
        let usual = (1..=MAX_BLOCKS).contains(&mapping.blocks) && mapping.logical == expected;
        if !usual || !disk.shape.contains(mapping.physical, mapping.blocks) {
            return Err(Unreadable::Tree);
        }
        push(mappings, mapping);
    }
    Ok(())
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
