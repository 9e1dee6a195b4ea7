//! Where a file's blocks lie: where two files have the same blocks they have the same bytes, and none has to be read.

use std::fs::File;
use std::io;

use rustix::io::Errno;

use crate::fiemap::{self, fiemap};

/// Whether two files have the same blocks at each of these offsets, or the same hole: then the bytes around them are the
/// same. Whole maps are not compared: btrfs asks itself for each extent who else has it.
///
/// `Ok(None)`: that cannot be said here: the filesystem does not tell, has not decided yet, or keeps contents elsewhere
/// than in blocks.
pub fn same_blocks(one: &File, other: &File, offsets: &[u64]) -> io::Result<Option<bool>> {
    for &offset in offsets {
        match (extent(one, offset)?, extent(other, offset)?) {
            (Known::Extent(one), Known::Extent(other)) if one == other => {}
            (Known::Extent(_), Known::Extent(_)) => return Ok(Some(false)),
            _ => return Ok(None),
        }
    }
    Ok(Some(true))
}

/// What is known of a place in a file.
enum Known {
    /// Logical offset, physical offset and length in bytes; none of a hole.
    Extent(Option<(u64, u64, u64)>),
    Nothing,
}

fn extent(file: &File, offset: u64) -> io::Result<Known> {
    match fiemap::<1>(file, offset, 1) {
        Ok(map) => Ok(match map.extents().first() {
            None => Known::Extent(None),
            Some(extent) if extent.flags & fiemap::ELSEWHERE != 0 => Known::Nothing,
            Some(extent) => Known::Extent(Some((extent.logical, extent.physical, extent.length))),
        }),
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(Known::Nothing),
        Err(error) => Err(error.into()),
    }
}
