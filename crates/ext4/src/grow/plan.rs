use std::borrow::Cow;
use std::fmt;

use zerocopy::IntoBytes;

use crate::device::Device;
use crate::features::Incompat;
use crate::grow::groups::Groups;
use crate::grow::steps::{self, piece};
use crate::grow::unfinished::{self, Unfinished};
use crate::grow::{GrowError, resize_inode, supported};
use crate::halves::{high32, index, length, low16, low32};
use crate::inspect::{Disk, InspectError, Shape, State};
use crate::journal::Piece;
use crate::superblock::{self, Superblock};

/// The granularity of sizes, in bytes.
const GRANULARITY: u64 = 4096;

/// How a filesystem comes to be larger: all that will be written. A value, which touches nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Grow {
    pub(super) old: Shape,
    pub(super) new: Shape,
    /// What was asked for, in whole units of 4 KiB.
    pub(super) device_bytes: u64,
    /// The primary superblock as it was read, and as it will be.
    pub(super) before: Superblock,
    pub(super) after: Superblock,
    /// All group descriptors.
    pub(super) table: Vec<u8>,
    /// What nobody reads as long as the filesystem has its old size, but for backups in new groups.
    pub(super) ahead: Vec<Piece<'static>>,
    /// Blocks of the old filesystem that must change together, ascending; the superblock's own is the first piece.
    pub(super) joint: Vec<Piece<'static>>,
}

impl Grow {
    /// Plans growth to so many bytes. Nothing is written.
    ///
    /// The size is rounded down to 4 KiB. A last group that would be too small to be of use (less than its own
    /// metadata and 50 blocks, as mke2fs has it) is left out of the filesystem, which then is smaller than what
    /// was asked for: [`new_size_bytes`](Self::new_size_bytes) says how large, and the device gets the size
    /// that was asked for all the same.
    ///
    /// Where the filesystem has that size already there is nothing to do, whatever its condition: Ok, and
    /// [`grows`](Self::grows) says no. A device that is longer than asked for keeps its length, one that is
    /// shorter gets the size.
    ///
    /// # Errors
    ///
    /// All of [`GrowError`] but `NoSafeJournal`.
    pub fn plan(device: &dyn Device, new_size_bytes: u64) -> Result<Self, GrowError> {
        let disk = Disk::open(device)?;
        let old = disk.shape;
        let state = State::of(&disk);
        if state == State::NeedsRecovery && !matches!(unfinished::find(&disk)?, Unfinished::Nothing) {
            return Err(GrowError::Interrupted);
        }
        let device_bytes = (new_size_bytes / GRANULARITY).saturating_mul(GRANULARITY);
        let blocks = device_bytes.checked_div(old.block_bytes).unwrap_or(0);
        if new_size_bytes < old.bytes() {
            let filesystem_bytes = old.bytes();
            return Err(GrowError::WouldLoseData { filesystem_bytes, requested_bytes: new_size_bytes });
        }
        let device_bytes = device_bytes.max(old.bytes());
        let new = old.grown(blocks.max(old.blocks));
        let mut grow = Self {
            old,
            new,
            device_bytes,
            before: disk.superblock.clone(),
            after: disk.superblock.clone(),
            table: Vec::new(),
            ahead: Vec::new(),
            joint: Vec::new(),
        };
        if new.blocks == old.blocks {
            return Ok(grow);
        }
        supported::check(&disk)?;
        if state != State::Clean {
            return Err(GrowError::NotClean { state });
        }
        check_limits(&disk, &new)?;
        grow.fill(&disk)?;
        Ok(grow)
    }

    /// Reckons what is to be written.
    fn fill(&mut self, disk: &Disk<'_>) -> Result<(), InspectError> {
        let groups = Groups::new(disk, &self.new)?;
        self.after = superblock(disk, &self.new, groups.free_blocks)?;
        let block_bytes = self.new.block_bytes;
        let first = superblock_block(&self.new);
        let mut joint = vec![piece(first, disk.read_blocks(first, 1)?)];
        let unchanged = index(groups.unchanged_blocks.saturating_mul(block_bytes));
        let changed = groups.table.get(unchanged..).unwrap_or_default().to_vec();
        joint.push(piece(disk.table_start().saturating_add(groups.unchanged_blocks), changed));
        joint.extend(resize_inode::changes(disk, &self.new)?);
        joint.extend(groups.old_bitmap);
        joint.sort_unstable_by_key(|piece| piece.first);
        // No block has two meanings, unless somebody made it so.
        let mut end = first;
        for piece in &joint {
            if piece.first < end {
                return Err(InspectError::damaged("where metadata lies"));
            }
            end = piece.first.saturating_add(piece.blocks(block_bytes));
        }
        self.joint = joint;
        self.ahead = groups.fresh_bitmaps;
        self.table = groups.table;
        Ok(())
    }

    /// The filesystem's size before, in bytes.
    pub fn old_size_bytes(&self) -> u64 {
        self.old.bytes()
    }

    /// The filesystem's size afterwards, in bytes.
    pub fn new_size_bytes(&self) -> u64 {
        self.new.bytes()
    }

    /// The size in bytes that the device will have at the least.
    pub fn device_bytes(&self) -> u64 {
        self.device_bytes
    }

    /// How many bytes of what was asked for are left out, since they would make a group too small to be of use.
    pub fn left_out_bytes(&self) -> u64 {
        self.device_bytes.saturating_sub(self.new.bytes())
    }

    /// Whether the filesystem changes at all.
    pub fn grows(&self) -> bool {
        self.new.blocks != self.old.blocks
    }

    /// How many bytes come to be written, the device's new length and a journal not counted.
    pub fn written_bytes(&self) -> u64 {
        if !self.grows() {
            return 0;
        }
        let once = self.joint.iter().chain(&self.ahead).map(|piece| length(piece.bytes.len()));
        let once = once.fold(0, u64::saturating_add);
        let backup = length(self.table.len()).saturating_add(self.new.block_bytes);
        once.saturating_add(backup.saturating_mul(length(self.new.backup_groups().count())))
    }

    /// Grows a filesystem that nobody else sees: reads nothing, writes as little as can be, whole blocks, and syncs
    /// nothing. Interrupted, it leaves something that is of no use.
    ///
    /// The device is the one that growth was planned on, unchanged, or has the same bytes: a fresh copy need not be read.
    ///
    /// Ok says that the device took everything, not that anything is on disk.
    pub fn apply(&self, device: &dyn Device) -> Result<(), GrowError> {
        self.enlarge(device)?;
        if !self.grows() {
            return Ok(());
        }
        let block_bytes = self.new.block_bytes;
        steps::write_pieces(device, block_bytes, &self.ahead)?;
        steps::write_pieces(device, block_bytes, &self.joint_with(&self.after))?;
        steps::write_backups(device, &self.new, &self.after, &self.table, 0..self.new.groups)?;
        Ok(())
    }

    /// Gives the device its length.
    pub(super) fn enlarge(&self, device: &dyn Device) -> Result<(), GrowError> {
        if device.size()? < self.device_bytes {
            device.enlarge(self.device_bytes)?;
        }
        Ok(())
    }

    /// Whether the filesystem is still what was planned for.
    pub(super) fn check_unchanged(&self, disk: &Disk<'_>) -> Result<(), GrowError> {
        if disk.superblock == self.before { Ok(()) } else { Err(GrowError::Changed) }
    }

    /// The joint change, with this superblock in its place.
    pub(super) fn joint_with(&self, superblock: &Superblock) -> Vec<Piece<'_>> {
        let mut joint: Vec<Piece<'_>> = self
            .joint
            .iter()
            .map(|piece| Piece { first: piece.first, bytes: Cow::Borrowed(&*piece.bytes) })
            .collect();
        if let Some(piece) = joint.first_mut() {
            put_superblock(&self.new, piece.bytes.to_mut(), superblock);
        }
        joint
    }
}

impl fmt::Debug for Grow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range =
            |piece: &Piece<'_>| piece.first..piece.first.saturating_add(piece.blocks(self.new.block_bytes));
        let joint: Vec<_> = self.joint.iter().map(range).collect();
        f.debug_struct("Grow")
            .field("old", &self.old)
            .field("new", &self.new)
            .field("device_bytes", &self.device_bytes)
            .field("joint_blocks", &joint)
            .field("written_bytes", &self.written_bytes())
            .finish_non_exhaustive()
    }
}

/// The block that has the primary superblock.
pub(super) fn superblock_block(shape: &Shape) -> u64 {
    shape.first_block
}

/// Where in that block it is.
pub(super) fn superblock_offset(shape: &Shape) -> usize {
    superblock::OFFSET.checked_rem(index(shape.block_bytes)).unwrap_or(0)
}

fn put_superblock(shape: &Shape, block: &mut [u8], superblock: &Superblock) {
    for (to, from) in block.iter_mut().skip(superblock_offset(shape)).zip(superblock.as_bytes()) {
        *to = *from;
    }
}

fn check_limits(disk: &Disk<'_>, new: &Shape) -> Result<(), GrowError> {
    let old = &disk.shape;
    let wide = disk.features.has_incompat(Incompat::SIXTY_FOUR_BIT);
    let limit = if wide { old.limit_blocks() } else { old.limit_blocks().min(u32::MAX.into()) };
    if new.blocks <= limit {
        return Ok(());
    }
    let limit_bytes = limit.saturating_mul(old.block_bytes);
    if new.groups.saturating_mul(new.inodes_per_group) > u64::from(u32::MAX) {
        return Err(GrowError::TooManyInodes { limit_bytes });
    }
    Err(GrowError::PastReservation { limit_bytes })
}

/// The primary superblock of the filesystem when it has grown, sealed.
fn superblock(disk: &Disk<'_>, new: &Shape, free_blocks: u64) -> Result<Superblock, InspectError> {
    let old = &disk.shape;
    let mut raw = disk.superblock.clone();
    let free_blocks = raw.free_blocks().saturating_add(free_blocks);
    let added = new.groups.saturating_sub(old.groups);
    let added_inodes = added.saturating_mul(new.inodes_per_group);
    let free_inodes = u64::from(raw.s_free_inodes_count.get()).saturating_add(added_inodes);
    let inodes = new.groups.saturating_mul(new.inodes_per_group);
    if free_blocks > new.blocks || free_inodes > inodes {
        return Err(InspectError::damaged("the number of free blocks or inodes"));
    }
    // Root's share stays what it was.
    let root = u128::from(raw.reserved_blocks()).saturating_mul(new.blocks.into());
    let root = root.checked_div(old.blocks.into()).unwrap_or(0);
    let root = u64::try_from(root).unwrap_or(new.blocks);
    raw.s_inodes_count.set(low32(inodes));
    raw.s_free_inodes_count.set(low32(free_inodes));
    raw.s_blocks_count_lo.set(low32(new.blocks));
    raw.s_free_blocks_count_lo.set(low32(free_blocks));
    raw.s_r_blocks_count_lo.set(low32(root));
    if disk.features.has_incompat(Incompat::SIXTY_FOUR_BIT) {
        raw.s_blocks_count_hi.set(high32(new.blocks));
        raw.s_free_blocks_count_hi.set(high32(free_blocks));
        raw.s_r_blocks_count_hi.set(high32(root));
    }
    raw.s_reserved_gdt_blocks.set(low16(low32(new.reserved_blocks)));
    let overhead = raw.s_overhead_clusters.get();
    if overhead != 0 {
        let more =
            (old.groups..new.groups).fold(0, |sum: u64, group| sum.saturating_add(new.overhead(group)));
        raw.s_overhead_clusters.set(overhead.saturating_add(low32(more)));
    }
    disk.sums.seal(&mut raw);
    Ok(raw)
}
