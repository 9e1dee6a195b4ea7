//! Inodes, `struct ext4_inode` in `fs/ext4/ext4.h`, in their 256-byte form.

use std::mem::{offset_of, size_of};

use bitflags::bitflags;
use offshoot_tree::{Device, Timestamp};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::checksum::Checksum;
use crate::halves::{bits32to47, high16, high32, low16, low32};

/// Bytes of an inode, `s_inode_size`.
pub(crate) const SIZE: u16 = 256;
/// What this profile uses of the space after the first 128 bytes: `i_extra_isize`.
pub(crate) const EXTRA_SIZE: u16 = 32;
/// What is left for extended attributes, in bytes.
pub(crate) const BODY_SIZE: usize = 96;
/// Inodes in a block of the inode table.
pub(crate) const PER_BLOCK: u64 = 16;

/// Inode numbers that have a fixed meaning.
pub(crate) const ROOT: u32 = 2;
/// `EXT4_RESIZE_INO`.
pub(crate) const RESIZE: u32 = 7;
/// `EXT4_JOURNAL_INO`.
pub(crate) const JOURNAL: u32 = 8;
/// `EXT4_GOOD_OLD_FIRST_INO`: the first that is free to use; `lost+found` where it is not the image's.
pub(crate) const FIRST: u32 = 11;

/// Where `i_block` has the double-indirect block of a file without extents (`EXT4_DIND_BLOCK`).
pub(crate) const DOUBLE_INDIRECT: usize = 13;

/// `EXT4_LINK_MAX`.
pub(crate) const LINK_MAX: u32 = 65_000;

/// `S_IFMT` of `i_mode`, at its place.
pub(crate) mod file_type {
    pub(crate) const FIFO: u16 = 0x1000;
    pub(crate) const CHAR_DEVICE: u16 = 0x2000;
    pub(crate) const DIRECTORY: u16 = 0x4000;
    pub(crate) const BLOCK_DEVICE: u16 = 0x6000;
    pub(crate) const REGULAR: u16 = 0x8000;
    pub(crate) const SYMLINK: u16 = 0xa000;
    pub(crate) const SOCKET: u16 = 0xc000;
}

bitflags! {
    /// `i_flags`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct InodeFlags: u32 {
        /// The directory has a hash tree.
        const INDEX = 0x1000;
        /// Blocks are counted in blocks, not in sectors.
        const HUGE_FILE = 0x4_0000;
        /// `i_block` is the root of an extent tree.
        const EXTENTS = 0x8_0000;
        /// It is the value of an extended attribute.
        const EA_INODE = 0x20_0000;
    }
}

/// An inode as it is on disk.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RawInode {
    i_mode: U16,
    i_uid: U16,
    i_size_lo: U32,
    i_atime: U32,
    i_ctime: U32,
    i_mtime: U32,
    i_dtime: U32,
    i_gid: U16,
    i_links_count: U16,
    i_blocks_lo: U32,
    i_flags: U32,
    l_i_version: U32,
    i_block: [u8; 60],
    i_generation: U32,
    i_file_acl_lo: U32,
    i_size_high: U32,
    i_obso_faddr: U32,
    l_i_blocks_high: U16,
    l_i_file_acl_high: U16,
    l_i_uid_high: U16,
    l_i_gid_high: U16,
    l_i_checksum_lo: U16,
    l_i_reserved: U16,
    i_extra_isize: U16,
    i_checksum_hi: U16,
    i_ctime_extra: U32,
    i_mtime_extra: U32,
    i_atime_extra: U32,
    i_crtime: U32,
    i_crtime_extra: U32,
    i_version_hi: U32,
    i_projid: U32,
    body: [u8; BODY_SIZE],
}

const _: () = {
    assert!(size_of::<RawInode>() == 256);
    assert!(offset_of!(RawInode, i_block) == 0x28);
    assert!(offset_of!(RawInode, l_i_checksum_lo) == 0x7c);
    assert!(offset_of!(RawInode, i_extra_isize) == 0x80);
    assert!(offset_of!(RawInode, i_crtime) == 0x90);
    assert!(offset_of!(RawInode, body) == 0xa0);
};

impl RawInode {
    /// Reads an inode of any size; what a short one lacks is zeros.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut raw = Self::new_zeroed();
        for (to, from) in raw.as_mut_bytes().iter_mut().zip(bytes) {
            *to = *from;
        }
        raw
    }

    pub(crate) fn is_regular(&self) -> bool {
        self.i_mode.get() & 0xf000 == file_type::REGULAR && self.i_links_count.get() > 0
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.i_mode.get() & 0xf000 == file_type::DIRECTORY
    }

    pub(crate) fn is_symlink(&self) -> bool {
        self.i_mode.get() & 0xf000 == file_type::SYMLINK
    }

    /// Whether it is of a type that has contents.
    pub(crate) fn has_contents(&self) -> bool {
        matches!(self.i_mode.get() & 0xf000, file_type::REGULAR | file_type::DIRECTORY | file_type::SYMLINK)
    }

    pub(crate) fn links(&self) -> u16 {
        self.i_links_count.get()
    }

    /// The block with extended attributes, or zero.
    pub(crate) fn attributes_block(&self) -> u64 {
        u64::from(self.i_file_acl_lo.get()) | u64::from(self.l_i_file_acl_high.get()) << 32
    }

    /// The double-indirect block of a file without extents, or zero.
    pub(crate) fn double_indirect(&self) -> Option<u64> {
        let (words, _) = self.i_block.as_chunks::<4>();
        words.get(DOUBLE_INDIRECT).map(|word| u64::from(u32::from_le_bytes(*word)))
    }

    /// In bytes.
    pub(crate) fn size(&self) -> u64 {
        u64::from(self.i_size_lo.get()) | u64::from(self.i_size_high.get()) << 32
    }

    /// `i_flags`, also those that nobody knows.
    pub(crate) fn flags(&self) -> InodeFlags {
        InodeFlags::from_bits_retain(self.i_flags.get())
    }

    /// `i_block`.
    pub(crate) fn block(&self) -> &[u8; 60] {
        &self.i_block
    }

    /// Sets the sectors of 512 bytes in use, below 2⁴⁸.
    pub(crate) fn set_sectors(&mut self, sectors: u64) {
        self.i_blocks_lo.set(low32(sectors));
        self.l_i_blocks_high.set(bits32to47(sectors));
    }

    /// What the inode's own and its blocks' checksums start from; `seed` is the filesystem's.
    pub(crate) fn seed(&self, number: u32, seed: Checksum) -> Checksum {
        seed.update(&number.to_le_bytes()).update(&self.i_generation.get().to_le_bytes())
    }

    /// Whether there is room for the high half of the checksum.
    fn has_long_checksum(&self, inode_bytes: u64) -> bool {
        inode_bytes > 128 && self.i_extra_isize.get() >= 4
    }

    /// The checksum that stands in the inode; without its high half in a short inode.
    pub(crate) fn checksum(&self, inode_bytes: u64) -> u32 {
        let high = if self.has_long_checksum(inode_bytes) { self.i_checksum_hi.get() } else { 0 };
        u32::from(self.l_i_checksum_lo.get()) | u32::from(high) << 16
    }

    /// Sets as much of the checksum as there is room for.
    pub(crate) fn set_checksum(&mut self, checksum: u32, inode_bytes: u64) {
        self.l_i_checksum_lo.set(low16(checksum));
        if self.has_long_checksum(inode_bytes) {
            self.i_checksum_hi.set(high16(checksum));
        }
    }
}

/// What an inode says.
#[derive(Clone, Debug)]
pub(crate) struct InodeRecord {
    /// Type and permissions.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Modified, and for want of anything better also accessed, changed and made.
    pub(crate) mtime: Timestamp,
    pub(crate) links: u16,
    /// In bytes.
    pub(crate) size: u64,
    /// Blocks in use, those of extended attributes and extents included.
    pub(crate) blocks: u64,
    pub(crate) flags: InodeFlags,
    /// Extent tree, fast symlink's target or device number.
    pub(crate) block: [u8; 60],
    /// The block with extended attributes, or zero.
    pub(crate) xattr_block: u64,
    /// Extended attributes in the inode.
    pub(crate) body: [u8; BODY_SIZE],
}

impl InodeRecord {
    /// The inode's bytes, checksum included; `seed` is the filesystem's.
    pub(crate) fn to_disk(&self, number: u32, seed: Checksum) -> RawInode {
        let mut raw = RawInode::new_zeroed();
        raw.i_mode.set(self.mode);
        raw.i_uid.set(low16(self.uid));
        raw.l_i_uid_high.set(high16(self.uid));
        raw.i_gid.set(low16(self.gid));
        raw.l_i_gid_high.set(high16(self.gid));
        raw.i_links_count.set(self.links);
        raw.i_size_lo.set(low32(self.size));
        raw.i_size_high.set(high32(self.size));
        // Eight sectors of 512 bytes a block: 48 bits of them hold any file of this profile.
        let sectors = self.blocks.saturating_mul(8);
        raw.i_blocks_lo.set(low32(sectors));
        raw.l_i_blocks_high.set(bits32to47(sectors));
        raw.i_flags.set(self.flags.bits());
        raw.i_block = self.block;
        raw.i_file_acl_lo.set(low32(self.xattr_block));
        raw.l_i_file_acl_high.set(bits32to47(self.xattr_block));
        raw.i_extra_isize.set(EXTRA_SIZE);
        let (seconds, extra) = encode_time(self.mtime);
        for field in [&mut raw.i_atime, &mut raw.i_ctime, &mut raw.i_mtime, &mut raw.i_crtime] {
            field.set(seconds);
        }
        for field in
            [&mut raw.i_atime_extra, &mut raw.i_ctime_extra, &mut raw.i_mtime_extra, &mut raw.i_crtime_extra]
        {
            field.set(extra);
        }
        raw.body = self.body;
        // Both halves of the checksum are zero while it is reckoned.
        let checksum = seed.of_inode(number).update(raw.as_bytes()).value();
        raw.l_i_checksum_lo.set(low16(checksum));
        raw.i_checksum_hi.set(high16(checksum));
        raw
    }
}

/// A reserved inode that is not in use: zeros, which still have the short form of the checksum.
pub(crate) fn unused_reserved(number: u32, seed: Checksum) -> RawInode {
    let mut raw = RawInode::new_zeroed();
    raw.l_i_checksum_lo.set(low16(seed.of_inode(number).update(raw.as_bytes()).value()));
    raw
}

/// The earliest and the latest second that 32 bits and 2 more can say: 1901 to 2446.
const TIME_MIN: i64 = -(1 << 31);
const TIME_MAX: i64 = (1 << 34) - (1 << 31) - 1;

/// Seconds and the extra word: nanoseconds above two bits of epoch (`ext4_encode_extra_time`). Times that
/// do not fit become the nearest that do.
fn encode_time(time: Timestamp) -> (u32, u32) {
    let seconds = time.seconds.clamp(TIME_MIN, TIME_MAX);
    let nanoseconds = if seconds == time.seconds { time.nanoseconds.min(999_999_999) } else { 0 };
    let low = low32(seconds.cast_unsigned());
    // The low word is signed: from 2038 on it is negative, and the epoch one more.
    let epoch = high32(seconds.cast_unsigned().wrapping_add(1 << 31)) & 3;
    (low, nanoseconds << 2 | epoch)
}

/// A device's number in `i_block`, old form where it fits; `None` if it is out of Linux's range.
pub(crate) fn encode_device(device: Device) -> Option<[u8; 60]> {
    let Device { major, minor } = device;
    if major >= 1 << 12 || minor >= 1 << 20 {
        return None;
    }
    let (old, new) = if major < 256 && minor < 256 {
        (major << 8 | minor, 0)
    } else {
        (0, (minor & 0xff) | major << 8 | (minor & !0xff) << 12)
    };
    let mut block = [0; 60];
    let (words, _) = block.as_chunks_mut::<4>();
    for (word, value) in words.iter_mut().zip([old, new]) {
        *word = value.to_le_bytes();
    }
    Some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_34_bits() {
        for (seconds, nanoseconds, expected) in [
            (0, 0, (0, 0)),
            (-1, 999_999_999, (u32::MAX, 999_999_999 << 2)),
            (TIME_MIN, 5, (0x8000_0000, 5 << 2)),
            (TIME_MIN - 1, 5, (0x8000_0000, 0)),
            ((1 << 31) - 1, 0, (0x7fff_ffff, 0)),
            (1 << 31, 7, (0x8000_0000, 7 << 2 | 1)),
            ((1 << 32) + 1, 0, (1, 1)),
            (TIME_MAX, 0, (0x7fff_ffff, 3)),
            (i64::MAX, 1, (0x7fff_ffff, 3)),
            (i64::MIN, 1, (0x8000_0000, 0)),
        ] {
            assert_eq!(encode_time(Timestamp { seconds, nanoseconds }), expected, "{seconds}");
        }
    }

    #[test]
    fn devices_have_an_old_and_a_new_form() {
        for (major, minor, expected) in [
            (8, 1, Some((0x0801, 0))),
            (255, 255, Some((0xffff, 0))),
            (256, 0, Some((0, 0x10000))),
            (8, 256, Some((0, 0x0010_0800))),
            (4095, 0xf_ffff, Some((0, 0xffff_ffff))),
            (4096, 0, None),
            (0, 1 << 20, None),
        ] {
            let words = encode_device(Device { major, minor }).map(|block| {
                let word = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
                (word(0), word(4))
            });
            assert_eq!(words, expected, "{major}:{minor}");
        }
    }
}
