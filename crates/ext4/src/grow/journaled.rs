//! Growing in place, so that an interruption at any write leaves a valid filesystem.

use crate::device::Device;
use crate::features::Incompat;
use crate::grow::plan::superblock_block;
use crate::grow::steps;
use crate::grow::unfinished::marker;
use crate::grow::{Grow, GrowError};
use crate::inspect::{Disk, State};
use crate::journal::{Log, Transaction};
use crate::sums::Sums;
use crate::superblock::Superblock;

impl Grow {
    /// Grows a filesystem in place, so that an interruption at any write leaves it valid: at its old size, or at
    /// the new one for whoever replays its journal, be that a kernel, e2fsck or
    /// [`finish_grow`](crate::finish_grow).
    ///
    /// What must change together is first written to the filesystem's own journal, as a transaction of jbd2. Before
    /// that, what lies beyond the old filesystem; then `needs_recovery` is set; then the journal's superblock says
    /// that there is a transaction: that one write of one sector is the moment at which the filesystem has the new
    /// size. Then everything is written to its place, the journal is emptied, and `needs_recovery` is cleared.
    ///
    /// With `sync`, the device is synced between these steps, and a power cut is an interruption as any other;
    /// without, the order is only that of the calls, which holds if a process is killed.
    ///
    /// # Errors
    ///
    /// `NoSafeJournal` if there is no journal that can carry the change, `Changed` if the filesystem is not the one
    /// that was planned for, before anything is written; `Device`.
    pub fn apply_journaled(&self, device: &dyn Device, sync: bool) -> Result<(), GrowError> {
        if !self.grows() {
            self.enlarge(device)?;
            return Ok(device.barrier(sync)?);
        }
        let disk = Disk::open(device)?;
        self.check_unchanged(&disk)?;
        let state = State::of(&disk);
        if state != State::Clean {
            return Err(GrowError::NotClean { state });
        }
        let mut log = Log::open(&disk)?;
        if log.superblock.start() != 0 {
            // e2fsck would ask whether to replay it.
            return Err(GrowError::NotClean { state: State::NeedsRecovery });
        }
        let before = recovering(&self.before);
        let after = recovering(&self.after);
        let sequence = log.superblock.sequence();
        let marker = marker(&before, &after);
        let transaction = Transaction { sequence, marker, pieces: self.joint_with(&after) };
        let encoded = transaction.encode(&log)?;

        self.enlarge(device)?;
        steps::write_pieces(device, self.new.block_bytes, &self.ahead)?;
        steps::write_backups(device, &self.new, &self.after, &self.table, self.old.groups..self.new.groups)?;
        log.write(&disk, &encoded)?;
        device.barrier(sync)?;
        // From here on it needs recovery, of a journal that is empty.
        steps::write_superblock(device, &before)?;
        device.barrier(sync)?;
        // From here on it has its new size.
        log.set_start(&disk, log.first(), sequence)?;
        device.barrier(sync)?;
        steps::write_pieces(device, self.new.block_bytes, transaction.all_but(superblock_block(&self.new)))?;
        steps::write_backups(device, &self.new, &self.after, &self.table, 0..self.old.groups)?;
        conclude(&disk, &mut log, &self.after, sync)
    }
}

/// Says that the filesystem is larger when all but the superblock is in its place, empties the journal, and says so.
///
/// The superblock waits for the rest: kernels read as many descriptors as it tells before they replay the journal.
pub(super) fn conclude(
    disk: &Disk<'_>,
    log: &mut Log,
    superblock: &Superblock,
    sync: bool,
) -> Result<(), GrowError> {
    disk.device.barrier(sync)?;
    steps::write_superblock(disk.device, &recovering(superblock))?;
    disk.device.barrier(sync)?;
    let sequence = log.superblock.sequence().wrapping_add(1);
    log.set_start(disk, 0, sequence)?;
    disk.device.barrier(sync)?;
    steps::write_superblock(disk.device, superblock)?;
    Ok(disk.device.barrier(sync)?)
}

/// The superblock of a filesystem whose journal counts.
fn recovering(superblock: &Superblock) -> Superblock {
    let mut raw = superblock.clone();
    raw.s_feature_incompat.set(raw.s_feature_incompat.get() | Incompat::RECOVER.bits());
    Sums::of(&raw).seal(&mut raw);
    raw
}

/// The superblock of a filesystem whose journal is empty and done with.
pub(super) fn recovered(superblock: &Superblock) -> Superblock {
    let mut raw = superblock.clone();
    raw.s_feature_incompat.set(raw.s_feature_incompat.get() & !Incompat::RECOVER.bits());
    Sums::of(&raw).seal(&mut raw);
    raw
}
