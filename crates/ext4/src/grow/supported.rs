//! Which filesystems are grown here.

use crate::features::{Compat, Features, Incompat, RoCompat};
use crate::grow::GrowError;
use crate::inspect::Disk;
use crate::sums::Sums;

/// Features that growth need not care about, or takes care of. The state of the journal and of orphans is judged
/// elsewhere.
const COMPAT: Compat = Compat::all().difference(Compat::SPARSE_SUPER2);
const INCOMPAT: Incompat = Incompat::all().difference(Incompat::META_BG).difference(Incompat::MMP);
const RO_COMPAT: RoCompat = RoCompat::all()
    .difference(RoCompat::BIGALLOC)
    .difference(RoCompat::READ_ONLY)
    .difference(RoCompat::SHARED_BLOCKS);

/// The features of a filesystem that stand in the way of growing it, or of changing what its backups say.
pub(crate) fn unsupported(features: Features) -> Features {
    features.without(COMPAT, INCOMPAT, RO_COMPAT)
}

/// Whether a filesystem is laid out as nearly all are.
pub(crate) fn is_usual(disk: &Disk<'_>) -> bool {
    check(disk).is_ok()
}

/// Checks all but the filesystem's condition.
pub(super) fn check(disk: &Disk<'_>) -> Result<(), GrowError> {
    let features = unsupported(disk.features);
    if !features.is_empty() {
        return Err(GrowError::UnknownFeatures { features });
    }
    let shape = &disk.shape;
    let layout = if shape.block_bytes > 4096 {
        "with blocks of more than 4 KiB"
    } else if shape.blocks_per_group != shape.block_bytes.saturating_mul(8) {
        "with groups of fewer blocks than usual"
    } else if disk.superblock.s_clusters_per_group.get() != disk.superblock.s_blocks_per_group.get() {
        "with fragments"
    } else if !disk.features.has_ro_compat(RoCompat::SPARSE_SUPER) {
        "without sparse_super"
    } else if disk.sums == Sums::None {
        "without checksums of their group descriptors"
    } else if shape.reserved_blocks > 0 && !disk.features.has_compat(Compat::RESIZE_INODE) {
        "with reserved descriptor blocks and no resize inode"
    } else if shape.overhead(1) >= shape.blocks_per_group || !shape.inodes_per_group.is_multiple_of(8) {
        "with inode tables of such a size"
    } else {
        return Ok(());
    };
    Err(GrowError::UnknownLayout { layout })
}
