//! Whether a growth of ours was interrupted, and where.

use std::mem::offset_of;

use zerocopy::IntoBytes;

use crate::checksum::Checksum;
use crate::features::Incompat;
use crate::inspect::{Disk, InspectError};
use crate::journal::{Log, LogError, Marker, Transaction};
use crate::superblock::Superblock;

/// What our transactions start with.
const MAGIC: [u8; 8] = *b"offshoot";

/// How far an interrupted growth came.
pub(crate) enum Unfinished {
    /// There is none: the filesystem is as somebody else left it.
    Nothing,
    /// The transaction is in the log, but does not count yet.
    Prepared,
    /// The transaction counts: whoever replays the journal makes the filesystem larger.
    Committed(Box<Log>, Transaction<'static>),
    /// All is in its place, and the log is empty again.
    InPlace,
}

/// The marker of a transaction that finds one of these two superblocks in place: as it is before, and as it is
/// afterwards, both with `needs_recovery`. Once somebody else wrote to the filesystem it is neither.
pub(super) fn marker(before: &Superblock, after: &Superblock) -> Marker {
    let mut bytes = [0; 16];
    let parts = [&MAGIC[..], &fingerprint(before), &fingerprint(after)].concat();
    for (to, from) in bytes.iter_mut().zip(parts) {
        *to = from;
    }
    Marker(bytes)
}

/// Tells superblocks apart. Their own checksum is left out: with it, the sum over any of them would be the same.
fn fingerprint(superblock: &Superblock) -> [u8; 4] {
    let bytes = superblock.as_bytes();
    let covered = bytes.get(..offset_of!(Superblock, s_checksum)).unwrap_or(bytes);
    Checksum::new().update(covered).value().to_le_bytes()
}

/// Looks for an interrupted growth.
pub(crate) fn find(disk: &Disk<'_>) -> Result<Unfinished, InspectError> {
    match find_in_log(disk) {
        Ok(found) => Ok(found),
        Err(LogError::Device(error)) => Err(error.into()),
        // Growth never starts on such a filesystem.
        Err(LogError::Inspect(_) | LogError::Problem(_)) => Ok(Unfinished::Nothing),
    }
}

fn find_in_log(disk: &Disk<'_>) -> Result<Unfinished, LogError> {
    if !disk.features.has_incompat(Incompat::RECOVER) {
        return Ok(Unfinished::Nothing);
    }
    let log = Log::open(disk)?;
    let now = fingerprint(&disk.superblock);
    let start = u64::from(log.superblock.start());
    let sequence = log.superblock.sequence();
    let marked = |sequence| -> Result<(bool, bool), LogError> {
        let marker = Transaction::marker_in(&log, disk, sequence)?;
        let Some(Marker(bytes)) = marker.filter(|Marker(bytes)| bytes.starts_with(&MAGIC)) else {
            return Ok((false, false));
        };
        let is = |range: std::ops::Range<usize>| bytes.get(range) == Some(&now[..]);
        Ok((is(8..12), is(12..16)))
    };
    if start == 0 {
        let (before, _) = marked(sequence)?;
        let (_, after) = marked(sequence.wrapping_sub(1))?;
        return Ok(match (before, after) {
            (true, _) => Unfinished::Prepared,
            (false, true) => Unfinished::InPlace,
            (false, false) => Unfinished::Nothing,
        });
    }
    let (before, after) = marked(sequence)?;
    if start == log.first()
        && (before || after)
        && let Some(transaction) = Transaction::read(&log, disk, sequence)?
    {
        return Ok(Unfinished::Committed(Box::new(log), transaction));
    }
    Ok(Unfinished::Nothing)
}
