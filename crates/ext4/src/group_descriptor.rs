//! Group descriptors, `struct ext4_group_desc` in `fs/ext4/ext4.h`, in their 64-byte form.

use std::mem::{offset_of, size_of};

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::checksum::Checksum;
use crate::halves::{high16, high32, low16, low32};

/// Bytes of a descriptor, `s_desc_size`.
pub(crate) const SIZE: u16 = 64;
/// Bytes of a descriptor without `64bit`: the first half.
pub(crate) const SHORT_SIZE: usize = 32;
/// Where `bg_checksum` is.
pub(crate) const CHECKSUM_OFFSET: usize = offset_of!(RawGroupDescriptor, bg_checksum);

bitflags! {
    /// `bg_flags`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct GroupFlags: u16 {
        /// Inode bitmap and table were never written.
        const INODE_UNINIT = 0x1;
        /// The block bitmap was never written: only what the group's own position says is in use.
        const BLOCK_UNINIT = 0x2;
        /// What is not used of the inode table is zeros already.
        const INODE_ZEROED = 0x4;
    }
}

/// A group descriptor as it is on disk.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RawGroupDescriptor {
    bg_block_bitmap_lo: U32,
    bg_inode_bitmap_lo: U32,
    bg_inode_table_lo: U32,
    bg_free_blocks_count_lo: U16,
    bg_free_inodes_count_lo: U16,
    bg_used_dirs_count_lo: U16,
    bg_flags: U16,
    bg_exclude_bitmap_lo: U32,
    bg_block_bitmap_csum_lo: U16,
    bg_inode_bitmap_csum_lo: U16,
    bg_itable_unused_lo: U16,
    bg_checksum: U16,
    bg_block_bitmap_hi: U32,
    bg_inode_bitmap_hi: U32,
    bg_inode_table_hi: U32,
    bg_free_blocks_count_hi: U16,
    bg_free_inodes_count_hi: U16,
    bg_used_dirs_count_hi: U16,
    bg_itable_unused_hi: U16,
    bg_exclude_bitmap_hi: U32,
    bg_block_bitmap_csum_hi: U16,
    bg_inode_bitmap_csum_hi: U16,
    bg_reserved: U32,
}

const _: () = {
    assert!(size_of::<RawGroupDescriptor>() == 64);
    assert!(offset_of!(RawGroupDescriptor, bg_flags) == 0x12);
    assert!(offset_of!(RawGroupDescriptor, bg_checksum) == 0x1e);
    assert!(offset_of!(RawGroupDescriptor, bg_block_bitmap_hi) == 0x20);
    assert!(offset_of!(RawGroupDescriptor, bg_block_bitmap_csum_hi) == 0x38);
};

/// What a block group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupDescriptor {
    pub(crate) flags: GroupFlags,
    /// Block numbers.
    pub(crate) block_bitmap: u64,
    pub(crate) inode_bitmap: u64,
    pub(crate) inode_table: u64,
    pub(crate) free_blocks: u32,
    pub(crate) free_inodes: u32,
    pub(crate) used_directories: u32,
    /// Inodes at the table's end that were never used.
    pub(crate) unused_inodes: u32,
    /// Zero where the bitmap was never written.
    pub(crate) block_bitmap_checksum: u32,
    pub(crate) inode_bitmap_checksum: u32,
}

impl RawGroupDescriptor {
    /// Reads a descriptor of either size; what a short one lacks is zeros.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut raw = Self::new_zeroed();
        for (to, from) in raw.as_mut_bytes().iter_mut().zip(bytes) {
            *to = *from;
        }
        raw
    }

    /// `bg_checksum`.
    pub(crate) fn checksum(&self) -> u16 {
        self.bg_checksum.get()
    }

    /// Sets `bg_checksum`.
    pub(crate) fn set_checksum(&mut self, checksum: u16) {
        self.bg_checksum.set(checksum);
    }

    /// What it says. Flags that nobody knows are left out.
    pub(crate) fn decode(&self) -> GroupDescriptor {
        GroupDescriptor {
            flags: GroupFlags::from_bits_truncate(self.bg_flags.get()),
            block_bitmap: join32(self.bg_block_bitmap_lo, self.bg_block_bitmap_hi),
            inode_bitmap: join32(self.bg_inode_bitmap_lo, self.bg_inode_bitmap_hi),
            inode_table: join32(self.bg_inode_table_lo, self.bg_inode_table_hi),
            free_blocks: join16(self.bg_free_blocks_count_lo, self.bg_free_blocks_count_hi),
            free_inodes: join16(self.bg_free_inodes_count_lo, self.bg_free_inodes_count_hi),
            used_directories: join16(self.bg_used_dirs_count_lo, self.bg_used_dirs_count_hi),
            unused_inodes: join16(self.bg_itable_unused_lo, self.bg_itable_unused_hi),
            block_bitmap_checksum: join16(self.bg_block_bitmap_csum_lo, self.bg_block_bitmap_csum_hi),
            inode_bitmap_checksum: join16(self.bg_inode_bitmap_csum_lo, self.bg_inode_bitmap_csum_hi),
        }
    }

    /// Sets `bg_flags`, those that nobody knows included.
    pub(crate) fn set_flags(&mut self, flags: GroupFlags) {
        self.bg_flags.set(flags.bits());
    }

    /// Sets how many blocks are free, and the checksum of the bitmap that says which.
    pub(crate) fn set_free_blocks(&mut self, free_blocks: u32, bitmap_checksum: u32) {
        self.bg_free_blocks_count_lo.set(low16(free_blocks));
        self.bg_free_blocks_count_hi.set(high16(free_blocks));
        self.bg_block_bitmap_csum_lo.set(low16(bitmap_checksum));
        self.bg_block_bitmap_csum_hi.set(high16(bitmap_checksum));
    }
}

fn join32(low: U32, high: U32) -> u64 {
    u64::from(low.get()) | u64::from(high.get()) << 32
}

fn join16(low: U16, high: U16) -> u32 {
    u32::from(low.get()) | u32::from(high.get()) << 16
}

impl GroupDescriptor {
    /// The descriptor's bytes, checksum included; `seed` is the filesystem's.
    pub(crate) fn to_disk(self, group: u32, seed: Checksum) -> RawGroupDescriptor {
        let mut raw = self.to_raw();
        // The checksum's own field is zero while it is reckoned.
        let checksum = seed.update(&group.to_le_bytes()).update(raw.as_bytes());
        raw.bg_checksum.set(low16(checksum.value()));
        raw
    }

    /// The descriptor without its checksum.
    pub(crate) fn to_raw(self) -> RawGroupDescriptor {
        let mut raw = RawGroupDescriptor::new_zeroed();
        raw.bg_flags.set(self.flags.bits());
        raw.bg_block_bitmap_lo.set(low32(self.block_bitmap));
        raw.bg_block_bitmap_hi.set(high32(self.block_bitmap));
        raw.bg_inode_bitmap_lo.set(low32(self.inode_bitmap));
        raw.bg_inode_bitmap_hi.set(high32(self.inode_bitmap));
        raw.bg_inode_table_lo.set(low32(self.inode_table));
        raw.bg_inode_table_hi.set(high32(self.inode_table));
        raw.bg_free_blocks_count_lo.set(low16(self.free_blocks));
        raw.bg_free_blocks_count_hi.set(high16(self.free_blocks));
        raw.bg_free_inodes_count_lo.set(low16(self.free_inodes));
        raw.bg_free_inodes_count_hi.set(high16(self.free_inodes));
        raw.bg_used_dirs_count_lo.set(low16(self.used_directories));
        raw.bg_used_dirs_count_hi.set(high16(self.used_directories));
        raw.bg_itable_unused_lo.set(low16(self.unused_inodes));
        raw.bg_itable_unused_hi.set(high16(self.unused_inodes));
        raw.bg_block_bitmap_csum_lo.set(low16(self.block_bitmap_checksum));
        raw.bg_block_bitmap_csum_hi.set(high16(self.block_bitmap_checksum));
        raw.bg_inode_bitmap_csum_lo.set(low16(self.inode_bitmap_checksum));
        raw.bg_inode_bitmap_csum_hi.set(high16(self.inode_bitmap_checksum));
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_out_as_it_went_in() {
        let descriptor = GroupDescriptor {
            flags: GroupFlags::INODE_UNINIT | GroupFlags::INODE_ZEROED,
            block_bitmap: 0x1_0000_0002,
            inode_bitmap: 0x3_0000_0004,
            inode_table: 0x5_0000_0006,
            free_blocks: 0x7_0008,
            free_inodes: 0x9_000a,
            used_directories: 0xb_000c,
            unused_inodes: 0xd_000e,
            block_bitmap_checksum: 0xdead_beef,
            inode_bitmap_checksum: 0xfeed_f00d,
        };
        let raw = descriptor.to_raw();
        assert_eq!(raw.decode(), descriptor);
        let short = RawGroupDescriptor::read(&raw.as_bytes()[..SHORT_SIZE]).decode();
        assert_eq!((short.block_bitmap, short.free_blocks, short.block_bitmap_checksum), (2, 8, 0xbeef));
    }
}
