use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use offshoot_store::Digest;
use rustix::fs::{FlockOperation, OFlags};

/// The first bytes of a blob, kept in a file for whoever wants it next, this process or a later one.
///
/// They are as good as what they came from, and verified by whoever reads the blob. So they are kept only where the
/// download was cut or interrupted: a reader who gives up for any other reason may have found them wrong, and
/// then the next attempt must not begin with them. A lock says whose they are; it dies with its holder.
#[derive(Debug)]
pub(crate) struct Partial {
    file: File,
    path: PathBuf,
    /// How many bytes an earlier download left.
    length: u64,
    /// Whether bytes are still added.
    growing: bool,
    keep: bool,
}

impl Partial {
    /// What there is of a blob, or a file to begin with; `None` where somebody else is at it, or where no file can
    /// be had: the download goes on without.
    pub(crate) fn open(directory: &Path, digest: Digest, size: u64) -> Option<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).ok()?;
        let path = directory.join(format!("{}.partial", digest.hex()));
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).ok()?;
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(flags)
            .open(&path)
            .ok()?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        // Its former owner may have removed it just before the lock was ours.
        let (held, named) = (file.metadata().ok()?, fs::symlink_metadata(&path).ok()?);
        if (held.dev(), held.ino()) != (named.dev(), named.ino()) || !held.is_file() {
            return None;
        }
        let mut partial = Self { file, path, length: held.len(), growing: true, keep: false };
        if partial.length > size {
            partial.file.set_len(0).ok()?;
            partial.length = 0;
        }
        Some(partial)
    }

    /// How many bytes an earlier download left.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Reads what an earlier download left; `None` beyond it.
    pub(crate) fn read(&mut self, buffer: &mut [u8], position: u64) -> Option<usize> {
        let left = self.length.checked_sub(position).filter(|left| *left > 0)?;
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        match retried(|| self.file.read_at(&mut buffer[..room], position)) {
            Ok(count) if count > 0 => Some(count),
            // Cut short or unreadable: the registry has the rest.
            _ => {
                self.length = position;
                None
            }
        }
    }

    /// Adds what came from the registry.
    pub(crate) fn write(&mut self, bytes: &[u8], position: u64) {
        if self.growing && self.file.write_all_at(bytes, position).is_err() {
            // A full disk, most likely: what it took of it is given back.
            self.growing = false;
            let _ = self.file.set_len(0);
        }
    }

    /// The blob is whole, or wrong.
    pub(crate) fn discard(&mut self) {
        self.keep = false;
        self.growing = false;
    }

    /// The download broke off.
    pub(crate) fn cut(&mut self) {
        self.keep = self.growing;
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.keep {
            // While still holding the lock, so that nobody has just begun with it.
            let _ = fs::remove_file(&self.path);
        }
        // A child that is being started has a copy of the handle, which would hold it.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

fn retried<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
