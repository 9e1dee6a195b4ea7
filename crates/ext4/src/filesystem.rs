//! The superblock of a plan.

use zerocopy::FromZeros;

use crate::checksum::Checksum;
use crate::features::{Compat, Incompat, RoCompat};
use crate::geometry::GROUP_BLOCKS;
use crate::group_descriptor;
use crate::halves::{high32, low16, low32};
use crate::hash::NameHasher;
use crate::inode;
use crate::plan::Plan;
use crate::records;
use crate::superblock::{
    CHECKSUM_CRC32C, DEFAULT_MOUNT_OPTIONS, ERRORS_CONTINUE, FLAG_SIGNED_HASH, JOURNAL_BACKUP_BLOCKS, MAGIC,
    REVISION_DYNAMIC, STATE_VALID, Superblock,
};

/// Blocks are 2¹⁰⁺² bytes.
const LOG_BLOCK_SIZE: u32 = 2;
/// Flexible groups are 2⁴ groups.
const LOG_GROUPS_PER_FLEX: u8 = 4;

impl Plan<'_> {
    /// The primary superblock, sealed; `seed` is the filesystem's.
    pub(crate) fn superblock(&self, seed: Checksum) -> Superblock {
        let layout = &self.placement.layout;
        let geometry = &layout.geometry;
        let summary = self.summary();
        let created = self.options.created_seconds;
        let mut raw = Superblock::new_zeroed();
        raw.s_inodes_count.set(low32(summary.inodes));
        raw.s_blocks_count_lo.set(low32(geometry.blocks));
        raw.s_blocks_count_hi.set(high32(geometry.blocks));
        raw.s_free_blocks_count_lo.set(low32(summary.free_blocks));
        raw.s_free_blocks_count_hi.set(high32(summary.free_blocks));
        raw.s_free_inodes_count.set(low32(summary.free_inodes));
        raw.s_log_block_size.set(LOG_BLOCK_SIZE);
        raw.s_log_cluster_size.set(LOG_BLOCK_SIZE);
        raw.s_blocks_per_group.set(low32(GROUP_BLOCKS));
        raw.s_clusters_per_group.set(low32(GROUP_BLOCKS));
        raw.s_inodes_per_group.set(low32(geometry.inodes_per_group));
        raw.s_wtime.set(created);
        raw.s_max_mnt_count.set(u16::MAX);
        raw.s_magic.set(MAGIC);
        raw.s_state.set(STATE_VALID);
        raw.s_errors.set(ERRORS_CONTINUE);
        raw.s_lastcheck.set(created);
        raw.s_rev_level.set(REVISION_DYNAMIC);
        raw.s_first_ino.set(inode::FIRST);
        raw.s_inode_size.set(inode::SIZE);
        raw.s_uuid = self.options.uuid;
        raw.s_volume_name = *self.options.label.as_bytes();
        raw.s_reserved_gdt_blocks.set(low16(low32(geometry.reserved_blocks)));
        raw.s_hash_seed = self.options.hash_seed;
        raw.s_def_hash_version = NameHasher::VERSION;
        raw.s_desc_size.set(group_descriptor::SIZE);
        raw.s_default_mount_opts.set(DEFAULT_MOUNT_OPTIONS);
        raw.s_mkfs_time.set(created);
        raw.s_min_extra_isize.set(inode::EXTRA_SIZE);
        raw.s_want_extra_isize.set(inode::EXTRA_SIZE);
        raw.s_flags.set(FLAG_SIGNED_HASH);
        raw.s_log_groups_per_flex = LOG_GROUPS_PER_FLEX;
        raw.s_checksum_type = CHECKSUM_CRC32C;
        let written = summary.metadata_bytes.saturating_add(summary.copied_bytes);
        raw.s_kbytes_written.set(written.saturating_add(summary.shared_bytes) / 1024);
        raw.s_overhead_clusters.set(low32(geometry.overhead_blocks()));
        raw.s_checksum_seed.set(seed.value());
        let mut compat = Compat::PROFILE;
        if let Some(journal) = records::journal(self) {
            compat |= Compat::HAS_JOURNAL;
            raw.s_journal_inum.set(inode::JOURNAL);
            raw.s_jnl_backup_type = JOURNAL_BACKUP_BLOCKS;
            raw.s_jnl_blocks = journal.block;
            raw.s_jnl_size_lo.set(low32(journal.size));
            raw.s_jnl_size_high.set(high32(journal.size));
        }
        raw.s_feature_compat.set(compat.bits());
        raw.s_feature_incompat.set(Incompat::PROFILE.bits());
        raw.s_feature_ro_compat.set(RoCompat::PROFILE.bits());
        raw.seal();
        raw
    }
}
