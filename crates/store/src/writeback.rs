use std::cell::Cell;
use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Written bytes that are worth telling the disk about.
const INTERVAL: u64 = 32 << 20;

/// The same on btrfs, which gives a file its place as it goes to the disk, and never more than so much in one: a file that goes
/// in small pieces, beside others, lies in as many places, and each clone of it has to take note of each.
const INTERVAL_ON_BTRFS: u64 = 128 << 20;

/// Has a large file written to disk while it is being made, so that the sync at its end finds little left to do.
///
/// Whoever writes holds this and tells it of every write; [`run`](Self::run) is for a thread beside, which ends when
/// this is dropped.
///
/// `fdatasync` on a thread of its own, rather than `sync_file_range`, which rustix lacks, or
/// `posix_fadvise(POSIX_FADV_DONTNEED)`, which would throw pages out of the cache that whoever builds a disk
/// from the pack reads right after.
#[derive(Debug)]
pub struct Writeback {
    wake: Option<SyncSender<()>>,
    interval: u64,
    unsynced: Cell<u64>,
}

impl Writeback {
    /// What the writer of that file holds, and what [`run`](Self::run) waits on. Without `sync`, nothing is ever done.
    pub fn new(file: &File, sync: bool) -> (Self, Receiver<()>) {
        let (wake, receiver) = sync_channel(1);
        let btrfs = rustix::fs::fstatfs(file).is_ok_and(|found| found.f_type == nix::libc::BTRFS_SUPER_MAGIC);
        let interval = if btrfs { INTERVAL_ON_BTRFS } else { INTERVAL };
        (Self { wake: sync.then_some(wake), interval, unsynced: Cell::new(0) }, receiver)
    }

    /// Whether the file is to be synced at all.
    pub fn is_on(&self) -> bool {
        self.wake.is_some()
    }

    /// The writer wrote that many bytes.
    pub fn wrote(&self, bytes: u64) {
        let Some(wake) = &self.wake else { return };
        self.unsynced.set(self.unsynced.get().saturating_add(bytes));
        // Where it is still at work, the next write will ask again.
        if self.unsynced.get() >= self.interval && wake.try_send(()).is_ok() {
            self.unsynced.set(0);
        }
    }

    /// Syncs whenever the writer has written enough, until the writer is gone. An error must not be lost:
    /// the kernel reports it once.
    pub fn run(file: &File, wake: &Receiver<()>) -> io::Result<()> {
        while wake.recv().is_ok() {
            file.sync_data()?;
        }
        Ok(())
    }
}
