use crate::device::{Device, DeviceError};
use crate::features::{Compat, Features, Incompat, RoCompat};
use crate::grow::{unsupported, write_backups};
use crate::inspect::{Disk, InspectError, State};
use crate::sums::Sums;
use crate::superblock;

/// Why a filesystem keeps its UUID. Unless the device failed while it was written, nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetUuidError {
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// There is no filesystem that could be read, or it is damaged.
    #[error(transparent)]
    Inspect(InspectError),
    /// The filesystem is mounted, was not unmounted, or is damaged.
    #[error("the filesystem is {state}; stop its machine and unmount it, or check it with e2fsck, first")]
    NotClean {
        /// Its condition: never [`State::Clean`].
        state: State,
    },
    /// Every checksum starts from the UUID, so that all metadata would have to be written anew.
    #[error(
        "the filesystem's checksums are made from its UUID (there is no metadata_csum_seed); tune2fs -U can change both"
    )]
    Seeded,
    /// Features that need the UUID to stay, or that are not known.
    #[error("filesystems with {features} do not get a new UUID natively; tune2fs -U may be able to")]
    UnknownFeatures {
        /// Those that stand in the way.
        features: Features,
    },
    /// The journal is on another device, which names the filesystem by its UUID.
    #[error("the filesystem's journal is on another device, which knows it by its UUID; use tune2fs -U")]
    ExternalJournal,
}

impl From<InspectError> for SetUuidError {
    fn from(error: InspectError) -> Self {
        match error {
            InspectError::Device(error) => Self::Device(error),
            error => Self::Inspect(error),
        }
    }
}

/// Gives a clean filesystem another UUID: one write of the superblock, after those of its backups.
///
/// With `metadata_csum_seed` no checksum depends on the UUID. Interrupted, the primary superblock has the old UUID;
/// doing it again completes it. Nothing is synced.
pub fn set_uuid(device: &dyn Device, uuid: [u8; 16]) -> Result<(), SetUuidError> {
    let disk = Disk::open(device)?;
    let mut features = unsupported(disk.features);
    features.compat |= disk.features.compat & Compat::STABLE_INODES.bits();
    if !features.is_empty() {
        return Err(SetUuidError::UnknownFeatures { features });
    }
    let state = State::of(&disk);
    if state != State::Clean {
        return Err(SetUuidError::NotClean { state });
    }
    let seeded = match disk.sums {
        Sums::Crc32c(_) => !disk.features.has_incompat(Incompat::CSUM_SEED),
        Sums::Crc16(_) => true,
        Sums::None => false,
    };
    if seeded {
        return Err(SetUuidError::Seeded);
    }
    if disk.features.has_compat(Compat::HAS_JOURNAL) && disk.superblock.s_journal_uuid != [0; 16] {
        return Err(SetUuidError::ExternalJournal);
    }
    if !disk.features.has_ro_compat(RoCompat::SPARSE_SUPER) {
        let features = Features { ro_compat: RoCompat::SPARSE_SUPER.bits(), ..Features::default() };
        return Err(SetUuidError::UnknownFeatures { features });
    }
    let mut raw = disk.superblock.clone();
    raw.s_uuid = uuid;
    disk.sums.seal(&mut raw);
    write_backups(device, &disk.shape, &raw, &[], 0..disk.shape.groups)?;
    let bytes = zerocopy::IntoBytes::as_bytes(&raw);
    Ok(device.write(crate::halves::length(superblock::OFFSET), bytes)?)
}
