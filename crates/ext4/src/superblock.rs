//! The superblock, `struct ext4_super_block` in the kernel's `fs/ext4/ext4.h`.

use std::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::Checksum;
use crate::features::{Features, Incompat};
use crate::halves::low16;
use crate::sums::Sums;

/// Where the primary superblock starts, in bytes; backups start with their block.
pub(crate) const OFFSET: usize = 1024;
/// `EXT4_SUPER_MAGIC`.
pub(crate) const MAGIC: u16 = 0xef53;
/// `EXT4_VALID_FS`: cleanly unmounted.
pub(crate) const STATE_VALID: u16 = 1;
/// `EXT4_ERROR_FS`: a kernel met damage.
pub(crate) const STATE_ERROR: u16 = 2;
/// `EXT4_ORPHAN_FS`: orphans are being cleared.
pub(crate) const STATE_ORPHAN: u16 = 4;
/// `EXT4_ERRORS_CONTINUE`.
pub(crate) const ERRORS_CONTINUE: u16 = 1;
/// `EXT4_DYNAMIC_REV`.
pub(crate) const REVISION_DYNAMIC: u32 = 1;
/// `EXT4_CRC32C_CHKSUM`.
pub(crate) const CHECKSUM_CRC32C: u8 = 1;
/// `EXT4_DEFM_XATTR_USER | EXT4_DEFM_ACL`.
pub(crate) const DEFAULT_MOUNT_OPTIONS: u32 = 0x0004 | 0x0008;
/// `EXT2_FLAGS_SIGNED_HASH`: directory hashes take names as signed bytes.
pub(crate) const FLAG_SIGNED_HASH: u32 = 1;
/// `EXT3_JNL_BACKUP_BLOCKS`: `s_jnl_blocks` is a copy of the journal inode's `i_block` and size.
pub(crate) const JOURNAL_BACKUP_BLOCKS: u8 = 1;

/// The superblock as it is on disk.
#[derive(Clone, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Superblock {
    pub(crate) s_inodes_count: U32,
    pub(crate) s_blocks_count_lo: U32,
    pub(crate) s_r_blocks_count_lo: U32,
    pub(crate) s_free_blocks_count_lo: U32,
    pub(crate) s_free_inodes_count: U32,
    pub(crate) s_first_data_block: U32,
    pub(crate) s_log_block_size: U32,
    pub(crate) s_log_cluster_size: U32,
    pub(crate) s_blocks_per_group: U32,
    pub(crate) s_clusters_per_group: U32,
    pub(crate) s_inodes_per_group: U32,
    pub(crate) s_mtime: U32,
    pub(crate) s_wtime: U32,
    pub(crate) s_mnt_count: U16,
    pub(crate) s_max_mnt_count: U16,
    pub(crate) s_magic: U16,
    pub(crate) s_state: U16,
    pub(crate) s_errors: U16,
    pub(crate) s_minor_rev_level: U16,
    pub(crate) s_lastcheck: U32,
    pub(crate) s_checkinterval: U32,
    pub(crate) s_creator_os: U32,
    pub(crate) s_rev_level: U32,
    pub(crate) s_def_resuid: U16,
    pub(crate) s_def_resgid: U16,
    pub(crate) s_first_ino: U32,
    pub(crate) s_inode_size: U16,
    pub(crate) s_block_group_nr: U16,
    pub(crate) s_feature_compat: U32,
    pub(crate) s_feature_incompat: U32,
    pub(crate) s_feature_ro_compat: U32,
    pub(crate) s_uuid: [u8; 16],
    pub(crate) s_volume_name: [u8; 16],
    pub(crate) s_last_mounted: [u8; 64],
    pub(crate) s_algorithm_usage_bitmap: U32,
    pub(crate) s_prealloc_blocks: u8,
    pub(crate) s_prealloc_dir_blocks: u8,
    pub(crate) s_reserved_gdt_blocks: U16,
    pub(crate) s_journal_uuid: [u8; 16],
    pub(crate) s_journal_inum: U32,
    pub(crate) s_journal_dev: U32,
    pub(crate) s_last_orphan: U32,
    pub(crate) s_hash_seed: [u8; 16],
    pub(crate) s_def_hash_version: u8,
    pub(crate) s_jnl_backup_type: u8,
    pub(crate) s_desc_size: U16,
    pub(crate) s_default_mount_opts: U32,
    pub(crate) s_first_meta_bg: U32,
    pub(crate) s_mkfs_time: U32,
    /// `i_block` of the journal's inode: bytes, since that is what it is.
    pub(crate) s_jnl_blocks: [u8; 60],
    pub(crate) s_jnl_size_high: U32,
    pub(crate) s_jnl_size_lo: U32,
    pub(crate) s_blocks_count_hi: U32,
    pub(crate) s_r_blocks_count_hi: U32,
    pub(crate) s_free_blocks_count_hi: U32,
    pub(crate) s_min_extra_isize: U16,
    pub(crate) s_want_extra_isize: U16,
    pub(crate) s_flags: U32,
    pub(crate) s_raid_stride: U16,
    pub(crate) s_mmp_update_interval: U16,
    pub(crate) s_mmp_block: U64,
    pub(crate) s_raid_stripe_width: U32,
    pub(crate) s_log_groups_per_flex: u8,
    pub(crate) s_checksum_type: u8,
    pub(crate) s_encryption_level: u8,
    pub(crate) s_reserved_pad: u8,
    pub(crate) s_kbytes_written: U64,
    pub(crate) s_snapshot_inum: U32,
    pub(crate) s_snapshot_id: U32,
    pub(crate) s_snapshot_r_blocks_count: U64,
    pub(crate) s_snapshot_list: U32,
    pub(crate) s_error_count: U32,
    pub(crate) s_first_error_time: U32,
    pub(crate) s_first_error_ino: U32,
    pub(crate) s_first_error_block: U64,
    pub(crate) s_first_error_func: [u8; 32],
    pub(crate) s_first_error_line: U32,
    pub(crate) s_last_error_time: U32,
    pub(crate) s_last_error_ino: U32,
    pub(crate) s_last_error_line: U32,
    pub(crate) s_last_error_block: U64,
    pub(crate) s_last_error_func: [u8; 32],
    pub(crate) s_mount_opts: [u8; 64],
    pub(crate) s_usr_quota_inum: U32,
    pub(crate) s_grp_quota_inum: U32,
    pub(crate) s_overhead_clusters: U32,
    pub(crate) s_backup_bgs: [U32; 2],
    pub(crate) s_encrypt_algos: [u8; 4],
    pub(crate) s_encrypt_pw_salt: [u8; 16],
    pub(crate) s_lpf_ino: U32,
    pub(crate) s_prj_quota_inum: U32,
    pub(crate) s_checksum_seed: U32,
    pub(crate) s_wtime_hi: u8,
    pub(crate) s_mtime_hi: u8,
    pub(crate) s_mkfs_time_hi: u8,
    pub(crate) s_lastcheck_hi: u8,
    pub(crate) s_first_error_time_hi: u8,
    pub(crate) s_last_error_time_hi: u8,
    pub(crate) s_first_error_errcode: u8,
    pub(crate) s_last_error_errcode: u8,
    pub(crate) s_encoding: U16,
    pub(crate) s_encoding_flags: U16,
    pub(crate) s_orphan_file_inum: U32,
    pub(crate) s_reserved: [U32; 94],
    pub(crate) s_checksum: U32,
}

const _: () = {
    assert!(size_of::<Superblock>() == 1024);
    assert!(offset_of!(Superblock, s_magic) == 0x38);
    assert!(offset_of!(Superblock, s_first_ino) == 0x54);
    assert!(offset_of!(Superblock, s_uuid) == 0x68);
    assert!(offset_of!(Superblock, s_reserved_gdt_blocks) == 0xce);
    assert!(offset_of!(Superblock, s_hash_seed) == 0xec);
    assert!(offset_of!(Superblock, s_jnl_blocks) == 0x10c);
    assert!(offset_of!(Superblock, s_blocks_count_hi) == 0x150);
    assert!(offset_of!(Superblock, s_log_groups_per_flex) == 0x174);
    assert!(offset_of!(Superblock, s_first_error_time) == 0x198);
    assert!(offset_of!(Superblock, s_mount_opts) == 0x200);
    assert!(offset_of!(Superblock, s_overhead_clusters) == 0x248);
    assert!(offset_of!(Superblock, s_checksum_seed) == 0x270);
    assert!(offset_of!(Superblock, s_orphan_file_inum) == 0x280);
    assert!(offset_of!(Superblock, s_checksum) == 0x3fc);
};

impl Superblock {
    /// All blocks of the filesystem.
    pub(crate) fn blocks(&self) -> u64 {
        self.joined(self.s_blocks_count_lo, self.s_blocks_count_hi)
    }

    /// Blocks that nothing uses.
    pub(crate) fn free_blocks(&self) -> u64 {
        self.joined(self.s_free_blocks_count_lo, self.s_free_blocks_count_hi)
    }

    /// Free blocks that only root may use.
    pub(crate) fn reserved_blocks(&self) -> u64 {
        self.joined(self.s_r_blocks_count_lo, self.s_r_blocks_count_hi)
    }

    /// The high half means something only with `64bit`.
    fn joined(&self, low: U32, high: U32) -> u64 {
        let wide = Features::of(self).has_incompat(Incompat::SIXTY_FOUR_BIT);
        u64::from(low.get()) | if wide { u64::from(high.get()) << 32 } else { 0 }
    }

    /// The copy for a group: like libext2fs's, not marked as clean, so that whoever uses it checks first.
    pub(crate) fn backup(&self, group: u32, sums: Sums) -> Self {
        let mut backup = self.clone();
        backup.s_block_group_nr.set(low16(group));
        backup.s_state.set(0);
        sums.seal(&mut backup);
        backup
    }

    /// Sets the checksum over all that stands before it.
    pub(crate) fn seal(&mut self) {
        self.s_checksum.set(0);
        let covered = self.as_bytes().get(..offset_of!(Self, s_checksum)).unwrap_or_default();
        let checksum = Checksum::new().update(covered).value();
        self.s_checksum.set(checksum);
    }
}
