use crate::device::DeviceError;

/// Why it cannot be said what a filesystem is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// There is no superblock of ext2, ext3 or ext4.
    #[error("there is no ext4 filesystem on the disk")]
    NotExt4,
    /// There is one, but something in it cannot be: e2fsck may mend it.
    #[error("the filesystem is damaged: {part} cannot be right; check it with e2fsck -f")]
    Damaged {
        /// What: `the superblock's checksum`, `the number of inodes` and the like.
        part: &'static str,
    },
    /// The filesystem says that it is larger than what it lies on.
    #[error("the filesystem has {filesystem_bytes} bytes, but its disk ends after {device_bytes}")]
    Truncated {
        /// What the filesystem says.
        filesystem_bytes: u64,
        /// What the device has.
        device_bytes: u64,
    },
}

impl InspectError {
    pub(crate) fn damaged(part: &'static str) -> Self {
        Self::Damaged { part }
    }
}
