//! Where a file's blocks lie: where two files have the same blocks they have the same bytes, and none has to be read.

use std::fs::File;
use std::io;

use rustix::io::Errno;

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
    match fiemap::fiemap(file, offset) {
        Ok(map) if map.mapped_extents == 0 => Ok(Known::Extent(None)),
        Ok(map) if map.extent.flags & fiemap::ELSEWHERE != 0 => Ok(Known::Nothing),
        Ok(map) => Ok(Known::Extent(Some((map.extent.logical, map.extent.physical, map.extent.length)))),
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(Known::Nothing),
        Err(error) => Err(error.into()),
    }
}

/// A call that rustix does not have.
#[expect(unsafe_code, reason = "rustix has no FS_IOC_FIEMAP")]
mod fiemap {
    use std::fs::File;

    use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

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

    /// The same with room for one extent.
    #[repr(C)]
    pub(super) struct Map {
        start: u64,
        length: u64,
        flags: u32,
        pub(super) mapped_extents: u32,
        extent_count: u32,
        reserved: u32,
        pub(super) extent: Extent,
    }

    const _: () = assert!(size_of::<Header>() == 32 && size_of::<Extent>() == 56);
    const _: () = assert!(size_of::<Map>() == size_of::<Header>() + size_of::<Extent>());

    const FS_IOC_FIEMAP: Opcode = opcode::read_write::<Header>(b'f', 11);

    /// The extent at an offset.
    pub(super) fn fiemap(file: &File, offset: u64) -> rustix::io::Result<Map> {
        let mut map = Map {
            start: offset,
            length: 1,
            flags: 0,
            mapped_extents: 0,
            extent_count: 1,
            reserved: 0,
            extent: Extent::default(),
        };
        // SAFETY: FS_IOC_FIEMAP reads a `struct fiemap` and writes to it and at most `extent_count` extents behind it, here one;
        // the map has that layout and that room, and is borrowed for the length of the call.
        unsafe { ioctl(file, Updater::<FS_IOC_FIEMAP, Map>::new(&mut map)) }?;
        Ok(map)
    }
}
