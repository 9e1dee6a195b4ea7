//! The way to the sink: large writes in ascending order, small gaps closed, backups of the superblock put
//! in where they come to lie.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "block numbers are below 2^35, so byte offsets stay below 2^48"
)]

use offshoot_tree::SourceId;

use crate::halves::{index, length};
use crate::layout::BRIDGE_BLOCKS;
use crate::{BLOCK_BYTES, Error, Sink, Transfer};

/// How much is gathered for one write.
const BUFFER_BYTES: usize = 1 << 20;

/// A copy of superblock and descriptors, and its first block.
pub(crate) struct Backup {
    pub(crate) block: u64,
    pub(crate) superblock: Box<[u8; 4096]>,
}

/// Writes to a sink.
pub(crate) struct Output<'a> {
    sink: &'a mut dyn Sink,
    buffer: Vec<u8>,
    /// Where the buffer's bytes go.
    buffer_offset: u64,
    /// Whether what lies before the buffer was written or copied, so that a small gap is worth closing.
    joins: bool,
    /// What is still to come, the nearest one last.
    backups: Vec<Backup>,
    descriptors: &'a [u8],
}

impl<'a> Output<'a> {
    /// Starts at the first block; `backups` are in ascending order.
    pub(crate) fn new(sink: &'a mut dyn Sink, mut backups: Vec<Backup>, descriptors: &'a [u8]) -> Self {
        backups.reverse();
        Self {
            sink,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            buffer_offset: 0,
            joins: true,
            backups,
            descriptors,
        }
    }

    /// Writes whole blocks from block `number` on.
    pub(crate) fn write(&mut self, number: u64, bytes: &[u8]) -> Result<(), Error> {
        self.reach(number)?;
        self.append(number, bytes)
    }

    /// Has the sink copy or share blocks of a source.
    pub(crate) fn transfer(
        &mut self,
        source: SourceId,
        source_block: u64,
        number: u64,
        blocks: u64,
        how: Transfer,
    ) -> Result<(), Error> {
        self.reach(number)?;
        let copies = how == Transfer::Copy;
        self.seek(number, copies)?;
        self.flush()?;
        let offset = number * BLOCK_BYTES;
        let bytes = blocks * BLOCK_BYTES;
        self.sink.copy_from(source, source_block * BLOCK_BYTES, offset, bytes, how).map_err(|source| {
            Error::Sink { operation: if copies { "copy" } else { "share" }, offset, source }
        })?;
        self.buffer_offset = offset + bytes;
        self.joins = copies;
        Ok(())
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.reach(u64::MAX)?;
        self.flush()
    }

    /// Writes the backups that lie before that block.
    fn reach(&mut self, number: u64) -> Result<(), Error> {
        while let Some(backup) = self.backups.pop_if(|backup| backup.block < number) {
            self.append(backup.block, backup.superblock.as_slice())?;
            self.append(backup.block + 1, self.descriptors)?;
        }
        Ok(())
    }

    fn append(&mut self, number: u64, bytes: &[u8]) -> Result<(), Error> {
        self.seek(number, true)?;
        for chunk in bytes.chunks(BUFFER_BYTES) {
            if self.buffer.len() + chunk.len() > BUFFER_BYTES {
                self.flush()?;
            }
            self.buffer.extend_from_slice(chunk);
        }
        self.joins = true;
        Ok(())
    }

    /// Makes the next byte of the buffer go to that block: fills a small gap, or starts anew.
    fn seek(&mut self, number: u64, joins: bool) -> Result<(), Error> {
        let here = self.buffer_offset + length(self.buffer.len());
        let offset = number * BLOCK_BYTES;
        let gap = offset - here;
        if gap == 0 {
            return Ok(());
        }
        if joins && self.joins && gap <= BRIDGE_BLOCKS * BLOCK_BYTES {
            if self.buffer.len() + index(gap) > BUFFER_BYTES {
                self.flush()?;
            }
            self.buffer.resize(self.buffer.len() + index(gap), 0);
        } else {
            self.flush()?;
            self.buffer_offset = offset;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        if !self.buffer.is_empty() {
            let offset = self.buffer_offset;
            self.sink.write_at(offset, &self.buffer).map_err(|source| Error::Sink {
                operation: "write",
                offset,
                source,
            })?;
            self.buffer_offset += length(self.buffer.len());
            self.buffer.clear();
        }
        Ok(())
    }
}
