use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use offshoot_tree::Timestamp;
use rustix::fs::{Stat, fstat};

use super::entry::mtime;
use super::sparse_map::{self, Segment};
use crate::Error;

/// Files with less in holes than this are read as they are: asking costs more than reading zeros.
const MIN_HOLES: u64 = 64 << 10;
/// Files with at least so many bytes of holes go into the tar as sparse files. Smaller holes become zeros, so that
/// a file and its copy without holes are the same layer.
const MIN_SPARSE: u64 = 256 << 20;

/// The contents of an open regular file on their way into a tar.
#[derive(Debug)]
pub(crate) struct FileBody {
    file: File,
    /// For errors.
    path: PathBuf,
    size: u64,
    mtime: Timestamp,
    /// The data alone, for a file that goes in as sparse.
    sparse: Option<Vec<Segment>>,
    /// Whether to ask for holes on the way.
    holes: bool,
    /// What is being read.
    run: Run,
    /// Which sparse segment comes next.
    next_segment: usize,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    position: u64,
    end: u64,
    is_hole: bool,
}

impl FileBody {
    /// The contents of a file that was opened for nothing else, with its status then.
    pub(crate) fn new(file: File, path: PathBuf, status: &Stat) -> Result<Self, Error> {
        let size = u64::try_from(status.st_size).unwrap_or_default();
        let allocated = u64::try_from(status.st_blocks).unwrap_or_default().saturating_mul(512);
        let maybe_holes = size.saturating_sub(allocated);
        let mut sparse = None;
        if maybe_holes >= MIN_SPARSE {
            let segments = sparse_map::all_data(&file, size).map_err(Error::io("read", &path))?;
            let data: u64 = segments.iter().map(|segment| segment.end - segment.start).sum();
            sparse = (size - data >= MIN_SPARSE).then_some(segments);
        }
        let holes = maybe_holes >= MIN_HOLES && sparse.is_none();
        let end = if holes || sparse.is_some() { 0 } else { size };
        let run = Run { position: 0, end, is_hole: false };
        Ok(Self { file, path, size, mtime: mtime(status), sparse, holes, run, next_segment: 0 })
    }

    /// The file's size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The encoded map, and the bytes of data after it, of a file that goes in as sparse.
    pub(super) fn sparse(&self) -> Option<(Vec<u8>, u64)> {
        let segments = self.sparse.as_ref()?;
        let data = segments.iter().map(|segment| segment.end - segment.start).sum();
        Some((sparse_map::encode(segments, self.size), data))
    }

    /// Reads on; 0 at the end, when the file is still what it was at the start.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if self.run.position == self.run.end && !self.next_run()? {
            return self.check_unchanged().map(|()| 0);
        }
        let left = self.run.end - self.run.position;
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..room];
        let count = if self.run.is_hole {
            buffer.fill(0);
            room
        } else {
            loop {
                match self.file.read_at(buffer, self.run.position) {
                    Ok(0) if room > 0 => return Err(Error::Changed { path: self.path.clone() }),
                    Ok(count) => break count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(Error::io("read", &self.path)(error)),
                }
            }
        };
        self.run.position += count as u64;
        Ok(count)
    }

    /// Steps to what comes after a finished run; `false` at the end.
    fn next_run(&mut self) -> Result<bool, Error> {
        let position = self.run.end;
        if let Some(segments) = &self.sparse {
            let Some(segment) = segments.get(self.next_segment) else { return Ok(false) };
            self.next_segment += 1;
            self.run = Run { position: segment.start, end: segment.end, is_hole: false };
            return Ok(true);
        }
        if !self.holes || position >= self.size {
            return Ok(false);
        }
        let data =
            sparse_map::next_data(&self.file, position, self.size).map_err(Error::io("read", &self.path))?;
        self.run = match data {
            Some(Segment { start, end }) if start == position => Run { position, end, is_hole: false },
            Some(Segment { start, .. }) => Run { position, end: start, is_hole: true },
            None => Run { position, end: self.size, is_hole: true },
        };
        Ok(true)
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        let status = fstat(&self.file).map_err(Error::io("read", &self.path))?;
        if u64::try_from(status.st_size) != Ok(self.size) || mtime(&status) != self.mtime {
            return Err(Error::Changed { path: self.path.clone() });
        }
        Ok(())
    }

    /// For errors.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
