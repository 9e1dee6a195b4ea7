//! The blocks of one file.

use std::collections::HashMap;
use std::fs::File;

use rustix::io::Errno;

use crate::fiemap::{self, Extent, fiemap};

/// How many extents are asked for at once.
const AT_ONCE: usize = 64;

/// btrfs has no extents that are larger.
const MAX_EXTENT_BYTES: u64 = 128 << 20;

/// A part of a file, in bytes of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) start: u64,
    pub(super) length: u64,
    /// Not the file's: what lies between two of its parts that look like one which was written into.
    pub(super) gap: bool,
    /// Somebody else has it too, or some of it.
    pub(super) shared: bool,
    /// The length is that of what it holds, and on disk smaller.
    pub(super) encoded: bool,
}

/// All parts of a file that have a place on the disk; none where the filesystem does not tell.
///
/// With `whole_extents`, each shared part lies within one extent of the filesystem's, as btrfs has them, and where two of
/// them seem to be of the same one, so does what lies between.
pub(super) fn placed(
    file: &File,
    whole_extents: bool,
    mut place: impl FnMut(Placed),
) -> rustix::io::Result<()> {
    let mut offset = 0;
    let mut apart = Apart::default();
    loop {
        let map = match fiemap::<AT_ONCE>(file, offset, u64::MAX - offset) {
            Ok(map) => map,
            Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => return Ok(()),
            Err(error) => return Err(error),
        };
        for extent in map.extents() {
            if whole_extents && extent.flags & fiemap::SHARED != 0 {
                apart.run(file, extent, &mut place)?;
            } else {
                one(extent, &mut place);
            }
        }
        let Some(last) = map.extents().last() else { return Ok(()) };
        let end = last.logical.saturating_add(last.length);
        if last.flags & fiemap::LAST != 0 || end <= offset {
            return Ok(());
        }
        offset = end;
    }
}

fn one(extent: &Extent, place: &mut impl FnMut(Placed)) {
    if extent.flags & fiemap::UNPLACED == 0 {
        place(Placed {
            start: extent.physical,
            length: extent.length,
            gap: false,
            shared: extent.flags & fiemap::SHARED != 0,
            encoded: extent.flags & fiemap::ENCODED != 0,
        });
    }
}

/// Takes apart what btrfs puts together: extents that follow one another.
#[derive(Default)]
struct Apart {
    /// The last part by how far its place on the disk is from that in the file, and where it begins and ends.
    last: HashMap<u64, (u64, u64)>,
}

impl Apart {
    /// btrfs does not put them together if it is asked for a single byte.
    fn run(&mut self, file: &File, run: &Extent, place: &mut impl FnMut(Placed)) -> rustix::io::Result<()> {
        let end = run.logical.saturating_add(run.length);
        let mut offset = run.logical;
        while offset < end {
            let map = fiemap::<1>(file, offset, 1)?;
            let Some(extent) = map.extents().first() else { return Ok(()) };
            self.gap(extent, place);
            one(extent, place);
            let next = extent.logical.saturating_add(extent.length);
            if next <= offset {
                return Ok(());
            }
            offset = next;
        }
        Ok(())
    }

    fn gap(&mut self, extent: &Extent, place: &mut impl FnMut(Placed)) {
        let end = extent.physical.saturating_add(extent.length);
        let distance = extent.physical.wrapping_sub(extent.logical);
        let Some((start, last_end)) = self.last.insert(distance, (extent.physical, end)) else { return };
        if last_end < extent.physical && end - start <= MAX_EXTENT_BYTES {
            place(Placed { start, length: end - start, gap: true, shared: false, encoded: false });
        }
    }
}
