//! Tags: where a block of a transaction belongs, in the forms that a journal's features give it
//! (`journal_tag_bytes` and after it in `fs/jbd2/journal.c`).

use std::mem::size_of;

use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::Checksum;
use crate::halves::{high32, low16, low32};
use crate::journal::log::{Format, LogSums};

/// `JBD2_FLAG_ESCAPE`: the block starts with the journal's magic number, which was zeroed in the log.
pub(super) const ESCAPED: u32 = 1;
/// `JBD2_FLAG_SAME_UUID`: no UUID follows the tag.
pub(super) const SAME_UUID: u32 = 2;
/// `JBD2_FLAG_LAST_TAG`.
pub(super) const LAST: u32 = 8;
/// What comes before the first tag.
pub(super) const HEADER_BYTES: usize = 12;
/// What follows a tag without [`SAME_UUID`].
pub(super) const UUID_BYTES: usize = 16;

/// Says where a block of data belongs, `struct journal_block_tag_s`; without `64bit` the last field is left out,
/// with checksums of version 2 there are two more bytes.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Tag {
    t_blocknr: U32,
    t_checksum: U16,
    t_flags: U16,
    t_blocknr_high: U32,
}

/// The tag with checksums of version 3, `struct journal_block_tag3_s`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Tag3 {
    t_blocknr: U32,
    t_flags: U32,
    t_blocknr_high: U32,
    t_checksum: U32,
}

const _: () = {
    assert!(size_of::<Tag>() == 12);
    assert!(size_of::<Tag3>() == 16);
};

/// A tag and what it says, whatever its form.
pub(super) struct Place {
    pub(super) block: u64,
    pub(super) flags: u32,
    pub(super) checksum: u32,
}

impl Format {
    /// `journal_tag_bytes`.
    pub(super) fn tag_bytes(self) -> usize {
        match self.sums {
            LogSums::V3(_) => size_of::<Tag3>(),
            LogSums::V2(_) if self.wide => size_of::<Tag>().saturating_add(2),
            LogSums::V2(_) => 10,
            LogSums::None if self.wide => size_of::<Tag>(),
            LogSums::None => 8,
        }
    }

    /// Where tags must end: a descriptor's checksum is its last four bytes.
    pub(super) fn tags_end(self) -> usize {
        if self.sums == LogSums::None { self.block_bytes } else { self.block_bytes.saturating_sub(4) }
    }

    /// How many blocks a descriptor can name: the first tag is followed by a UUID.
    pub(super) fn most_tags(self) -> usize {
        let room = self.tags_end().saturating_sub(HEADER_BYTES).saturating_sub(UUID_BYTES);
        room.checked_div(self.tag_bytes()).unwrap_or(0)
    }

    pub(super) fn seed(self) -> Option<Checksum> {
        match self.sums {
            LogSums::None => None,
            LogSums::V2(seed) | LogSums::V3(seed) => Some(seed),
        }
    }

    /// The checksum of a block of data as it is in the log.
    pub(super) fn data_checksum(self, sequence: u32, data: &[u8]) -> u32 {
        self.seed().map_or(0, |seed| seed.update(&sequence.to_be_bytes()).update(data).value())
    }

    pub(super) fn put(self, place: &Place, to: &mut [u8]) {
        let tag3 = Tag3 {
            t_blocknr: low32(place.block).into(),
            t_flags: place.flags.into(),
            t_blocknr_high: high32(place.block).into(),
            t_checksum: place.checksum.into(),
        };
        let tag = Tag {
            t_blocknr: low32(place.block).into(),
            t_checksum: if self.sums == LogSums::None { 0 } else { low16(place.checksum) }.into(),
            t_flags: low16(place.flags).into(),
            t_blocknr_high: high32(place.block).into(),
        };
        let v3 = matches!(self.sums, LogSums::V3(_));
        let bytes = if v3 { tag3.as_bytes() } else { tag.as_bytes() };
        let used = if v3 || self.wide { bytes } else { bytes.get(..8).unwrap_or_default() };
        for (to, from) in to.iter_mut().zip(used) {
            *to = *from;
        }
    }

    pub(super) fn get(self, from: &[u8]) -> Option<Place> {
        if let LogSums::V3(_) = self.sums {
            let (tag, _) = Tag3::ref_from_prefix(from).ok()?;
            let high = if self.wide { u64::from(tag.t_blocknr_high.get()) << 32 } else { 0 };
            let block = u64::from(tag.t_blocknr.get()) | high;
            return Some(Place { block, flags: tag.t_flags.get(), checksum: tag.t_checksum.get() });
        }
        let mut bytes = [0; size_of::<Tag>()];
        for (to, from) in bytes.iter_mut().zip(from.get(..self.tag_bytes())?) {
            *to = *from;
        }
        let (tag, _) = Tag::ref_from_prefix(&bytes).ok()?;
        let high = if self.wide { u64::from(tag.t_blocknr_high.get()) << 32 } else { 0 };
        let block = u64::from(tag.t_blocknr.get()) | high;
        Some(Place { block, flags: tag.t_flags.get().into(), checksum: tag.t_checksum.get().into() })
    }

    /// Whether a tag's checksum is that of its data.
    pub(super) fn agrees(self, place: &Place, sequence: u32, data: &[u8]) -> bool {
        let checksum = self.data_checksum(sequence, data);
        match self.sums {
            LogSums::None => true,
            LogSums::V2(_) => place.checksum == u32::from(low16(checksum)),
            LogSums::V3(_) => place.checksum == checksum,
        }
    }
}
