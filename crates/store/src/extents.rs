//! Where a file's blocks lie: two files whose blocks are the same have the same bytes, and none of them has to be read.

use std::fs::File;
use std::io;

use rustix::io::Errno;

/// The most extents that are looked at.
const MAX_EXTENTS: usize = 64;

/// Whether two files consist of the same blocks at the same places, holes included.
///
/// `Ok(None)`: that cannot be said here: the filesystem does not tell, has not decided yet, keeps contents elsewhere
/// than in blocks, or there are more than 64 extents.
pub fn same_blocks(one: &File, other: &File) -> io::Result<Option<bool>> {
    let (Some(one), Some(other)) = (extents(one)?, extents(other)?) else { return Ok(None) };
    Ok(Some(one == other))
}

/// Logical offset, physical offset and length, in bytes.
type Extent = (u64, u64, u64);

fn extents(file: &File) -> io::Result<Option<Vec<Extent>>> {
    let map = match fiemap::fiemap(file) {
        Ok(map) => map,
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(extents) = map.extents.get(..map.mapped_extents as usize) else { return Ok(None) };
    let is_whole = extents.last().is_none_or(|last| last.flags & fiemap::LAST != 0);
    if !is_whole || extents.iter().any(|extent| extent.flags & fiemap::ELSEWHERE != 0) {
        return Ok(None);
    }
    Ok(Some(extents.iter().map(|extent| (extent.logical, extent.physical, extent.length)).collect()))
}

/// A call that rustix does not have.
#[expect(unsafe_code, reason = "rustix has no FS_IOC_FIEMAP")]
mod fiemap {
    use std::fs::File;

    use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

    use super::MAX_EXTENTS;

    /// `FIEMAP_EXTENT_LAST`
    pub(super) const LAST: u32 = 0x1;
    /// `FIEMAP_EXTENT_UNKNOWN`, `_DELALLOC`, `_ENCODED`, `_DATA_ENCRYPTED`, `_NOT_ALIGNED`, `_DATA_INLINE`, `_DATA_TAIL`:
    /// the physical offset is none, or not all that there is to say.
    pub(super) const ELSEWHERE: u32 = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400;

    /// `struct fiemap_extent` of `linux/fiemap.h`.
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    pub(super) struct Extent {
        pub(super) logical: u64,
        pub(super) physical: u64,
        pub(super) length: u64,
        reserved64: [u64; 2],
        pub(super) flags: u32,
        reserved: [u32; 3],
    }

    /// `struct fiemap` without its extents.
    #[repr(C)]
    struct Header {
        start: u64,
        length: u64,
        flags: u32,
        mapped_extents: u32,
        extent_count: u32,
        reserved: u32,
    }

    /// The same with room for extents.
    #[repr(C)]
    pub(super) struct Map {
        start: u64,
        length: u64,
        flags: u32,
        pub(super) mapped_extents: u32,
        extent_count: u32,
        reserved: u32,
        pub(super) extents: [Extent; MAX_EXTENTS],
    }

    const _: () = assert!(size_of::<Header>() == 32 && size_of::<Extent>() == 56);
    const _: () = assert!(size_of::<Map>() == size_of::<Header>() + MAX_EXTENTS * size_of::<Extent>());

    const FS_IOC_FIEMAP: Opcode = opcode::read_write::<Header>(b'f', 11);

    pub(super) fn fiemap(file: &File) -> rustix::io::Result<Map> {
        let mut map = Map {
            start: 0,
            length: u64::MAX,
            flags: 0,
            mapped_extents: 0,
            extent_count: MAX_EXTENTS as u32,
            reserved: 0,
            extents: [Extent::default(); MAX_EXTENTS],
        };
        // SAFETY: FS_IOC_FIEMAP reads a `struct fiemap` and writes to it and at most `extent_count` extents behind it;
        // the map has that layout and that room, and is borrowed for the length of the call.
        unsafe { ioctl(file, Updater::<FS_IOC_FIEMAP, Map>::new(&mut map)) }?;
        Ok(map)
    }
}
