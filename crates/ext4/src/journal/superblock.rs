//! The journal's superblock, `struct journal_superblock_s` in `include/linux/jbd2.h`. It is big-endian.

use std::mem::{offset_of, size_of};

use zerocopy::big_endian::U32;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::BLOCK_BYTES;
use crate::checksum::Checksum;
use crate::halves::low32;

/// `JBD2_MAGIC_NUMBER`.
pub(super) const MAGIC: u32 = 0xc03b_3998;
/// `JBD2_SUPERBLOCK_V2`.
pub(super) const SUPERBLOCK_V2: u32 = 4;

/// Bytes of it before the users' UUIDs: all that changes while a journal is in use, and one sector.
pub(crate) const HEAD_BYTES: usize = 512;

/// A journal's superblock as it is on disk.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct JournalSuperblock {
    pub(super) h_magic: U32,
    pub(super) h_blocktype: U32,
    h_sequence: U32,
    pub(super) s_blocksize: U32,
    pub(super) s_maxlen: U32,
    pub(super) s_first: U32,
    pub(super) s_sequence: U32,
    pub(super) s_start: U32,
    pub(super) s_errno: U32,
    pub(super) s_feature_compat: U32,
    pub(super) s_feature_incompat: U32,
    pub(super) s_feature_ro_compat: U32,
    pub(super) s_uuid: [u8; 16],
    pub(super) s_nr_users: U32,
    s_dynsuper: U32,
    s_max_transaction: U32,
    s_max_trans_data: U32,
    pub(super) s_checksum_type: u8,
    s_padding2: [u8; 3],
    s_num_fc_blks: U32,
    s_head: U32,
    s_padding: [U32; 40],
    s_checksum: U32,
    s_users: [u8; 768],
}

const _: () = {
    assert!(size_of::<JournalSuperblock>() == 1024);
    assert!(offset_of!(JournalSuperblock, s_uuid) == 0x30);
    assert!(offset_of!(JournalSuperblock, s_checksum_type) == 0x50);
    assert!(offset_of!(JournalSuperblock, s_checksum) == 0xfc);
};

impl JournalSuperblock {
    /// An empty journal of so many blocks. It has no features, hence no checksum: the kernel sets both
    /// when it first mounts the filesystem for writing.
    pub(crate) fn empty(blocks: u64, uuid: &[u8; 16]) -> Self {
        let mut raw = Self::new_zeroed();
        raw.h_magic.set(MAGIC);
        raw.h_blocktype.set(SUPERBLOCK_V2);
        raw.s_blocksize.set(low32(BLOCK_BYTES));
        raw.s_maxlen.set(low32(blocks));
        raw.s_first.set(1);
        raw.s_sequence.set(1);
        raw.s_uuid = *uuid;
        raw.s_nr_users.set(1);
        raw
    }

    /// Where in the log the first transaction is that is still needed; zero if there is none.
    pub(crate) fn start(&self) -> u32 {
        self.s_start.get()
    }

    /// The number of the first transaction that is still needed, or else of the next one.
    pub(crate) fn sequence(&self) -> u32 {
        self.s_sequence.get()
    }

    /// The checksum that it should have.
    pub(super) fn checksum_of(&self) -> u32 {
        let mut zeroed = self.clone();
        zeroed.s_checksum.set(0);
        Checksum::new().update(zeroed.as_bytes()).value()
    }

    /// Whether its checksum is right.
    pub(super) fn is_sealed(&self) -> bool {
        self.s_checksum.get() == self.checksum_of()
    }

    /// Sets the checksum.
    pub(super) fn seal(&mut self) {
        self.s_checksum.set(self.checksum_of());
    }
}

/// The smallest filesystem with a journal, in blocks.
pub(crate) const MIN_FILESYSTEM_BLOCKS: u64 = 2048;

/// How many blocks of journal a filesystem of so many blocks gets: mke2fs's choice.
pub(crate) fn default_blocks(filesystem_blocks: u64) -> u64 {
    match filesystem_blocks {
        ..32_768 => 1024,
        32_768..262_144 => 4096,
        262_144..524_288 => 8192,
        524_288..4_194_304 => 16_384,
        4_194_304..8_388_608 => 32_768,
        8_388_608..16_777_216 => 65_536,
        16_777_216..33_554_432 => 131_072,
        33_554_432.. => 262_144,
    }
}
