//! Where everything lies. One cursor goes from the first block to the last and steps over the backups of
//! the superblock; what it hands out makes regions, each in one piece but for those steps.
//!
//! In the order of the disk: superblock, descriptors and reserved descriptors; the resize inode's block;
//! all bitmaps; directories, extended attributes, extent trees, long symbolic links; copied contents; the
//! journal's first block; all inode tables; the rest of the journal; shared contents; free space.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "block numbers are below 2^35: geometries and demands have at most 2^32 blocks each"
)]

use std::ops::Range;

use crate::extent::{self, Mapping};
use crate::geometry::{GROUP_BLOCKS, Geometry};
use crate::inode;

/// Up to so many unwritten blocks between two written ranges are written as zeros: 256 KiB on disk are
/// cheaper than one more extent in every clone.
pub(crate) const BRIDGE_BLOCKS: u64 = 64;

/// How many blocks a tree needs of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) directories: u64,
    pub(crate) xattr_blocks: u64,
    /// Blocks of extent trees: for how many there is room, and how many of them are used. How many are
    /// needed is known only after a layout was tried.
    pub(crate) extent_blocks: u64,
    pub(crate) extent_blocks_used: u64,
    pub(crate) symlinks: u64,
    pub(crate) copies: u64,
    pub(crate) shares: u64,
    /// Inodes in use, the reserved ones included.
    pub(crate) inodes: u64,
}

/// Blocks that belong together, addressed from zero on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Region {
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    address: u64,
    physical: u64,
    blocks: u64,
}

impl Region {
    /// Where a block lies on disk.
    pub(crate) fn physical(&self, address: u64) -> u64 {
        self.pieces_from(address).first().map_or(0, |piece| piece.physical + (address - piece.address))
    }

    /// Where a range of blocks lies: `(address, physical, blocks)`, in order.
    pub(crate) fn ranges(&self, address: u64, blocks: u64) -> impl Iterator<Item = (u64, u64, u64)> {
        let end = address + blocks;
        self.pieces_from(address).iter().take_while(move |piece| piece.address < end).map(move |piece| {
            let from = piece.address.max(address);
            let to = (piece.address + piece.blocks).min(end);
            (from, piece.physical + (from - piece.address), to - from)
        })
    }

    /// Adds a range of blocks to a file's mappings, from `logical` on.
    pub(crate) fn map(&self, address: u64, blocks: u64, logical: u64, mappings: &mut Vec<Mapping>) {
        for (from, physical, blocks) in self.ranges(address, blocks) {
            extent::push(mappings, Mapping { logical: logical + (from - address), physical, blocks });
        }
    }

    fn pieces_from(&self, address: u64) -> &[Piece] {
        let at = self.pieces.partition_point(|piece| piece.address + piece.blocks <= address);
        self.pieces.get(at..).unwrap_or_default()
    }

    fn physical_ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.pieces.iter().map(|piece| piece.physical..piece.physical + piece.blocks)
    }

    fn blocks(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.address + piece.blocks)
    }

    fn append(&mut self, next: &Self) {
        let before = self.blocks();
        self.pieces
            .extend(next.pieces.iter().map(|piece| Piece { address: before + piece.address, ..*piece }));
    }
}

/// Hands out blocks in ascending order.
struct Cursor {
    next: u64,
    /// Backups that still lie ahead, ascending.
    backups: std::iter::Peekable<std::vec::IntoIter<Range<u64>>>,
    used: Vec<Range<u64>>,
}

impl Cursor {
    fn new(geometry: &Geometry) -> Self {
        let base = geometry.base_blocks();
        let backups: Vec<_> =
            geometry.backup_groups().map(|group| group * GROUP_BLOCKS..group * GROUP_BLOCKS + base).collect();
        Self { next: 0, backups: backups.into_iter().peekable(), used: Vec::new() }
    }

    fn mark(&mut self, range: Range<u64>) {
        match self.used.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.used.push(range),
        }
    }

    /// How many blocks there are before the next backup, which is stepped over if there are fewer than
    /// wanted.
    fn room(&mut self, wanted: u64) -> u64 {
        while let Some(backup) = self.backups.next_if(|backup| backup.start - self.next < wanted) {
            self.mark(backup.clone());
            self.next = backup.end;
        }
        self.backups.peek().map_or(u64::MAX, |backup| backup.start - self.next)
    }

    fn take(&mut self, blocks: u64) -> Region {
        let mut region = Region::default();
        let mut address = 0;
        while address < blocks {
            let piece = self.room(1).min(blocks - address);
            region.pieces.push(Piece { address, physical: self.next, blocks: piece });
            self.mark(self.next..self.next + piece);
            self.next += piece;
            address += piece;
        }
        region
    }

    fn take_contiguous(&mut self, blocks: u64) -> u64 {
        self.room(blocks);
        let start = self.next;
        self.mark(start..start + blocks);
        self.next += blocks;
        start
    }

    /// Leaves out some blocks: they stay free.
    fn leave(&mut self, mut blocks: u64) {
        while blocks > 0 {
            let piece = self.room(1).min(blocks);
            self.next += piece;
            blocks -= piece;
        }
    }

    /// The end of what was handed out, and all that is in use, ascending.
    fn finish(mut self) -> (u64, Vec<Range<u64>>) {
        let end = self.next;
        while let Some(backup) = self.backups.next() {
            self.mark(backup);
        }
        (end, self.used)
    }
}

/// Where everything lies, in blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) geometry: Geometry,
    /// The resize inode's double-indirect block.
    pub(crate) double_indirect: u64,
    /// Block bitmaps of all groups, then inode bitmaps of all groups.
    pub(crate) bitmaps: Region,
    pub(crate) directories: Region,
    pub(crate) xattr_blocks: Region,
    pub(crate) extent_blocks: Region,
    pub(crate) symlinks: Region,
    pub(crate) copies: Region,
    pub(crate) journal: Region,
    /// First block of each group's.
    pub(crate) inode_tables: Vec<u64>,
    pub(crate) shares: Region,
    /// All blocks in use, ascending.
    pub(crate) used: Vec<Range<u64>>,
    /// The end of all but backups. Beyond the filesystem's end, if it is too small.
    pub(crate) end: u64,
    /// Inodes in use, the reserved ones included.
    pub(crate) inodes: u64,
}

impl Layout {
    /// Lays out what is demanded, also if it does not fit.
    pub(crate) fn new(geometry: &Geometry, demand: &Demand) -> Self {
        let mut cursor = Cursor::new(geometry);
        cursor.take_contiguous(geometry.base_blocks());
        let double_indirect = cursor.take_contiguous(1);
        let bitmaps = cursor.take(2 * geometry.groups);
        let directories = cursor.take(demand.directories);
        let xattr_blocks = cursor.take(demand.xattr_blocks);
        let extent_blocks = cursor.take(demand.extent_blocks_used);
        cursor.leave(demand.extent_blocks.saturating_sub(demand.extent_blocks_used));
        let symlinks = cursor.take(demand.symlinks);
        let copies = cursor.take(demand.copies);
        let mut journal = cursor.take(geometry.journal_blocks.min(1));
        let table = geometry.inode_table_blocks();
        let inode_tables = (0..geometry.groups).map(|_| cursor.take_contiguous(table)).collect();
        journal.append(&cursor.take(geometry.journal_blocks.saturating_sub(1)));
        let shares = cursor.take(demand.shares);
        let (end, used) = cursor.finish();
        Self {
            geometry: *geometry,
            double_indirect,
            bitmaps,
            directories,
            xattr_blocks,
            extent_blocks,
            symlinks,
            copies,
            journal,
            inode_tables,
            shares,
            used,
            end,
            inodes: demand.inodes,
        }
    }

    /// How many blocks are in use.
    pub(crate) fn used_blocks(&self) -> u64 {
        self.used.iter().map(|range| range.end - range.start).sum()
    }

    /// Groups from the first on that have inodes in use.
    pub(crate) fn groups_with_inodes(&self) -> u64 {
        self.inodes.div_ceil(self.geometry.inodes_per_group)
    }

    /// Whether a group's block bitmap is written. The kernel can make it up only where nothing is in use
    /// but the group's own backup, and never for the last group, whose bitmap is padded.
    pub(crate) fn has_block_bitmap(&self, group: u64) -> bool {
        group * GROUP_BLOCKS < self.end
            || group < self.groups_with_inodes()
            || group + 1 == self.geometry.groups
    }

    /// How many inodes of a group are in use: always its first ones.
    pub(crate) fn used_inodes(&self, group: u64) -> u64 {
        let per_group = self.geometry.inodes_per_group;
        self.inodes.saturating_sub(group * per_group).min(per_group)
    }

    /// The blocks that come to be written with metadata, copies included, ascending.
    fn written(&self) -> Vec<Range<u64>> {
        let geometry = &self.geometry;
        let head = 1 + geometry.descriptor_blocks;
        let reserved = if geometry.groups > 1 { geometry.reserved_blocks } else { 0 };
        let single = |block: u64| block..block + 1;
        let with_inodes = self.groups_with_inodes();
        let bitmap = |address: u64| single(self.bitmaps.physical(address));
        let mut written = vec![0..head + reserved, single(self.double_indirect)];
        written.extend((0..geometry.groups).filter(|&group| self.has_block_bitmap(group)).map(bitmap));
        written.extend((0..with_inodes).map(|group| bitmap(geometry.groups + group)));
        for region in
            [&self.directories, &self.xattr_blocks, &self.extent_blocks, &self.symlinks, &self.copies]
        {
            written.extend(region.physical_ranges());
        }
        if geometry.journal_blocks > 0 {
            written.push(single(self.journal.physical(0)));
        }
        for (group, &table) in (0..with_inodes).zip(&self.inode_tables) {
            let blocks = self.used_inodes(group).div_ceil(inode::PER_BLOCK);
            written.push(table..table + blocks);
        }
        written
            .extend(geometry.backup_groups().map(|group| group * GROUP_BLOCKS..group * GROUP_BLOCKS + head));
        written.sort_unstable_by_key(|range| range.start);
        written
    }

    /// How many blocks are written as metadata: neither copied nor shared.
    pub(crate) fn metadata_blocks(&self) -> u64 {
        let written: u64 = self.written().iter().map(|range| range.end - range.start).sum();
        written - self.copies.blocks()
    }

    /// How many extents the image's file gets on a host that can share, if the shared runs have these
    /// lengths: one for every range of written blocks, one for every piece of a run.
    pub(crate) fn host_extents(&self, shared_runs: impl Iterator<Item = u64>) -> u64 {
        let mut address = 0;
        let mut shares = Vec::new();
        for blocks in shared_runs {
            shares.extend(
                self.shares
                    .ranges(address, blocks)
                    .map(|(_, physical, blocks)| (physical..physical + blocks, true)),
            );
            address += blocks;
        }
        let written = self.written().into_iter().map(|range| (range, false));
        let mut all: Vec<(Range<u64>, bool)> = written.chain(shares).collect();
        all.sort_unstable_by_key(|(range, _)| range.start);
        let mut extents = 0;
        let mut previous: Option<(u64, bool)> = None;
        for (range, shared) in all {
            let joins = previous.is_some_and(|(end, was_shared)| {
                !shared && !was_shared && range.start - end <= BRIDGE_BLOCKS
            });
            extents += u64::from(!joins);
            previous = Some((range.end, shared));
        }
        extents
    }

    /// How much of a range of blocks is in use, as ranges that start at its own start.
    pub(crate) fn used_within(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let first = self.used.partition_point(|used| used.end <= range.start);
        let rest = self.used.get(first..).unwrap_or_default();
        rest.iter()
            .take_while(move |used| used.start < range.end)
            .map(move |used| used.start.max(range.start) - range.start..used.end.min(range.end) - range.start)
    }
}
