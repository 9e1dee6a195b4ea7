//! Writing what was planned.

use std::ops::Range;

use zerocopy::IntoBytes;

use crate::device::{Device, DeviceError};
use crate::halves::{index, length, low32};
use crate::inspect::Shape;
use crate::journal::Piece;
use crate::sums::Sums;
use crate::superblock::{self, Superblock};

/// Blocks that are to be written.
pub(super) fn piece(first: u64, bytes: Vec<u8>) -> Piece<'static> {
    Piece { first, bytes: bytes.into() }
}

/// Writes pieces to their places.
pub(super) fn write_pieces<'a>(
    device: &dyn Device,
    block_bytes: u64,
    pieces: impl IntoIterator<Item = &'a Piece<'a>>,
) -> Result<(), DeviceError> {
    for piece in pieces {
        device.write(piece.first.saturating_mul(block_bytes), &piece.bytes)?;
    }
    Ok(())
}

/// Writes the primary superblock, by one write.
pub(super) fn write_superblock(device: &dyn Device, superblock: &Superblock) -> Result<(), DeviceError> {
    device.write(length(superblock::OFFSET), superblock.as_bytes())
}

/// Writes the backups of superblock and descriptors that some groups have; `table` may be empty, for the
/// superblock alone.
pub(crate) fn write_backups(
    device: &dyn Device,
    shape: &Shape,
    superblock: &Superblock,
    table: &[u8],
    groups: Range<u64>,
) -> Result<(), DeviceError> {
    let sums = Sums::of(superblock);
    let block_bytes = index(shape.block_bytes);
    let mut bytes = vec![0; block_bytes];
    bytes.extend_from_slice(table);
    for group in shape.backup_groups().filter(|group| groups.contains(group)) {
        let backup = superblock.backup(low32(group), sums);
        for (to, from) in bytes.iter_mut().zip(backup.as_bytes()) {
            *to = *from;
        }
        device.write(shape.group_start(group).saturating_mul(shape.block_bytes), &bytes)?;
    }
    Ok(())
}
