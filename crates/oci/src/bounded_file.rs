//! Small files that others write: configuration, credentials, certificates.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::Error;

/// The most bytes such a file may have.
pub(crate) const LIMIT: u64 = 4 << 20;

/// All of a file, if it is not too large.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LIMIT {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB"));
        }
        Ok(bytes)
    };
    read().map_err(Error::io("read", path))
}

/// All of a file as [`read`], or `None` if there is none.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(error),
    }
}
