//! Entries of the L1, L2 and refcount tables: 8 bytes, big-endian.

use zerocopy::FromBytes;
use zerocopy::big_endian::U64;

use crate::image::Image;
use crate::{Corruption, Error};

/// Its cluster has a reference count of exactly one, and may be written in place.
pub(crate) const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// The cluster reads as zeros, whatever it holds.
const ZERO: u64 = 1;
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// What an L2 entry says of a cluster that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its contents are this host cluster's, which is its own.
    Mapped(u64),
    /// This host cluster is its own, but its contents are not seen yet.
    Reserved(u64),
    /// It needs a new host cluster.
    Fresh,
}

/// The entries `first..first + count` of a table.
pub(crate) fn read_entries(image: &Image, table: u64, first: u64, count: u64) -> Result<Vec<u64>, Error> {
    let bytes = image.read(table.saturating_add(first.saturating_mul(8)), count.saturating_mul(8))?;
    let (entries, _) = <[U64]>::ref_from_prefix(&bytes).unwrap_or_default();
    Ok(entries.iter().map(|entry| entry.get()).collect())
}

/// Where the L2 table of an L1 entry lies, if there is one that may be written.
pub(crate) fn l2_table(image: &Image, entry: u64, guest_offset: u64) -> Result<Option<u64>, Error> {
    let offset = entry & OFFSET;
    if entry == 0 {
        Ok(None)
    } else if entry == offset | COPIED && offset != 0 && is_cluster(image, offset)? {
        Ok(Some(offset))
    } else {
        Err(image.corrupt(Corruption::Entry { table: "L1", guest_offset, entry }))
    }
}

/// What is to be done with a cluster that is written.
pub(crate) fn place(image: &Image, entry: u64, guest_offset: u64) -> Result<Place, Error> {
    let offset = entry & OFFSET;
    if entry & COMPRESSED != 0 || entry & !ZERO == 0 {
        return Ok(Place::Fresh);
    }
    let valid = entry & !(OFFSET | ZERO | COPIED) == 0 && offset != 0;
    if !valid || !image.header_allows(offset) {
        return Err(image.corrupt(Corruption::Entry { table: "L2", guest_offset, entry }));
    }
    Ok(match (entry & COPIED != 0, entry & ZERO != 0) {
        (true, false) => Place::Mapped(offset),
        (true, true) => Place::Reserved(offset),
        (false, _) => Place::Fresh,
    })
}

/// Where the block of a refcount table's entry lies, if there is one. `file_offset` is what the block counts first.
pub(crate) fn refcount_block(image: &Image, entry: u64, file_offset: u64) -> Result<Option<u64>, Error> {
    if entry == 0 {
        Ok(None)
    } else if is_cluster(image, entry)? {
        Ok(Some(entry))
    } else {
        Err(image.corrupt(Corruption::Entry { table: "refcount", guest_offset: file_offset, entry }))
    }
}

/// Whether a whole cluster of tables can lie there.
fn is_cluster(image: &Image, offset: u64) -> Result<bool, Error> {
    Ok(image.header_allows(offset) && offset < image.file_bytes()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::create;

    fn image(directory: &std::path::Path) -> Image {
        let path = directory.join("overlay");
        create(&path, "backing", 1 << 30).unwrap();
        Image::open(&path, true).unwrap()
    }

    #[test]
    fn what_l2_entries_say() {
        let directory = tempfile::tempdir().unwrap();
        let image = image(directory.path());
        for (entry, expected) in [
            (0, Some(Place::Fresh)),
            (ZERO, Some(Place::Fresh)),
            (COPIED | 0x5_0000, Some(Place::Mapped(0x5_0000))),
            (COPIED | 0x5_0000 | ZERO, Some(Place::Reserved(0x5_0000))),
            // Shared with a snapshot: it must not be written.
            (0x5_0000, Some(Place::Fresh)),
            (0x5_0000 | ZERO, Some(Place::Fresh)),
            (COMPRESSED | 0x5_0123, Some(Place::Fresh)),
            (COPIED, None),
            (COPIED | 0x5_0200, None),
            (COPIED | 0x5_0000 | 2, None),
            (COPIED | 0x5_0000 | 1 << 61, None),
            (COPIED | 0x5_0000 | 1 << 56, None),
        ] {
            assert_eq!(place(&image, entry, 0).ok(), expected, "{entry:#x}");
        }
    }

    #[test]
    fn which_tables_may_be_written() {
        let directory = tempfile::tempdir().unwrap();
        let image = image(directory.path());
        for (entry, expected) in [
            (0, Some(None)),
            (COPIED | 0x3_0000, Some(Some(0x3_0000))),
            (0x3_0000, None),
            (COPIED, None),
            (COPIED | 0x3_0200, None),
            (COPIED | 0x3_0000 | 1, None),
            // Behind the end of the file.
            (COPIED | 0x4_0000, None),
        ] {
            assert_eq!(l2_table(&image, entry, 0).ok(), expected, "{entry:#x}");
        }
        for (entry, expected) in [
            (0, Some(None)),
            (0x2_0000, Some(Some(0x2_0000))),
            (0x2_0001, None),
            (0x2_0200, None),
            (0x4_0000, None),
            (u64::MAX, None),
        ] {
            assert_eq!(refcount_block(&image, entry, 0).ok(), expected, "{entry:#x}");
        }
    }
}
