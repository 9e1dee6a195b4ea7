use std::fs::File;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{LoopMount, oracle};

/// The workspace's target directory, where the oracles' files and the sample images are kept.
pub fn target_directory() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), |target| workspace.join(PathBuf::from(target)))
}

/// A directory for large files that goes with its guard. It lies in the target directory, since the
/// system's one for temporary files may be small and in memory.
pub fn scratch_directory() -> TempDir {
    let parent = target_directory().join("scratch");
    std::fs::create_dir_all(&parent)
        .and_then(|()| tempfile::Builder::new().prefix("t-").tempdir_in(&parent))
        .unwrap_or_else(|error| panic!("cannot make a directory in {}: {error}", parent.display()))
}

/// A directory in memory, where syncing costs nothing, for many small files; where there is too little memory for
/// files, or none for their attributes (before Linux 6.6), as [`scratch_directory`].
pub fn memory_directory() -> TempDir {
    in_memory().unwrap_or_else(scratch_directory)
}

fn in_memory() -> Option<TempDir> {
    let status = rustix::fs::statvfs(MEMORY).ok()?;
    let room = status.f_bavail.saturating_mul(status.f_frsize);
    let directory = tempfile::Builder::new().prefix("offshoot-").tempdir_in(MEMORY).ok()?;
    let attribute = rustix::fs::setxattr(directory.path(), "user.a", b"", rustix::fs::XattrFlags::empty());
    let removed = rustix::fs::removexattr(directory.path(), "user.a");
    (room >= MEMORY_ROOM && attribute.is_ok() && removed.is_ok()).then_some(directory)
}

/// Where Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";
const MEMORY_ROOM: u64 = 1 << 30;

/// How many bytes of a mounted filesystem are in use, once all that was written or removed is so on disk. Needs `fsfreeze`.
pub fn used_bytes(mounted: &Path) -> u64 {
    // Freezing waits for what XFS does later.
    for option in ["-f", "-u"] {
        oracle::run(oracle::command("fsfreeze").arg(option).arg(mounted));
    }
    let filesystem = rustix::fs::statvfs(mounted)
        .unwrap_or_else(|error| panic!("cannot look at {}: {error}", mounted.display()));
    (filesystem.f_blocks - filesystem.f_bfree) * filesystem.f_frsize
}

/// A filesystem of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filesystem {
    /// Shares blocks between files. At least 300 MiB.
    Xfs,
    /// Shares blocks between files. At least 128 MiB.
    Btrfs,
    /// Shares nothing.
    Ext4,
}

impl Filesystem {
    /// The kernel's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Ext4 => "ext4",
        }
    }

    /// Whether such a filesystem can be made and mounted here; as [`oracle::available`] otherwise.
    pub fn available(self) -> bool {
        let mkfs = format!("mkfs.{}", self.name());
        oracle::root() && oracle::available(&[&mkfs, "mount"])
    }
}

/// A new, empty filesystem in a sparse file, mounted for as long as this lives. Needs root.
#[derive(Debug)]
pub struct ScratchFilesystem {
    // In this order: unmounted before its file goes.
    mount: LoopMount,
    _directory: TempDir,
}

impl ScratchFilesystem {
    /// Makes and mounts one of so many bytes.
    pub fn new(filesystem: Filesystem, size: u64) -> Self {
        let directory = scratch_directory();
        let image = directory.path().join(filesystem.name());
        File::create(&image)
            .and_then(|file| file.set_len(size))
            .unwrap_or_else(|error| panic!("cannot make {}: {error}", image.display()));
        oracle::run(oracle::command(&format!("mkfs.{}", filesystem.name())).arg("-q").arg(&image));
        let mount = LoopMount::with_options(&image, filesystem.name(), "loop");
        bypass_host_cache(mount.path());
        Self { mount, _directory: directory }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.mount.path()
    }
}

/// Has the loop device write past the host's page cache where the host can: below a filesystem on a disk there
/// is no second cache that everything is copied through once more.
fn bypass_host_cache(mounted: &Path) {
    let device = oracle::run(oracle::command("findmnt").args(["-n", "-o", "SOURCE"]).arg(mounted));
    let _ = oracle::output(oracle::command("losetup").args(["--direct-io=on", device.trim()]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reflink_supported;

    #[test]
    fn shares_where_it_should() {
        for (filesystem, shares) in
            [(Filesystem::Xfs, true), (Filesystem::Btrfs, true), (Filesystem::Ext4, false)]
        {
            if !filesystem.available() {
                continue;
            }
            let scratch = ScratchFilesystem::new(filesystem, 512 << 20);
            assert_eq!(reflink_supported(scratch.path()), shares, "{filesystem:?}");
        }
    }
}
