use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use crate::oracle;

/// How often a mount is tried: two processes may be given the same free loop device, and one loses.
const ATTEMPTS: u32 = 20;

/// A filesystem image, mounted by the kernel through a loop device for as long as this lives. Needs root.
#[derive(Debug)]
pub struct LoopMount {
    directory: TempDir,
}

impl LoopMount {
    /// Mounts an ext4 image for reading alone, without replaying its journal: the image is not written.
    pub fn read_only(image: &Path) -> Self {
        Self::with_options(image, "ext4", "loop,ro,noload")
    }

    /// Mounts an ext4 image for writing.
    pub fn read_write(image: &Path) -> Self {
        Self::with_options(image, "ext4", "loop")
    }

    /// Mounts an image of any filesystem, with `mount`'s options, `loop` among them.
    pub fn with_options(image: &Path, filesystem: &str, options: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("offshoot-mount-")
            .tempdir()
            .unwrap_or_else(|error| panic!("cannot make a directory to mount at: {error}"));
        let mut mount = oracle::command("mount");
        mount.args(["-t", filesystem, "-o", options]).arg(image).arg(directory.path());
        for attempt in 1.. {
            let output = oracle::output(&mut mount);
            if output.status.success() {
                break;
            }
            let message = String::from_utf8_lossy(&output.stderr).to_lowercase();
            let raced = message.contains("busy") || message.contains("failed to setup loop device");
            assert!(raced && attempt < ATTEMPTS, "{}", oracle::describe(&mount, &output));
            sleep(Duration::from_millis(50 * u64::from(attempt)));
        }
        Self { directory }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Unmounts, and panics where that fails: what was written is then in the image.
    pub fn unmount(self) {
        let path: PathBuf = self.path().to_owned();
        drop(self);
        assert!(!path.exists(), "{} is still mounted", path.display());
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        // The loop device goes with its last user: `mount -o loop` sets it to clear itself.
        for attempt in 1..=ATTEMPTS {
            let mut umount = oracle::command("umount");
            let output = umount.arg(self.directory.path()).output();
            if output.is_ok_and(|output| output.status.success()) {
                return;
            }
            sleep(Duration::from_millis(50 * u64::from(attempt)));
        }
        eprintln!("cannot unmount {}, detaching it", self.directory.path().display());
        let _ = oracle::command("umount").arg("-l").arg(self.directory.path()).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(directory: &Path) -> PathBuf {
        let image = directory.join("image");
        oracle::run(oracle::command("mke2fs").args(["-q", "-t", "ext4"]).arg(&image).arg("16M"));
        image
    }

    #[test]
    fn writes_stay_and_reading_writes_nothing() {
        if !oracle::root() || !oracle::available(&["mke2fs", "mount"]) {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let image = image(directory.path());
        let mount = LoopMount::read_write(&image);
        std::fs::write(mount.path().join("file"), b"contents").unwrap();
        mount.unmount();
        let before = crate::sha256_file(&image);
        let mount = LoopMount::read_only(&image);
        assert_eq!(std::fs::read(mount.path().join("file")).unwrap(), b"contents");
        mount.unmount();
        assert_eq!(crate::sha256_file(&image), before);
    }

    #[test]
    fn unmounts_while_panicking() {
        if !oracle::root() || !oracle::available(&["mke2fs", "mount"]) {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let image = image(directory.path());
        let path = std::sync::Mutex::new(PathBuf::new());
        let panicked = std::panic::catch_unwind(|| {
            let mount = LoopMount::read_only(&image);
            mount.path().clone_into(&mut path.lock().unwrap());
            panic!("on purpose");
        });
        assert!(panicked.is_err());
        let path = path.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        assert!(!path.exists());
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        assert!(!mounts.contains(path.to_str().unwrap()));
    }
}
