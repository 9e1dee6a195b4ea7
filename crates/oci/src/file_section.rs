use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A part of a file that several readers may share: each has a position of its own.
#[derive(Clone, Debug)]
pub(crate) struct FileSection {
    file: Arc<File>,
    position: u64,
    end: u64,
}

impl FileSection {
    /// So many bytes from an offset; those beyond the file's end are not there.
    pub(crate) fn new(file: Arc<File>, offset: u64, size: u64) -> Self {
        Self { file, position: offset, end: offset.saturating_add(size) }
    }

    /// Where in the file it reads next.
    pub(crate) fn offset(&self) -> u64 {
        self.position
    }

    /// How many bytes are left to read.
    pub(crate) fn size(&self) -> u64 {
        self.end - self.position
    }
}

impl Read for FileSection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.size()).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..room], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
