//! Owner, extended attributes, mode and time, in this order: a new owner clears setuid bits and capabilities,
//! attributes may change the mode, and everything changes the time.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

use offshoot_tree::{InodeId, Leaf, Metadata, Name, Node, Timestamp};
use rustix::fs::{AtFlags, Mode, OFlags, Stat, Timespec, Timestamps};

use crate::Ownership;
use crate::directory::Maker;
use crate::failure::{During, Failure};
use crate::target::owner;

/// Times within these seconds fit every filesystem of today, to the nanosecond.
const SAFE_SECONDS: std::ops::RangeInclusive<i64> = -0x7fff_ffff..=0x7fff_fffe;

impl Maker<'_> {
    /// The mode that an inode shall have on the host.
    pub(crate) fn host_mode(&self, id: InodeId) -> u16 {
        let inode = self.job.survey.tree.inode(id);
        let mode = inode.metadata.mode & Metadata::MODE_MASK;
        match (self.job.options.ownership, &inode.node) {
            (Ownership::Native, _) | (_, Node::Leaf(Leaf::Symlink(_))) => mode,
            (Ownership::OverrideXattr, Node::Directory(_)) => mode & 0o777 | 0o700,
            (Ownership::OverrideXattr, Node::Leaf(_)) => mode & 0o777 | 0o600,
        }
    }

    /// The mode to make a file with: the final one where that is possible.
    pub(crate) fn first_mode(&self, id: InodeId) -> u16 {
        let mode = self.host_mode(id) & 0o777;
        let writable = mode & 0o600 == 0o600;
        if writable || self.job.survey.tree.inode(id).metadata.xattrs.is_empty() { mode } else { 0o600 }
    }

    /// Sets the attributes of an open file or directory that was made with this mode.
    pub(crate) fn finish_open(&mut self, id: InodeId, file: &File, made: u16) -> Result<(), Failure> {
        let metadata = &self.job.survey.tree.inode(id).metadata;
        if let Some((uid, gid)) = self.new_owner(metadata) {
            rustix::fs::fchown(file, Some(uid), Some(gid)).during("set the owner of")?;
        }
        let mode_changed = self.set_xattrs(id, file)?;
        let mode = self.host_mode(id);
        if mode != made || mode_changed || !self.exact_modes {
            rustix::fs::fchmod(file, Mode::from_raw_mode(mode.into())).during("set the mode of")?;
        }
        rustix::fs::futimens(file, &timestamps(metadata.mtime)).during("set the time of")?;
        self.check_time(metadata.mtime, || rustix::fs::fstat(file))
    }

    /// Sets the attributes of something that cannot be opened, and was made with its final mode but for the
    /// umask.
    pub(crate) fn finish_named(&mut self, id: InodeId, parent: &File, name: &Name) -> Result<(), Failure> {
        let inode = self.job.survey.tree.inode(id);
        let metadata = &inode.metadata;
        let name = name.as_bytes();
        let new_owner = self.new_owner(metadata);
        if let Some((uid, gid)) = new_owner {
            rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .during("set the owner of")?;
        }
        let mode_changed = self.set_xattrs_named(id, parent, name)?;
        let is_symlink = matches!(inode.node, Node::Leaf(Leaf::Symlink(_)));
        let mode = self.host_mode(id);
        let cleared = new_owner.is_some() && mode & 0o6000 != 0;
        if !is_symlink && (cleared || mode_changed || !self.exact_modes) {
            set_mode_named(parent, name, mode).during("set the mode of")?;
        }
        let times = timestamps(metadata.mtime);
        rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).during("set the time of")?;
        self.check_time(metadata.mtime, || rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW))
    }

    /// The owner, if that is not whom everything belongs to from the beginning.
    fn new_owner(&self, metadata: &Metadata) -> Option<(rustix::fs::Uid, rustix::fs::Gid)> {
        let native = self.job.options.ownership == Ownership::Native;
        let ids = (metadata.uid, metadata.gid);
        (native && ids != self.job.target.creator).then(|| owner(ids.0, ids.1))
    }

    fn check_time(
        &mut self,
        wanted: Timestamp,
        stat: impl FnOnce() -> rustix::io::Result<Stat>,
    ) -> Result<(), Failure> {
        if !SAFE_SECONDS.contains(&wanted.seconds) {
            let stat = stat().during("inspect")?;
            let kept = (stat.st_mtime, stat.st_mtime_nsec) == (wanted.seconds, wanted.nanoseconds.into());
            self.summary.times_clamped += u64::from(!kept);
        }
        Ok(())
    }
}

fn timestamps(time: Timestamp) -> Timestamps {
    let time = Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Sets the mode of an entry that must not be opened, for a FIFO waits and a device acts; not of a link.
fn set_mode_named(parent: impl AsFd, name: &[u8], mode: u16) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let entry = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    rustix::fs::chmod(format!("/proc/self/fd/{}", entry.as_raw_fd()), Mode::from_raw_mode(mode.into()))
}
