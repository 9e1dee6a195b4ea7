use offshoot_tree::{Device, Metadata, Timestamp, Xattrs};
use rustix::fs::Stat;

use super::FileBody;

/// One entry of a tar.
#[derive(Debug)]
pub(crate) struct Entry {
    /// From the image's root, without slashes around it; empty for the root.
    pub(crate) path: Vec<u8>,
    pub(crate) metadata: Metadata,
    pub(crate) kind: EntryKind,
}

/// What the entry is.
#[derive(Debug)]
pub(crate) enum EntryKind {
    Directory,
    File(FileBody),
    /// One more name for the file of that path, which came before.
    HardLink(Vec<u8>),
    Symlink(Vec<u8>),
    CharDevice(Device),
    BlockDevice(Device),
    Fifo,
}

/// What the system says of an inode, with its attributes.
pub(crate) fn metadata(status: &Stat, xattrs: Xattrs) -> Metadata {
    Metadata {
        mode: u16::try_from(status.st_mode & u32::from(Metadata::MODE_MASK)).unwrap_or_default(),
        uid: status.st_uid,
        gid: status.st_gid,
        mtime: mtime(status),
        xattrs,
    }
}

pub(crate) fn mtime(status: &Stat) -> Timestamp {
    Timestamp {
        seconds: status.st_mtime,
        nanoseconds: u32::try_from(status.st_mtime_nsec).unwrap_or_default(),
    }
}
