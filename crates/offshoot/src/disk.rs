use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use offshoot_ext4::{Sink, Transfer};
use offshoot_layer::PackData;
use offshoot_store::{Writeback, copy_range, copy_range_in_kernel, share_range};
use offshoot_tree::{BLOCK_SIZE, SourceId};

use crate::RangeChecksum;
use crate::checksums::{Checksums, STRETCH_BYTES};
use crate::progress::{self, Event, Progress};

/// Whether a disk's blocks may be those of the packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Where the filesystem can.
    Wanted,
    /// Not even where it can.
    Refused,
}

/// A disk being written: metadata as given, contents out of the packs.
pub(crate) struct Disk<'a> {
    file: &'a File,
    /// By [`SourceId`].
    packs: Vec<PackData>,
    checksums: Checksums,
    writeback: Writeback,
    progress: &'a dyn Progress,
    sharing: Sharing,
    /// Until the filesystem has said that it cannot.
    can_share: Cell<bool>,
    did_share: Cell<bool>,
    buffer: Vec<u8>,
}

/// How much is copied before the disk hears of it.
const PIECE_BYTES: u64 = 32 << 20;

impl<'a> Disk<'a> {
    pub(crate) fn new(
        file: &'a File,
        packs: Vec<PackData>,
        sharing: Sharing,
        writeback: Writeback,
        progress: &'a dyn Progress,
    ) -> Self {
        let can_share = Cell::new(sharing == Sharing::Wanted);
        Self {
            file,
            packs,
            checksums: Checksums::default(),
            writeback,
            progress,
            sharing,
            can_share,
            did_share: Cell::new(false),
            buffer: Vec::new(),
        }
    }

    /// Nothing more is written: the checksums of all that was.
    pub(crate) fn finish(self) -> Vec<RangeChecksum> {
        self.checksums.finish()
    }

    /// Whether any blocks are the packs'.
    pub(crate) fn shares(&self) -> bool {
        self.did_share.get()
    }

    fn share(&self, pack: &File, pack_offset: u64, offset: u64, length: u64) -> io::Result<bool> {
        if self.can_share.get() {
            let shared = share_range(pack, pack_offset, self.file, offset, length)?;
            self.can_share.set(shared);
            self.did_share.set(shared || self.did_share.get());
        }
        Ok(self.can_share.get())
    }

    /// Takes over what the pack knows of the bytes that will be at `offset`.
    fn sum(&mut self, source: SourceId, source_offset: u64, offset: u64, length: u64) -> io::Result<()> {
        let pack = self.packs.get(source.0 as usize).ok_or(io::ErrorKind::NotFound)?;
        let (first, blocks) = (source_offset / BLOCK_SIZE, length / BLOCK_SIZE);
        let mut done = 0;
        while done < blocks {
            // Where a file ends nothing has to be read.
            let end = pack.next_end(first + done + STRETCH_BYTES / BLOCK_SIZE);
            let count = end.map_or(blocks, |end| end - first).min(blocks) - done;
            let checksum = pack.checksum(first + done, count)?;
            self.checksums.placed(offset + done * BLOCK_SIZE, count * BLOCK_SIZE, checksum);
            done += count;
        }
        Ok(())
    }

    fn copy(
        &mut self,
        source: SourceId,
        source_offset: u64,
        offset: u64,
        length: u64,
        how: Transfer,
    ) -> io::Result<()> {
        let pack = self.packs.get(source.0 as usize).ok_or(io::ErrorKind::NotFound)?.file();
        match how {
            Transfer::Share if self.share(pack, source_offset, offset, length)? => return Ok(()),
            Transfer::Share if self.sharing == Sharing::Wanted => {
                copy_range_in_kernel(pack, source_offset, self.file, offset, length)?;
            }
            // Copied through memory also where it could be shared: short runs would cost every clone.
            Transfer::Share | Transfer::Copy => {
                copy_range(pack, source_offset, self.file, offset, length, &mut self.buffer)?;
            }
        }
        self.writeback.wrote(length);
        Ok(())
    }
}

impl Sink for Disk<'_> {
    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        progress::check(self.progress)?;
        self.file.write_all_at(bytes, offset)?;
        self.checksums.wrote(offset, bytes);
        self.writeback.wrote(bytes.len() as u64);
        self.progress.event(Event::BuildWrote { bytes: bytes.len() as u64 });
        Ok(())
    }

    fn copy_from(
        &mut self,
        source: SourceId,
        source_offset: u64,
        offset: u64,
        length: u64,
        how: Transfer,
    ) -> io::Result<()> {
        self.sum(source, source_offset, offset, length)?;
        // What can be shared is shared in one call; what is copied is copied in pieces.
        let shared = how == Transfer::Share && self.can_share.get();
        let piece = if shared { length } else { PIECE_BYTES };
        let mut done = 0;
        while done < length {
            progress::check(self.progress)?;
            let count = piece.min(length - done);
            self.copy(source, source_offset + done, offset + done, count, how)?;
            self.progress.event(Event::BuildWrote { bytes: count });
            done += count;
        }
        Ok(())
    }
}
