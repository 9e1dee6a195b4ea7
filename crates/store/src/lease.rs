use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::lock::{Locked, is_at, is_same, open_lock};
use crate::{Area, Digest, EntryName, Error, Staging, StoreDir};

/// How often a use is noted, in seconds.
const USE_SECONDS: u64 = 60;

/// How often something is looked at that is in use every time.
const MAX_LOOKS: usize = 10;

/// A pack, template or blob that stays for as long as this lives: a shared lock on it, which the kernel drops with the
/// process.
///
/// Whoever publishes something that names an entry holds a lease on the entry from before they look for it until what
/// names it is published. Whoever removes an entry has claimed it, and looks for what names it only then. So nothing
/// ever names what is gone.
#[derive(Debug)]
pub struct Lease {
    file: Locked,
    /// When its last use was noted, in seconds since the epoch.
    used_at: AtomicU64,
}

impl Lease {
    /// `None` where there is nothing.
    pub(crate) fn on(path: &Path) -> Result<Option<Self>, Error> {
        loop {
            let Some(file) = open_lock(path)? else { return Ok(None) };
            let Some(file) = Locked::new(file, FlockOperation::LockShared, path)? else { continue };
            let metadata = file.metadata().map_err(Error::io("look at", path))?;
            // It may have gone between the two, and another may have taken its place.
            if is_same(&metadata, path)? {
                return Ok(Some(Self { file, used_at: AtomicU64::new(seconds(modified(&metadata))) }));
            }
        }
    }

    /// Notes that the entry was used: the time of modification of its directory is that of its last use, within a
    /// minute. Where it cannot be noted, the entry only looks older than it is.
    pub fn mark_used(&self) {
        let now = SystemTime::now();
        if seconds(now).abs_diff(self.used_at.load(Ordering::Relaxed)) >= USE_SECONDS {
            self.used_at.store(seconds(now), Ordering::Relaxed);
            let _ = self.file.set_modified(now);
        }
    }
}

/// A pack, template or blob that nobody holds a lease on, and that nobody can take one on while this lives.
///
/// Never waited for, and whoever has one waits for nothing but the lock of a name, whose holder waits for nothing: so there is
/// no order in which these must be taken.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    file: Locked,
    used_at: SystemTime,
}

/// What became of an attempt to claim something.
#[derive(Debug)]
pub enum Claimed {
    /// It is the caller's to remove, if nothing names it.
    Free(Claim),
    /// Somebody has a lease on it.
    InUse,
    /// It is not there.
    Gone,
}

impl Claim {
    fn on(path: PathBuf, after_others: bool) -> Result<Claimed, Error> {
        let Some(file) = open_lock(&path)? else { return Ok(Claimed::Gone) };
        let exclusive = FlockOperation::NonBlockingLockExclusive;
        let locked = if after_others {
            // Granted when those who have claims are done, and they get no other until it is made exclusive.
            let shared = Locked::new(file, FlockOperation::LockShared, &path)?;
            shared.map(|shared| shared.instead(exclusive, &path)).transpose()?.flatten()
        } else {
            Locked::new(file, exclusive, &path)?
        };
        let Some(file) = locked else { return Ok(Claimed::InUse) };
        let metadata = file.metadata().map_err(Error::io("look at", &path))?;
        if !is_same(&metadata, &path)? {
            return Ok(Claimed::Gone);
        }
        Ok(Claimed::Free(Self { path, file, used_at: modified(&metadata) }))
    }

    /// What it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When it was last used, within a minute; when it was last put, of a blob.
    pub fn used_at(&self) -> SystemTime {
        self.used_at
    }

    /// Takes it out of sight in one rename; it is removed when what is returned is dropped or discarded. The directory
    /// that it was in is the caller's to sync before that.
    ///
    /// `Ok(None)`: it is not there any more, and what came in its place stays. Nobody of ours moves what is claimed; a
    /// person may.
    pub fn retire(self, store: &StoreDir) -> Result<Option<Staging<'_>>, Error> {
        let retired = store.temporary_path()?;
        if !is_at(&self.file, &self.path)? {
            return Ok(None);
        }
        fs::rename(&self.path, &retired).map_err(Error::io("take away", &self.path))?;
        Ok(Some(Staging::of_retired(store, retired)))
    }
}

impl StoreDir {
    /// Keeps a published entry where it is, and notes that it is used; `None` where there is none.
    ///
    /// Waits while somebody decides whether to remove it, which takes them one look at the records.
    pub fn lease(&self, area: Area, name: &EntryName) -> Result<Option<Lease>, Error> {
        let lease = Lease::on(&self.entry_path(area, name))?;
        if let Some(lease) = &lease {
            lease.mark_used();
        }
        Ok(lease)
    }

    /// Keeps a pack, template or blob from being claimed while somebody decides whether to move it; that is no use of it.
    /// `None` where there is nothing, or something that nobody can claim: a link, or what this user may not open.
    ///
    /// Waits as [`lease`](Self::lease) does.
    pub fn keep(&self, path: &Path) -> Result<Option<Lease>, Error> {
        match Lease::on(path) {
            Err(Error::Io { source, .. }) if is_closed(&source) => Ok(None),
            lease => lease,
        }
    }

    /// The right to remove a published entry, as [`claim`](Self::claim) gives it, but who only looks whether to remove it is waited for: it is not in use for that. For who has no other
    /// claim.
    pub fn claim_after_others(&self, area: Area, name: &EntryName) -> Result<Claimed, Error> {
        let path = self.entry_path(area, name);
        for _ in 0..MAX_LOOKS {
            match Claim::on(path.clone(), true)? {
                // Perhaps by somebody who does the same.
                Claimed::InUse => {}
                claimed => return Ok(claimed),
            }
        }
        Ok(Claimed::InUse)
    }

    /// The right to remove a published entry, unless somebody has a lease on it.
    pub fn claim(&self, area: Area, name: &EntryName) -> Result<Claimed, Error> {
        Claim::on(self.entry_path(area, name), false)
    }

    /// The same for a blob.
    pub fn claim_blob(&self, digest: Digest) -> Result<Claimed, Error> {
        Claim::on(self.blob_path(digest), false)
    }
}

/// Whether nobody can open it, as this user: a link, a socket, a device that is not there, or by its mode.
fn is_closed(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| {
        [Errno::LOOP, Errno::NXIO, Errno::NODEV, Errno::ACCESS, Errno::PERM].contains(&errno)
    })
}

fn modified(metadata: &Metadata) -> SystemTime {
    metadata.modified().unwrap_or(UNIX_EPOCH)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A lease on something that nobody sees yet, or an error if that cannot be had at once.
pub(crate) fn of_private(path: &Path) -> Result<Lease, Error> {
    Lease::on(path)?.ok_or_else(|| Error::io("find", path)(io::ErrorKind::NotFound.into()))
}
