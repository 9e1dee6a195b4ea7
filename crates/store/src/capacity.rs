use std::io;
use std::path::Path;

/// How much a filesystem holds, and how much more it would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// All of it.
    pub bytes: u64,
    /// What is free for users like this one.
    pub available_bytes: u64,
    /// How many more files it would take; `None` where they are made of the same space as all else.
    pub available_inodes: Option<u64>,
}

impl Capacity {
    /// Of the filesystem that a file or directory is on.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Self {
            bytes: found.f_blocks.saturating_mul(found.f_frsize),
            available_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            // Filesystems that make inodes as they are needed say that they have none.
            available_inodes: (found.f_files > 0).then_some(found.f_favail),
        })
    }
}
