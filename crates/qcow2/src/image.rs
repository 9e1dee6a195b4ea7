use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::header::{Header, Incompatible};
use crate::inspect::read_header;
use crate::width::{to_u64, to_usize};
use crate::{Corruption, Error, Unsupported};

/// An overlay's own file, with its checked header.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
}

impl Image {
    /// Opens a file that can be read as it is; for writing, one that this crate can also change.
    pub(crate) fn open(path: &Path, writable: bool) -> Result<Self, Error> {
        let mut options = File::options();
        let file = options.read(true).write(writable).open(path).map_err(Error::io("open", path))?;
        let header = read_header(&file, path)?;
        let image = Self { file, path: path.to_owned(), header };
        let refused = [
            (image.header.incompatible.contains(Incompatible::CORRUPT), Unsupported::MarkedCorrupt),
            (image.header.incompatible.contains(Incompatible::DIRTY), Unsupported::Dirty),
            (writable && image.header.snapshots > 0, Unsupported::Snapshots),
            (
                writable && image.header.refcount_order != 4,
                Unsupported::RefcountBits { bits: 1 << image.header.refcount_order },
            ),
        ];
        match refused.into_iter().find(|(applies, _)| *applies) {
            Some((_, feature)) => Err(image.unsupported(feature)),
            None => Ok(image),
        }
    }

    pub(crate) fn unsupported(&self, feature: Unsupported) -> Error {
        Error::Unsupported { path: self.path.clone(), feature }
    }

    pub(crate) fn corrupt(&self, reason: Corruption) -> Error {
        Error::Corrupt { path: self.path.clone(), reason }
    }

    /// Whether a cluster can begin there: aligned, and not the header's.
    pub(crate) fn header_allows(&self, offset: u64) -> bool {
        offset != 0 && offset.is_multiple_of(self.header.cluster_bytes())
    }

    /// The file's length as it is now, in bytes.
    pub(crate) fn file_bytes(&self) -> Result<u64, Error> {
        Ok(self.file.metadata().map_err(Error::io("inspect", &self.path))?.len())
    }

    /// Bytes of the file; what lies behind its end is zero, as a writer may have left it.
    pub(crate) fn read(&self, offset: u64, bytes: u64) -> Result<Vec<u8>, Error> {
        let mut buffer = vec![0; to_usize(bytes)];
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset.saturating_add(to_u64(filled))) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io_at("read", &self.path, offset)(error)),
            }
        }
        Ok(buffer)
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all_at(bytes, offset).map_err(Error::io_at("write to", &self.path, offset))
    }

    /// Waits until everything that was written is on the disk.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(Error::io("sync", &self.path))
    }
}
