use std::fs::File;
use std::io;

use rustix::fs::FallocateFlags;

/// The least and the most that is taken at once, in bytes; the most is what btrfs keeps as one.
const LEAST: u64 = 16 << 20;
const MOST: u64 = 128 << 20;

/// Room taken ahead for a file that is written from its start to its end, so that it comes to lie in few places.
///
/// On btrfs alone, which else decides whenever something is written back, and so puts what two write at once between each
/// other. Whatever shares the file's blocks later pays for each of its places. The other filesystems see to it themselves.
#[derive(Debug)]
pub struct Ahead<'a> {
    /// None where nothing is to be taken, or nothing could.
    file: Option<&'a File>,
    taken: u64,
}

impl<'a> Ahead<'a> {
    /// For an empty file.
    pub fn of(file: &'a File) -> Self {
        let btrfs = rustix::fs::fstatfs(file).is_ok_and(|found| found.f_type == BTRFS_SUPER_MAGIC);
        Self { file: btrfs.then_some(file), taken: 0 }
    }

    /// The file will be written to there next. Room is a wish: what cannot be taken is not.
    pub fn write_to(&mut self, end: u64) {
        while let Some(file) = self.file
            && self.taken < end
        {
            let more = self.taken.clamp(LEAST, MOST);
            if rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, self.taken, more).is_err() {
                self.file = None;
            }
            self.taken = self.taken.saturating_add(more);
        }
    }

    /// The file has all of its bytes: gives back what was taken beyond them.
    pub fn finish(self) -> io::Result<()> {
        match self.file {
            Some(file) if self.taken > 0 => file.set_len(file.metadata()?.len()),
            _ => Ok(()),
        }
    }
}

/// `statfs`'s name for btrfs, of `linux/magic.h`.
const BTRFS_SUPER_MAGIC: rustix::fs::FsWord = 0x9123_683e;
