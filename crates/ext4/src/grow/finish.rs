use zerocopy::FromBytes;

use crate::device::Device;
use crate::grow::GrowError;
use crate::grow::journaled::{conclude, recovered};
use crate::grow::plan::{superblock_block, superblock_offset};
use crate::grow::steps;
use crate::grow::unfinished::{self, Unfinished};
use crate::inspect::{Disk, InspectError, Shape};
use crate::journal::{Log, Transaction};
use crate::superblock::Superblock;

/// What became of an interrupted growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// There was none. The filesystem may be in any condition.
    Nothing,
    /// It had not come far enough: the filesystem is clean, at its old size. Grow it again.
    Undone,
    /// The filesystem is clean, at its new size.
    Completed,
}

/// Completes a growth by [`Grow::apply_journaled`](crate::Grow::apply_journaled) that was interrupted.
///
/// It is recognised by a marker in its transaction and by the superblock, which must be as the growth left it: the
/// journal of a machine that has run since, or runs now, is never touched. Doing it twice does no harm, and neither
/// does an interruption of this. With `sync` it is on disk when this returns.
///
/// # Errors
///
/// `Device`, or `Inspect` if what there is to complete cannot be right.
pub fn finish_grow(device: &dyn Device, sync: bool) -> Result<Finished, GrowError> {
    let disk = Disk::open(device)?;
    match unfinished::find(&disk)? {
        Unfinished::Nothing => Ok(Finished::Nothing),
        Unfinished::Prepared => {
            steps::write_superblock(device, &recovered(&disk.superblock))?;
            device.barrier(sync)?;
            Ok(Finished::Undone)
        }
        Unfinished::InPlace => {
            steps::write_superblock(device, &recovered(&disk.superblock))?;
            device.barrier(sync)?;
            Ok(Finished::Completed)
        }
        Unfinished::Committed(mut log, transaction) => {
            replay(&disk, &mut log, &transaction, sync)?;
            Ok(Finished::Completed)
        }
    }
}

/// Writes everything to its place.
fn replay(
    disk: &Disk<'_>,
    log: &mut Log,
    transaction: &Transaction<'_>,
    sync: bool,
) -> Result<(), GrowError> {
    let damaged = || InspectError::damaged("the journal of an interrupted growth");
    let first = superblock_block(&disk.shape);
    let block = transaction.pieces.iter().find(|piece| piece.first == first).ok_or_else(damaged)?;
    let bytes = block.bytes.get(superblock_offset(&disk.shape)..).unwrap_or_default();
    let (superblock, _) = Superblock::read_from_prefix(bytes).map_err(|_| damaged())?;
    let superblock = recovered(&superblock);
    let shape = Shape::of(&superblock, disk.device_bytes)?;
    if shape.block_bytes != disk.shape.block_bytes || shape.blocks < disk.shape.blocks {
        return Err(damaged().into());
    }
    steps::write_pieces(disk.device, shape.block_bytes, transaction.all_but(first))?;
    let table = disk.read_blocks(disk.table_start(), shape.descriptor_blocks)?;
    steps::write_backups(disk.device, &shape, &superblock, &table, 0..shape.groups)?;
    conclude(disk, log, &superblock, sync)
}
