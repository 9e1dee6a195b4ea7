use std::io;

use offshoot_tree::SourceId;

/// Where an image goes. It starts as an empty file; what is never written reads as zeros.
///
/// Calls come in the order of their offsets, and no byte is written twice.
pub trait Sink {
    /// Makes the image so many bytes long, all holes. Called once, before everything else.
    fn set_len(&mut self, bytes: u64) -> io::Result<()>;

    /// Writes these bytes at that offset, all of them. Offset and length are multiples of 4 KiB.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Puts `length` bytes of a source, from `source_offset` on, at `offset`; all are multiples of 4 KiB.
    ///
    /// `how` is a wish about the blocks below: the bytes are the same.
    fn copy_from(
        &mut self,
        source: SourceId,
        source_offset: u64,
        offset: u64,
        length: u64,
        how: Transfer,
    ) -> io::Result<()>;
}

/// How bytes come out of a source into an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// A long run: one `FICLONERANGE`, where the host can.
    Share,
    /// A short run that lies among written blocks: blocks of its own, so that all of them are one extent
    /// of the image's file. Not `copy_file_range`, which shares behind one's back on XFS and btrfs.
    Copy,
}
