//! Whose the bytes of a filesystem are, where files share them.

mod map;
mod sweep;
mod walk;

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use rustix::fs::Stat;

use crate::Error;
use map::Placed;
use sweep::{Range, Sweep};
use walk::Found;

/// Where bytes are put that are in no blocks which could be shared, each file's for itself: behind any disk's end.
const UNSHARED: u64 = 1 << 63;

/// One of those whose bytes are counted: what was added to a [`Survey`] in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder(u32);

impl Holder {
    /// How many were added before it.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Looks at where files lie on their disk: one after another, then [`finish`](Self::finish).
///
/// Nothing is read, written or synced. Memory is used for each extent, some 60 bytes.
#[derive(Debug)]
pub struct Survey {
    /// Whether extents stay as a whole while anything of them is in use.
    whole_extents: bool,
    ranges: Vec<Range>,
    /// The lengths of each holder's files.
    apparent_bytes: Vec<u64>,
    linked: HashMap<(u64, u64), Linked>,
    unshared: u64,
}

/// A file of several names.
#[derive(Debug)]
struct Linked {
    /// As wide as no machine's type is.
    names_not_met: u128,
    /// Who had it last.
    holder: Holder,
    /// How many ranges it has, and where they begin: of whom it first was, and the same again of each other holder.
    count: usize,
    begins: Vec<usize>,
}

impl Survey {
    /// A survey of the filesystem that this directory is in.
    pub fn new(directory: &Path) -> Result<Self, Error> {
        const BTRFS_SUPER_MAGIC: u64 = 0x9123_683e;
        let filesystem = rustix::fs::statfs(directory).map_err(Error::errno("look at", directory))?;
        let whole_extents = u64::try_from(filesystem.f_type).is_ok_and(|magic| magic == BTRFS_SUPER_MAGIC);
        Ok(Self {
            whole_extents,
            ranges: Vec::new(),
            apparent_bytes: Vec::new(),
            linked: HashMap::new(),
            unshared: UNSHARED,
        })
    }

    /// Adds a file, or a directory and all that is in it. Nothing is there: nothing is added.
    ///
    /// No link is followed, and what is mounted below is left out. What goes away meanwhile is not counted; a file
    /// that may not be opened is counted as one that shares nothing.
    pub fn add(&mut self, path: &Path) -> Result<Holder, Error> {
        let holder = Holder(u32::try_from(self.apparent_bytes.len()).unwrap_or(u32::MAX));
        self.apparent_bytes.push(0);
        walk::walk(path, |found| self.file(holder, found))?;
        Ok(holder)
    }

    fn file(&mut self, holder: Holder, found: &Found<'_>) -> rustix::io::Result<()> {
        let stat = found.stat;
        let linked = !found.directory && stat.st_nlink > 1;
        let identity = (stat.st_dev, stat.st_ino);
        if linked && let Some(known) = self.linked.get_mut(&identity) {
            known.names_not_met = known.names_not_met.saturating_sub(1);
            if known.holder == holder {
                return Ok(());
            }
            known.holder = holder;
            let first = known.begins.first().copied().unwrap_or(0);
            known.begins.push(self.ranges.len());
            self.ranges.extend_from_within(first..first + known.count);
            for range in self.ranges.iter_mut().rev().take(known.count) {
                (range.holder, range.again) = (holder.0, true);
            }
        } else {
            let begin = self.ranges.len();
            let file = if stat.st_blocks == 0 { None } else { found.open()? };
            self.place(holder, &stat, file.as_ref())?;
            if linked {
                let names_not_met = u128::from(stat.st_nlink) - 1;
                let count = self.ranges.len() - begin;
                let known = Linked { names_not_met, holder, count, begins: vec![begin] };
                self.linked.insert(identity, known);
            }
        }
        if let Some(bytes) = self.apparent_bytes.get_mut(holder.index()).filter(|_| !found.directory) {
            *bytes += u64::try_from(stat.st_size).unwrap_or(0);
        }
        Ok(())
    }

    /// Adds where a file's blocks lie, and those that its map does not have: of its inode, or without a place yet.
    fn place(&mut self, holder: Holder, stat: &Stat, file: Option<&File>) -> rustix::io::Result<()> {
        let mut placed_bytes = 0;
        if let Some(file) = file {
            map::placed(file, self.whole_extents, |Placed { start, length, gap, shared, encoded }| {
                placed_bytes += if gap { 0 } else { length };
                let end = start.saturating_add(length);
                let range = Range { start, end, holder: holder.0, shared, encoded, gap, ..Range::default() };
                self.ranges.push(range);
            })?;
        }
        let bytes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
        if let Some(rest @ 1..) = bytes.checked_sub(placed_bytes) {
            let start = self.unshared;
            self.unshared = start.saturating_add(rest);
            self.ranges.push(Range { start, end: self.unshared, holder: holder.0, ..Range::default() });
        }
        Ok(())
    }

    /// What was found.
    pub fn finish(mut self) -> Space {
        for linked in self.linked.into_values().filter(|linked| linked.names_not_met > 0) {
            for begin in linked.begins {
                for range in self.ranges.iter_mut().skip(begin).take(linked.count) {
                    range.kept = true;
                }
            }
        }
        Space { sweep: Sweep::new(self.ranges, self.whole_extents), apparent_bytes: self.apparent_bytes }
    }
}

/// Whose the bytes of a filesystem are. Sizes are in bytes of its blocks; what is shared is counted once.
///
/// What is compressed is counted up to the next extent that is known, at most as large as what it holds. What the filesystem
/// itself needs to find it all (inodes, trees) is not counted where it does not say so of a file.
#[derive(Debug)]
pub struct Space {
    sweep: Sweep,
    /// The lengths of each holder's files.
    apparent_bytes: Vec<u64>,
}

impl Space {
    /// The lengths of one's files, holes included; of files that have several names, once.
    pub fn apparent_bytes(&self, holder: Holder) -> u64 {
        self.apparent_bytes.get(holder.index()).copied().unwrap_or_default()
    }

    /// How many bytes on disk these have together.
    pub fn on_disk(&self, these: impl Fn(Holder) -> bool) -> u64 {
        self.sweep.on_disk(|holder| these(Holder(holder)))
    }

    /// The same of each holder alone, in the order in which they were added.
    pub fn on_disk_alone(&self) -> Vec<u64> {
        self.sweep.on_disk_each(self.apparent_bytes.len())
    }

    /// How many bytes become free if these are removed and all others stay.
    ///
    /// What files that were not looked at have too is not among them. The filesystem says of a block whether it is shared, but
    /// not by how many: where two of the files share it, nobody unknown is taken to have it. On btrfs, where an extent stays
    /// as a whole while any part of it is in use, parts are taken to be of one extent if they overlap, or were one in a file.
    pub fn freed(&self, these: impl Fn(Holder) -> bool) -> u64 {
        self.sweep.freed(|holder| these(Holder(holder)))
    }

    /// The same of each holder alone, in the order in which they were added.
    pub fn freed_alone(&self) -> Vec<u64> {
        self.sweep.freed_alone(self.apparent_bytes.len())
    }
}
