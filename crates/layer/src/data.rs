use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use offshoot_store::{Checksum, Writeback};
use offshoot_tree::{Content, Extent, SourceId};

use crate::block::{self, BLOCK_LEN};
use crate::tar::{Failure, Segment};
use crate::{Error, Limit, length};

/// What is gathered before it is written. Large enough that the calls cost nothing, small enough to stay in
/// a core's cache between the copy, the checksum and the write.
const BUFFER_LEN: usize = 512 << 10;

/// The pack's data file, written from its start to its end: blocks of contents, zero blocks left out.
#[derive(Debug)]
pub(crate) struct DataWriter<'a> {
    file: &'a File,
    path: PathBuf,
    writeback: &'a Writeback,
    buffer: Vec<u8>,
    /// Blocks in the file before the buffer.
    written: u64,
    /// Extents of all files so far, and how many there may be.
    extents: u64,
    max_extents: u64,
    /// Of all blocks so far, those in the buffer included, those in the making not.
    checksum: Checksum,
}

/// One regular file's contents on their way into the data file.
///
/// At the end of the writer's buffer there may be a block in the making.
#[derive(Debug)]
pub(crate) struct Contents<'w, 'a> {
    writer: &'w mut DataWriter<'a>,
    /// The block of the file that is in the making, or comes next.
    block: u64,
    /// Bytes of it that are there already.
    filled: usize,
    content: Content,
}

impl<'a> DataWriter<'a> {
    pub(crate) fn new(file: &'a File, path: &Path, writeback: &'a Writeback, max_extents: u64) -> Self {
        let buffer = Vec::with_capacity(BUFFER_LEN);
        Self {
            file,
            path: path.to_owned(),
            writeback,
            buffer,
            written: 0,
            extents: 0,
            max_extents,
            checksum: Checksum::new(),
        }
    }

    /// Begins a file of that size.
    pub(crate) fn contents(&mut self, size: u64) -> Contents<'_, 'a> {
        let content = Content { size, source: SourceId::default(), extents: Vec::new() };
        Contents { writer: self, block: 0, filled: 0, content }
    }

    /// Writes what is left in the buffer; the length of the data file in bytes.
    pub(crate) fn finish(mut self) -> Result<u64, Error> {
        self.flush()?;
        Ok(block::start(self.written))
    }

    fn flush(&mut self) -> Result<(), Error> {
        let host = |source| Error::Host { operation: "write", path: self.path.clone(), source };
        self.file.write_all(&self.buffer).map_err(host)?;
        let bytes = length::in_file(self.buffer.len());
        self.written = self.written.saturating_add(block::whole(self.buffer.len()));
        self.buffer.clear();
        self.writeback.wrote(bytes);
        Ok(())
    }
}

/// Why contents could not be taken.
#[derive(Debug)]
pub(crate) enum ContentsError {
    Host(Error),
    Tar(Failure),
}

impl Contents<'_, '_> {
    /// Takes the next bytes of the file.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), ContentsError> {
        while !bytes.is_empty() {
            if self.filled == 0 && bytes.len() >= BLOCK_LEN {
                bytes = self.whole_blocks(bytes)?;
                continue;
            }
            if self.filled == 0 {
                self.make_room()?;
            }
            let count = BLOCK_LEN.saturating_sub(self.filled).min(bytes.len());
            let (now, later) = bytes.split_at(count);
            self.writer.buffer.extend_from_slice(now);
            self.filled = self.filled.saturating_add(count);
            bytes = later;
            if self.filled == BLOCK_LEN {
                self.finish_block()?;
            }
        }
        Ok(())
    }

    /// Goes on at that byte of the file, which is not before the last one written: between lies a hole.
    pub(crate) fn skip_to(&mut self, offset: u64) -> Result<(), ContentsError> {
        let block = offset.wrapping_div(offshoot_tree::BLOCK_SIZE);
        if block != self.block {
            self.pad_block()?;
            self.block = block;
        }
        let within = length::in_memory(offset.wrapping_rem(offshoot_tree::BLOCK_SIZE));
        if self.filled == 0 && within > 0 {
            self.make_room()?;
        }
        self.pad_to(within);
        Ok(())
    }

    /// The whole file: where its blocks lie, and the checksum of all blocks up to its last one.
    pub(crate) fn finish(mut self) -> Result<(Content, Checksum), ContentsError> {
        self.pad_block()?;
        self.content.extents.shrink_to_fit();
        Ok((self.content, self.writer.checksum))
    }

    /// Takes as many whole blocks from the start of `bytes` as there is room for, runs of equal kind at
    /// once; what is left.
    fn whole_blocks<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], ContentsError> {
        self.make_room()?;
        let room = BUFFER_LEN.saturating_sub(self.writer.buffer.len());
        let (blocks, _) = bytes.get(..room).unwrap_or(bytes).as_chunks::<BLOCK_LEN>();
        let mut left = blocks;
        while let Some(first) = left.first() {
            let zero = block::is_zero(first);
            let run = left.iter().position(|block| block::is_zero(block) != zero).unwrap_or(left.len());
            let (now, later) = left.split_at(run);
            let count = length::in_file(run);
            if !zero {
                let now = now.as_flattened();
                self.writer.buffer.extend_from_slice(now);
                self.writer.checksum = self.writer.checksum.update(now);
                self.add_extent(count)?;
            }
            self.block = self.block.saturating_add(count);
            left = later;
        }
        Ok(bytes.get(blocks.as_flattened().len()..).unwrap_or_default())
    }

    fn pad_block(&mut self) -> Result<(), ContentsError> {
        if self.filled > 0 {
            self.pad_to(BLOCK_LEN);
            self.finish_block()?;
        }
        Ok(())
    }

    fn pad_to(&mut self, end: usize) {
        let padding = end.saturating_sub(self.filled);
        let length = self.writer.buffer.len().saturating_add(padding);
        self.writer.buffer.resize(length, 0);
        self.filled = self.filled.saturating_add(padding);
    }

    /// Keeps the block at the end of the buffer, or drops it if it is all zero.
    fn finish_block(&mut self) -> Result<(), ContentsError> {
        let start = self.writer.buffer.len().saturating_sub(BLOCK_LEN);
        let bytes = self.writer.buffer.get(start..).unwrap_or_default();
        if block::is_zero(bytes) {
            self.writer.buffer.truncate(start);
        } else {
            self.writer.checksum = self.writer.checksum.update(bytes);
            self.add_extent(1)?;
        }
        self.filled = 0;
        self.block = self.block.saturating_add(1);
        Ok(())
    }

    /// Records that the last blocks of the buffer are the file's from `self.block` on.
    fn add_extent(&mut self, count: u64) -> Result<(), ContentsError> {
        let end = self.writer.written.saturating_add(block::whole(self.writer.buffer.len()));
        let source_block = end.saturating_sub(count);
        if let Some(last) = self.content.extents.last_mut()
            && last.logical_block.checked_add(last.block_count) == Some(self.block)
            && last.source_block.checked_add(last.block_count) == Some(source_block)
        {
            last.block_count = last.block_count.saturating_add(count);
            return Ok(());
        }
        if self.writer.extents == self.writer.max_extents {
            return Err(ContentsError::Tar(Failure::Limit(Limit::Extents, self.writer.max_extents)));
        }
        self.writer.extents = self.writer.extents.saturating_add(1);
        self.content.extents.push(Extent { logical_block: self.block, source_block, block_count: count });
        Ok(())
    }

    /// Room for a block at least. Between blocks only, so that the buffer holds whole ones.
    fn make_room(&mut self) -> Result<(), ContentsError> {
        if self.writer.buffer.len() >= BUFFER_LEN {
            self.writer.flush().map_err(ContentsError::Host)?;
        }
        Ok(())
    }
}

/// Leads the data of a sparse file to where it belongs, piece by piece.
#[derive(Debug)]
pub(crate) struct Placement {
    segments: std::vec::IntoIter<Segment>,
    current: Segment,
}

impl Placement {
    /// For a file of that size; `None` for one without holes of its own.
    pub(crate) fn new(size: u64, segments: Option<Vec<Segment>>) -> Self {
        let segments = segments.unwrap_or_else(|| vec![Segment { offset: 0, length: size }]);
        Self { segments: segments.into_iter(), current: Segment { offset: 0, length: 0 } }
    }

    /// Where the next byte goes, and how many go there at once; `None` when all are placed.
    pub(crate) fn next(&mut self) -> Option<Segment> {
        while self.current.length == 0 {
            self.current = self.segments.next()?;
        }
        Some(self.current)
    }

    /// That many bytes are placed, no more than [`next`](Self::next) has said.
    pub(crate) fn placed(&mut self, count: u64) {
        self.current.offset = self.current.offset.saturating_add(count);
        self.current.length = self.current.length.saturating_sub(count);
    }
}
