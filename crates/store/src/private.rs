//! What is made in a store is its owner's alone, whatever the umask; what is read there must be a file of the owner's.

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::Error;

/// Makes a file that does not exist yet, of mode 0600, open for reading and writing.
pub fn new_private_file(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Makes a directory that does not exist yet, of mode 0700.
pub fn new_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Opens a file of the store's for reading. A link is not followed, and what is no file is refused, without waiting for
/// whoever is at the other end of it.
pub fn open_own_file(path: &Path) -> Result<File, Error> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        // A link; a socket, or a device without a driver.
        Err(error) if matches!(error.raw_os_error(), Some(LOOP | NO_DEVICE)) => {
            return Err(Error::NotAFile { path: path.to_owned() });
        }
        opened => opened.map_err(Error::io("open", path))?,
    };
    let metadata = file.metadata().map_err(Error::io("look at", path))?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::FileOwner { path: path.to_owned(), owner: metadata.uid() });
    }
    Ok(file)
}

const LOOP: i32 = rustix::io::Errno::LOOP.raw_os_error();
const NO_DEVICE: i32 = rustix::io::Errno::NXIO.raw_os_error();

/// All of a file of the store's, opened in the same way; `None` where there is none.
pub fn read_own_file(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let mut file = match open_own_file(path) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    Ok(Some(bytes))
}
