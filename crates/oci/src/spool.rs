use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Malformed};

/// The default of [`SourceOptions::spool_bytes`](crate::SourceOptions::spool_bytes): 256 GiB.
pub(crate) const DEFAULT_LIMIT: u64 = 256 << 30;

/// Where archives are kept that come as streams: in files without a name, which go with the process.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    pub(crate) directory: PathBuf,
    /// The most bytes of one archive.
    pub(crate) limit: u64,
}

/// An archive while it comes.
#[derive(Debug)]
pub(crate) struct Spooling {
    file: File,
    left: u64,
    limit: u64,
}

impl Spool {
    /// An empty file.
    pub(crate) fn start(&self) -> Result<Spooling, Error> {
        let file =
            tempfile::tempfile_in(&self.directory).map_err(Error::io("make a file in", &self.directory))?;
        Ok(Spooling { file, left: self.limit, limit: self.limit })
    }

    /// All of a stream from that place.
    pub(crate) fn take(&self, mut stream: impl Read, place: &Path) -> Result<File, Error> {
        let mut spooling = self.start()?;
        match io::copy(&mut stream, &mut spooling) {
            Ok(_) => Ok(spooling.finish()),
            Err(error) => Err(spooling.error(error, place)),
        }
    }
}

impl Spooling {
    /// The whole archive.
    pub(crate) fn finish(self) -> File {
        self.file
    }

    /// What an error on the way means: too much, or something that the system said.
    pub(crate) fn error(&self, error: io::Error, place: &Path) -> Error {
        if error.raw_os_error().is_some() {
            return Error::io("spool", place)(error);
        }
        let problem = match error.kind() {
            io::ErrorKind::FileTooLarge => Malformed::HugeArchive { limit: self.limit },
            _ => Malformed::Compressed(error),
        };
        Error::malformed(&place.display().to_string())(problem)
    }
}

impl Write for Spooling {
    /// Fails with `FileTooLarge` beyond the limit.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let count = self.file.write(bytes)?;
        self.left -= count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
