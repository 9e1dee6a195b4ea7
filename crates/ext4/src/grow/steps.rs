//! Writing what was planned.

use std::ops::Range;

use zerocopy::IntoBytes;

use crate::device::{Device, DeviceError};
use crate::halves::{index, length, low32};
use crate::inspect::Shape;
use crate::sums::Sums;
use crate::superblock::{self, Superblock};

/// How much is gathered for one write.
const RUN_BYTES: usize = 1 << 20;

/// Bytes and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// Writes blocks, ascending, neighbours together.
pub(super) fn write_blocks<'a>(
    device: &dyn Device,
    block_bytes: u64,
    blocks: impl IntoIterator<Item = &'a (u64, Vec<u8>)>,
) -> Result<(), DeviceError> {
    let mut run: Vec<u8> = Vec::new();
    let mut start = 0;
    for (number, bytes) in blocks {
        let offset = number.saturating_mul(block_bytes);
        if !run.is_empty() && (offset != length(run.len()).saturating_add(start) || run.len() >= RUN_BYTES) {
            device.write(start, &run)?;
            run.clear();
        }
        if run.is_empty() {
            start = offset;
        }
        run.extend_from_slice(bytes);
    }
    if run.is_empty() { Ok(()) } else { device.write(start, &run) }
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
