//! Directory entries, `struct ext4_dir_entry_2` in `fs/ext4/ext4.h`, and the blocks they fill.

use std::mem::size_of;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::Checksum;

/// `file_type` of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileType {
    Regular,
    Directory,
    CharDevice,
    BlockDevice,
    Fifo,
    Socket,
    Symlink,
}

impl FileType {
    /// The number on disk.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Regular => 1,
            Self::Directory => 2,
            Self::CharDevice => 3,
            Self::BlockDevice => 4,
            Self::Fifo => 5,
            Self::Socket => 6,
            Self::Symlink => 7,
        }
    }
}

/// What stands before an entry's name.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct EntryHeader {
    pub(crate) inode: U32,
    pub(crate) rec_len: U16,
    pub(crate) name_len: u8,
    pub(crate) file_type: u8,
}

/// The last 12 bytes of a block of entries, `struct ext4_dir_entry_tail`: to old kernels an unused entry.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct EntryTail {
    det_reserved_zero1: U32,
    det_rec_len: U16,
    det_reserved_zero2: u8,
    det_reserved_ft: u8,
    det_checksum: U32,
}

const _: () = {
    assert!(size_of::<EntryHeader>() == 8);
    assert!(size_of::<EntryTail>() == 12);
};

/// How many bytes of a block entries may take.
pub(crate) const CAPACITY: usize = 4096 - 12;

/// How many bytes an entry of that name takes.
pub(crate) fn entry_size(name: &[u8]) -> usize {
    name.len().next_multiple_of(4).saturating_add(size_of::<EntryHeader>())
}

/// A block of entries being filled.
pub(crate) struct EntryBlock {
    bytes: Box<[u8; 4096]>,
    used: usize,
    last: usize,
}

impl EntryBlock {
    /// A block without entries.
    pub(crate) fn new() -> Self {
        Self { bytes: Box::new([0; 4096]), used: 0, last: 0 }
    }

    /// Adds an entry; false, and nothing added, if there is no room.
    pub(crate) fn push(&mut self, inode: u32, name: &[u8], file_type: FileType) -> bool {
        let size = entry_size(name);
        let end = self.used.saturating_add(size);
        let (Ok(name_len), Ok(rec_len), true) =
            (u8::try_from(name.len()), u16::try_from(size), end <= CAPACITY)
        else {
            return false;
        };
        let header = EntryHeader {
            inode: inode.into(),
            rec_len: rec_len.into(),
            name_len,
            file_type: file_type.code(),
        };
        let Some(entry) = self.bytes.get_mut(self.used..end) else { return false };
        let (head, rest) = entry.split_at_mut(size_of::<EntryHeader>());
        head.copy_from_slice(header.as_bytes());
        let (start, _) = rest.split_at_mut(name.len());
        start.copy_from_slice(name);
        (self.last, self.used) = (self.used, end);
        true
    }

    /// The block's bytes: the last entry takes what is left, the checksum follows. `seed` is the inode's.
    pub(crate) fn finish(mut self, seed: Checksum) -> Box<[u8; 4096]> {
        let rec_len = u16::try_from(CAPACITY.saturating_sub(self.last)).unwrap_or_default();
        if let Some(field) = self.bytes.get_mut(self.last.saturating_add(4)..self.last.saturating_add(6)) {
            field.copy_from_slice(&rec_len.to_le_bytes());
        }
        let (entries, tail) = self.bytes.split_at_mut(CAPACITY);
        tail.copy_from_slice(
            EntryTail {
                det_reserved_zero1: 0.into(),
                det_rec_len: 12.into(),
                det_reserved_zero2: 0,
                det_reserved_ft: 0xde,
                det_checksum: seed.update(entries).value().into(),
            }
            .as_bytes(),
        );
        self.bytes
    }
}
