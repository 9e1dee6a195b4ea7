//! The journal's blocks and where they lie.

use zerocopy::{FromBytes, IntoBytes};

use crate::checksum::Checksum;
use crate::device::DeviceError;
use crate::extent::{Mapping, Unreadable, leading, pieces};
use crate::features::Compat;
use crate::halves::{index, length, low32};
use crate::inode::InodeFlags;
use crate::inspect::{Disk, InspectError};
use crate::journal::JournalProblem;
use crate::journal::superblock::{HEAD_BYTES, JournalSuperblock, MAGIC, SUPERBLOCK_V2};
use crate::sums::Sums;

/// `JBD2_FEATURE_COMPAT_CHECKSUM`: commit blocks may have a sum; without it they are as good.
const COMPAT_CHECKSUM: u32 = 1;
/// `JBD2_FEATURE_INCOMPAT_REVOKE`: there may be records of blocks not to be replayed.
const INCOMPAT_REVOKE: u32 = 1;
/// `JBD2_FEATURE_INCOMPAT_64BIT`: tags have the high half of block numbers.
const INCOMPAT_64BIT: u32 = 2;
/// `JBD2_FEATURE_INCOMPAT_ASYNC_COMMIT`: the commit block may come before what it commits.
const INCOMPAT_ASYNC_COMMIT: u32 = 4;
/// `JBD2_FEATURE_INCOMPAT_CSUM_V2`: checksums, in tags 16 bits of them.
const INCOMPAT_CSUM_V2: u32 = 8;
/// `JBD2_FEATURE_INCOMPAT_CSUM_V3`: checksums, in tags all of them.
const INCOMPAT_CSUM_V3: u32 = 16;
/// `JBD2_CRC32C_CHKSUM`.
const CHECKSUM_CRC32C: u8 = 4;
/// At most so many of the log's blocks are used: more than the largest growth needs.
const MAX_LOG: u64 = 8192;

/// Which checksums a log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogSums {
    None,
    /// 16 bits of them in tags.
    V2(Checksum),
    V3(Checksum),
}

/// How transactions are written in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) block_bytes: usize,
    pub(super) sums: LogSums,
    /// Tags have the high half of block numbers.
    pub(super) wide: bool,
}

/// Why a log cannot be used.
#[derive(Debug)]
pub(crate) enum LogError {
    Device(DeviceError),
    /// The filesystem around it.
    Inspect(InspectError),
    Problem(JournalProblem),
}

impl From<DeviceError> for LogError {
    fn from(error: DeviceError) -> Self {
        Self::Device(error)
    }
}

impl From<InspectError> for LogError {
    fn from(error: InspectError) -> Self {
        Self::Inspect(error)
    }
}

impl From<JournalProblem> for LogError {
    fn from(problem: JournalProblem) -> Self {
        Self::Problem(problem)
    }
}

/// A filesystem's own journal.
pub(crate) struct Log {
    pub(crate) superblock: JournalSuperblock,
    pub(super) format: Format,
    /// The first block of transactions.
    pub(super) first: u64,
    /// How many blocks of transactions there are from `first` on that may be used at once.
    pub(super) capacity: u64,
    mappings: Vec<Mapping>,
}

impl Log {
    /// Finds the journal of a filesystem, and checks that it can be used. It may have transactions.
    pub(crate) fn open(disk: &Disk<'_>) -> Result<Self, LogError> {
        let superblock = &disk.superblock;
        if !disk.features.has_compat(Compat::HAS_JOURNAL) {
            return Err(JournalProblem::Missing.into());
        }
        let number = superblock.s_journal_inum.get();
        if number == 0 || superblock.s_journal_uuid != [0; 16] {
            return Err(JournalProblem::External.into());
        }
        let inode = disk.inode(number)?;
        if !inode.raw.is_regular() || !inode.raw.flags().contains(InodeFlags::EXTENTS) {
            return Err(JournalProblem::Scattered.into());
        }
        let seed = match disk.sums {
            Sums::Crc32c(seed) => inode.raw.seed(number, seed),
            Sums::Crc16(_) | Sums::None => Checksum::new(),
        };
        let blocks = inode.raw.size().checked_div(disk.shape.block_bytes).unwrap_or(0);
        let mappings =
            leading(disk, inode.raw.block(), seed, blocks.min(MAX_LOG)).map_err(|error| match error {
                Unreadable::Device(error) => LogError::Device(error),
                Unreadable::Tree => JournalProblem::Scattered.into(),
            })?;
        let (_, first, _) = pieces(&mappings, 0, 1).next().ok_or(JournalProblem::Scattered)?;
        let bytes = disk.read_blocks(first, 1)?;
        let damaged = |part| JournalProblem::Damaged { part };
        let (raw, _) =
            JournalSuperblock::read_from_prefix(&bytes).map_err(|_| damaged("the journal's superblock"))?;
        Ok(Self::of(raw, mappings, blocks, disk)?)
    }

    fn of(
        raw: JournalSuperblock,
        mappings: Vec<Mapping>,
        blocks: u64,
        disk: &Disk<'_>,
    ) -> Result<Self, JournalProblem> {
        let damaged = |part| Err(JournalProblem::Damaged { part });
        if raw.h_magic.get() != MAGIC || raw.h_blocktype.get() != SUPERBLOCK_V2 {
            return damaged("the journal's superblock");
        }
        let compat = (raw.s_feature_compat.get() & !COMPAT_CHECKSUM) | raw.s_feature_ro_compat.get();
        let incompat = raw.s_feature_incompat.get();
        let known =
            INCOMPAT_REVOKE | INCOMPAT_64BIT | INCOMPAT_ASYNC_COMMIT | INCOMPAT_CSUM_V2 | INCOMPAT_CSUM_V3;
        if compat != 0 || incompat & !known != 0 {
            return Err(JournalProblem::Features { compat, incompat: incompat & !known });
        }
        let seed = Checksum::new().update(&raw.s_uuid);
        let sums = match (incompat & INCOMPAT_CSUM_V2 != 0, incompat & INCOMPAT_CSUM_V3 != 0) {
            (false, false) => LogSums::None,
            (true, false) => LogSums::V2(seed),
            (false, true) => LogSums::V3(seed),
            (true, true) => return damaged("its features"),
        };
        if sums != LogSums::None && (raw.s_checksum_type != CHECKSUM_CRC32C || !raw.is_sealed()) {
            return damaged("its superblock's checksum");
        }
        if raw.s_errno.get() != 0 {
            return Err(JournalProblem::Aborted);
        }
        let shape = &disk.shape;
        if u64::from(raw.s_blocksize.get()) != shape.block_bytes || raw.s_nr_users.get() > 1 {
            return damaged("its superblock");
        }
        let (first, end) = (u64::from(raw.s_first.get()), u64::from(raw.s_maxlen.get()));
        if first == 0 || first >= end || end > blocks {
            return damaged("its length");
        }
        let format =
            Format { block_bytes: index(shape.block_bytes), sums, wide: incompat & INCOMPAT_64BIT != 0 };
        // One block stays behind the last transaction, to say that it is the last.
        let capacity = end.min(MAX_LOG).saturating_sub(first).saturating_sub(1);
        Ok(Self { superblock: raw, format, first, capacity, mappings })
    }

    /// Reads blocks of the log.
    pub(super) fn read(&self, disk: &Disk<'_>, position: u64, blocks: u64) -> Result<Vec<u8>, DeviceError> {
        let mut bytes = Vec::new();
        for (_, physical, count) in pieces(&self.mappings, position, blocks) {
            bytes.extend(disk.read_blocks(physical, count)?);
        }
        Ok(bytes)
    }

    /// Writes whole blocks of the log.
    pub(crate) fn write(&self, disk: &Disk<'_>, mut bytes: &[u8]) -> Result<(), DeviceError> {
        let blocks = bytes.len().div_ceil(self.format.block_bytes.max(1));
        for (_, physical, count) in pieces(&self.mappings, self.first, length(blocks)) {
            let piece = index(count).saturating_mul(self.format.block_bytes).min(bytes.len());
            let (now, rest) = bytes.split_at(piece);
            disk.device.write(physical.saturating_mul(disk.shape.block_bytes), now)?;
            bytes = rest;
        }
        Ok(())
    }

    /// Says where the first transaction is (zero: there is none) and its number, by one write of one sector.
    pub(crate) fn set_start(
        &mut self,
        disk: &Disk<'_>,
        start: u64,
        sequence: u32,
    ) -> Result<(), DeviceError> {
        self.superblock.s_start.set(low32(start));
        self.superblock.s_sequence.set(sequence);
        if self.format.sums != LogSums::None {
            self.superblock.seal();
        }
        let physical = pieces(&self.mappings, 0, 1).next().map_or(0, |(_, physical, _)| physical);
        let head = self.superblock.as_bytes().get(..HEAD_BYTES).unwrap_or_default();
        disk.device.write(physical.saturating_mul(disk.shape.block_bytes), head)
    }

    /// Where the first transaction of growth is always put.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }
}
