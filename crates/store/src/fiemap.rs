//! Where the kernel says that parts of a file lie.

use std::fs::File;

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

/// `FIEMAP_EXTENT_LAST`: there is none behind this one.
pub(crate) const LAST: u32 = 0x1;
/// `FIEMAP_EXTENT_ENCODED`: compressed or encrypted, so that its length on disk is another one.
pub(crate) const ENCODED: u32 = 0x8;
/// `FIEMAP_EXTENT_UNKNOWN`, `_DELALLOC`, `_DATA_INLINE`, `_DATA_TAIL`: in no blocks of its own, or none yet.
pub(crate) const UNPLACED: u32 = 0x2 | 0x4 | 0x200 | 0x400;
/// The same, `ENCODED`, `FIEMAP_EXTENT_DATA_ENCRYPTED` and `_NOT_ALIGNED`: the physical offset is none, or not all that
/// there is to say.
pub(crate) const ELSEWHERE: u32 = UNPLACED | ENCODED | 0x80 | 0x100;
/// `FIEMAP_EXTENT_SHARED`: others have it too.
pub(crate) const SHARED: u32 = 0x2000;

/// `struct fiemap_extent` of `linux/fiemap.h`: offsets and length in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extent {
    pub(crate) logical: u64,
    pub(crate) physical: u64,
    pub(crate) length: u64,
    reserved64: [u64; 2],
    pub(crate) flags: u32,
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

/// The same with room for so many extents.
#[repr(C)]
pub(crate) struct Map<const N: usize> {
    header: Header,
    extents: [Extent; N],
}

const _: () = assert!(size_of::<Header>() == 32 && size_of::<Extent>() == 56);
const _: () = assert!(size_of::<Map<3>>() == size_of::<Header>() + 3 * size_of::<Extent>());

const FS_IOC_FIEMAP: Opcode = opcode::read_write::<Header>(b'f', 11);

impl<const N: usize> Map<N> {
    pub(crate) fn extents(&self) -> &[Extent] {
        self.extents.get(..self.header.mapped_extents as usize).unwrap_or(&self.extents)
    }
}

/// The first extents of a range of a file; they may begin before it and end behind it.
#[expect(unsafe_code, reason = "rustix has no FS_IOC_FIEMAP")]
pub(crate) fn fiemap<const N: usize>(file: &File, start: u64, length: u64) -> rustix::io::Result<Map<N>> {
    let header = Header {
        start,
        length,
        flags: 0,
        mapped_extents: 0,
        extent_count: u32::try_from(N).unwrap_or(u32::MAX),
        reserved: 0,
    };
    let mut map = Map { header, extents: [Extent::default(); N] };
    // SAFETY: FS_IOC_FIEMAP reads a `struct fiemap` and writes to it and at most `extent_count` extents behind it; the map has
    // that layout and room for N of them, and is borrowed for the length of the call.
    unsafe { ioctl(file, Updater::<FS_IOC_FIEMAP, Map<N>>::new(&mut map)) }?;
    Ok(map)
}
