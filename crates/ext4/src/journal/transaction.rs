//! Transactions as jbd2 writes them (`fs/jbd2/commit.c`) and replays them (`fs/jbd2/recovery.c`).

use std::borrow::Cow;
use std::mem::size_of;

use zerocopy::big_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::device::DeviceError;
use crate::halves::{high32, index, length};
use crate::inspect::Disk;
use crate::journal::JournalProblem;
use crate::journal::log::{Format, Log};
use crate::journal::superblock::MAGIC;
use crate::journal::tag::{ESCAPED, LAST, Place, SAME_UUID, UUID_BYTES};

/// `JBD2_DESCRIPTOR_BLOCK` and `JBD2_COMMIT_BLOCK`.
const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
/// The head of every block of the log that is not data, `struct journal_header_s`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    h_magic: U32,
    h_blocktype: U32,
    h_sequence: U32,
}

/// The end of a transaction, `struct commit_header`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Commit {
    header: Header,
    h_chksum_type: u8,
    h_chksum_size: u8,
    h_padding: [u8; 2],
    h_chksum: [U32; 8],
    h_commit_sec: U64,
    h_commit_nsec: U32,
}

const _: () = {
    assert!(size_of::<Header>() == 12);
    assert!(size_of::<Commit>() == 60);
};

/// What stands in place of a UUID after the first tag: nobody reads it there but who looks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker(pub(crate) [u8; 16]);

/// Blocks that lie together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// The first block's number.
    pub(crate) first: u64,
    /// Whole blocks, one at the least.
    pub(crate) bytes: Cow<'a, [u8]>,
}

impl Piece<'_> {
    /// How many blocks they are.
    pub(crate) fn blocks(&self, block_bytes: u64) -> u64 {
        length(self.bytes.len()).checked_div(block_bytes).unwrap_or(0)
    }
}

/// Blocks that come to their places together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transaction<'a> {
    pub(crate) sequence: u32,
    pub(crate) marker: Marker,
    pub(crate) pieces: Vec<Piece<'a>>,
}

impl Transaction<'_> {
    /// Its blocks but for the piece that begins there.
    pub(crate) fn all_but(&self, block: u64) -> impl Iterator<Item = &Piece<'_>> {
        self.pieces.iter().filter(move |piece| piece.first != block)
    }

    /// All blocks and their numbers.
    fn blocks(&self, format: Format) -> impl Iterator<Item = (u64, &[u8])> {
        self.pieces
            .iter()
            .flat_map(move |piece| (piece.first..).zip(piece.bytes.chunks_exact(format.block_bytes.max(1))))
    }

    /// Its blocks of a log, the commit included, and a block of zeros where the next one would begin.
    pub(crate) fn encode(&self, log: &Log) -> Result<Vec<u8>, JournalProblem> {
        let format = log.format;
        let count = self.blocks(format).count();
        let most = format.most_tags();
        let descriptors = count.checked_div(most).unwrap_or(count).saturating_add(1);
        let needed_blocks = length(count.saturating_add(descriptors).saturating_add(1));
        if needed_blocks > log.capacity {
            return Err(JournalProblem::TooSmall { needed_blocks, has_blocks: log.capacity });
        }
        if !format.wide && self.blocks(format).any(|(block, _)| high32(block) != 0) {
            return Err(JournalProblem::NarrowTags);
        }
        let all = index(needed_blocks).saturating_add(1).saturating_mul(format.block_bytes);
        let mut bytes = Vec::with_capacity(all);
        let mut blocks = self.blocks(format);
        let mut left = count;
        while left > 0 {
            let now = left.min(most);
            self.describe(format, blocks.by_ref().take(now), now, left == count, &mut bytes);
            left = left.saturating_sub(now);
        }
        bytes.extend_from_slice(&self.commit(format));
        bytes.resize(bytes.len().saturating_add(format.block_bytes), 0);
        Ok(bytes)
    }

    fn header(&self, kind: u32) -> Header {
        Header { h_magic: MAGIC.into(), h_blocktype: kind.into(), h_sequence: self.sequence.into() }
    }

    /// Adds a descriptor block for so many blocks, and these.
    fn describe<'b>(
        &self,
        format: Format,
        blocks: impl Iterator<Item = (u64, &'b [u8])>,
        count: usize,
        first: bool,
        bytes: &mut Vec<u8>,
    ) {
        let start = bytes.len();
        bytes.resize(start.saturating_add(format.block_bytes), 0);
        let mut descriptor = vec![0; format.block_bytes];
        put(&mut descriptor, 0, self.header(DESCRIPTOR).as_bytes());
        let mut at = size_of::<Header>();
        for (number, (block, data)) in blocks.enumerate() {
            let start = bytes.len();
            bytes.extend_from_slice(data);
            let mut flags = 0;
            if data.starts_with(&MAGIC.to_be_bytes()) {
                flags |= ESCAPED;
                put(bytes, start, &[0; 4]);
            }
            if number > 0 {
                flags |= SAME_UUID;
            }
            if number.saturating_add(1) == count {
                flags |= LAST;
            }
            let checksum = format.data_checksum(self.sequence, bytes.get(start..).unwrap_or_default());
            if let Some(tag) = descriptor.get_mut(at..at.saturating_add(format.tag_bytes())) {
                format.put(&Place { block, flags, checksum }, tag);
            }
            at = at.saturating_add(format.tag_bytes());
            if number == 0 {
                if first {
                    put(&mut descriptor, at, &self.marker.0);
                }
                at = at.saturating_add(UUID_BYTES);
            }
        }
        if let Some(seed) = format.seed() {
            let checksum = seed.update(&descriptor).value();
            put(&mut descriptor, format.tags_end(), &checksum.to_be_bytes());
        }
        put(bytes, start, &descriptor);
    }

    fn commit(&self, format: Format) -> Vec<u8> {
        let mut commit = Commit::new_zeroed();
        commit.header = self.header(COMMIT);
        let mut block = vec![0; format.block_bytes];
        put(&mut block, 0, commit.as_bytes());
        if let Some(seed) = format.seed() {
            commit.h_chksum = [0.into(); 8];
            let checksum = seed.update(&block).value();
            if let Some(first) = commit.h_chksum.first_mut() {
                first.set(checksum);
            }
            put(&mut block, 0, commit.as_bytes());
        }
        block
    }

    /// The marker of what stands at the log's first place, if that is a descriptor with this number.
    pub(crate) fn marker_in(
        log: &Log,
        disk: &Disk<'_>,
        sequence: u32,
    ) -> Result<Option<Marker>, DeviceError> {
        let descriptor = log.read(disk, log.first, 1)?;
        Ok(is(&descriptor, DESCRIPTOR, sequence).then(|| marker(log.format, &descriptor)).flatten())
    }

    /// Reads the transaction with this number from the log's first place; `None` if it is not all there.
    /// Each block is a piece of its own.
    pub(crate) fn read(
        log: &Log,
        disk: &Disk<'_>,
        sequence: u32,
    ) -> Result<Option<Transaction<'static>>, DeviceError> {
        let format = log.format;
        let mut position = log.first;
        let end = log.first.saturating_add(log.capacity);
        let mut found = Transaction { sequence, marker: Marker([0; 16]), pieces: Vec::new() };
        while position < end {
            let block = log.read(disk, position, 1)?;
            if is(&block, COMMIT, sequence) {
                let complete = !found.pieces.is_empty() && block == found.commit(format);
                return Ok(complete.then_some(found));
            }
            let Some(places) = places(format, &block, sequence) else { return Ok(None) };
            if position == log.first {
                let Some(marker) = marker(format, &block) else { return Ok(None) };
                found.marker = marker;
            }
            let count = length(places.len());
            position = position.saturating_add(1);
            if count > end.saturating_sub(position) {
                return Ok(None);
            }
            let data = log.read(disk, position, count)?;
            position = position.saturating_add(count);
            for (place, bytes) in places.iter().zip(data.chunks_exact(format.block_bytes)) {
                if !format.agrees(place, sequence, bytes) || !disk.shape.holds(place.block) {
                    return Ok(None);
                }
                let mut bytes = bytes.to_vec();
                if place.flags & ESCAPED != 0 {
                    put(&mut bytes, 0, &MAGIC.to_be_bytes());
                }
                found.pieces.push(Piece { first: place.block, bytes: bytes.into() });
            }
        }
        Ok(None)
    }
}

/// Whether a block of the log is of this kind and transaction.
fn is(block: &[u8], kind: u32, sequence: u32) -> bool {
    Header::ref_from_prefix(block).is_ok_and(|(header, _)| {
        header.h_magic.get() == MAGIC
            && header.h_blocktype.get() == kind
            && header.h_sequence.get() == sequence
    })
}

/// What follows a descriptor's first tag.
fn marker(format: Format, descriptor: &[u8]) -> Option<Marker> {
    let at = size_of::<Header>().saturating_add(format.tag_bytes());
    let bytes = descriptor.get(at..)?.first_chunk::<16>()?;
    Some(Marker(*bytes))
}

/// The tags of a descriptor block of this transaction; `None` if it is none, or its checksum is wrong.
fn places(format: Format, descriptor: &[u8], sequence: u32) -> Option<Vec<Place>> {
    if !is(descriptor, DESCRIPTOR, sequence) {
        return None;
    }
    if let Some(seed) = format.seed() {
        let (covered, sum) = descriptor.split_at_checked(format.tags_end())?;
        if seed.update(covered).update(&[0; 4]).value().to_be_bytes() != sum {
            return None;
        }
    }
    let mut places = Vec::new();
    let mut at = size_of::<Header>();
    loop {
        let tag = descriptor.get(at..format.tags_end())?;
        let place = format.get(tag)?;
        let flags = place.flags;
        places.push(place);
        at = at.saturating_add(format.tag_bytes());
        if flags & SAME_UUID == 0 {
            at = at.saturating_add(UUID_BYTES);
        }
        if flags & LAST != 0 {
            return Some(places);
        }
    }
}

/// Puts bytes into a block; what has no room is left out.
fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in block.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Checksum;
    use crate::journal::log::LogSums;

    #[test]
    fn blocks_that_look_like_the_journals_are_escaped() {
        let seed = Checksum::new();
        for (sums, wide, tag_bytes) in [
            (LogSums::None, false, 8),
            (LogSums::None, true, 12),
            (LogSums::V2(seed), false, 10),
            (LogSums::V2(seed), true, 14),
            (LogSums::V3(seed), false, 16),
            (LogSums::V3(seed), true, 16),
        ] {
            let format = Format { block_bytes: 1024, sums, wide };
            assert_eq!(format.tag_bytes(), tag_bytes);
            let mut magic = vec![7; 1024];
            put(&mut magic, 0, &MAGIC.to_be_bytes());
            let blocks = [(5, vec![1; 1024]), (9, magic), (10, vec![2; 1024])];
            let marker = Marker(*b"0123456789abcdef");
            let transaction = Transaction { sequence: 3, marker, pieces: Vec::new() };
            let mut bytes = Vec::new();
            let pairs = blocks.iter().map(|(block, data)| (*block, data.as_slice()));
            transaction.describe(format, pairs, 3, true, &mut bytes);
            let (descriptor, data) = bytes.split_at(1024);
            assert_eq!(super::marker(format, descriptor), Some(marker));
            let places = places(format, descriptor, 3).unwrap();
            assert_eq!(places.iter().map(|place| place.block).collect::<Vec<_>>(), [5, 9, 10]);
            for (place, (data, expected)) in
                places.iter().zip(data.chunks_exact(1024).zip(blocks.iter().map(|(_, data)| data)))
            {
                assert!(format.agrees(place, 3, data));
                assert_eq!(place.flags & ESCAPED != 0, place.block == 9);
                assert_eq!(data[4..], expected[4..]);
                assert_eq!(data[..4] == expected[..4], place.block != 9);
            }
            assert!(super::places(format, descriptor, 4).is_none());
            if sums != LogSums::None {
                let mut wrong = descriptor.to_vec();
                wrong[500] ^= 1;
                assert!(super::places(format, &wrong, 3).is_none());
                assert!(!format.agrees(&places[0], 4, &data[..1024]));
            }
        }
    }
}
