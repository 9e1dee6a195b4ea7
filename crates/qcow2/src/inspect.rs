use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Error;
use crate::header::{Header, Incompatible, Refusal, first_cluster_bytes};
use crate::width::{to_u64, to_usize};

/// What an overlay's header says. Nothing of it was followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverlayInfo {
    /// The format's version; only 3 is read.
    pub version: u32,
    /// The guest's disk, in bytes.
    pub virtual_size_bytes: u64,
    /// The unit of allocation, in bytes.
    pub cluster_size_bytes: u64,
    /// The file that lies below, if there is one.
    pub backing: Option<Backing>,
    /// Its last writer did not end cleanly; reference counts may be wrong.
    pub dirty: bool,
    /// A writer found it damaged.
    pub marked_corrupt: bool,
    /// How many internal snapshots it has.
    pub snapshots: u32,
}

/// The backing file as an overlay's header names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backing {
    /// Its path; if relative, to the overlay's directory.
    pub path: String,
    /// Its format. Without one, who opens the overlay guesses it by contents that a guest may have written.
    pub format: Option<String>,
}

/// Looks at the header of an overlay. `path` is for messages.
///
/// The file's contents are not trusted: tables and names must lie within the file, and at most its first
/// cluster (2 MiB) is read.
///
/// # Errors
///
/// [`Error::Io`] if it could not be read, which says nothing about its contents; [`Error::Corrupt`] if it is not a
/// valid image; [`Error::Unsupported`] if it is one that this crate never makes and cannot read.
pub fn inspect(file: &File, path: &Path) -> Result<OverlayInfo, Error> {
    let header = read_header(file, path)?;
    Ok(OverlayInfo {
        version: 3,
        virtual_size_bytes: header.size_bytes,
        cluster_size_bytes: header.cluster_bytes(),
        dirty: header.incompatible.contains(Incompatible::DIRTY),
        marked_corrupt: header.incompatible.contains(Incompatible::CORRUPT),
        snapshots: header.snapshots,
        backing: header.backing_name.map(|path| Backing { path, format: header.backing_format }),
    })
}

pub(crate) fn read_header(file: &File, path: &Path) -> Result<Header, Error> {
    let file_bytes = file.metadata().map_err(Error::io("inspect", path))?.len();
    let read = |bytes| read_start(file, bytes).map_err(Error::io("read the header of", path));
    let mut start = read(USUAL_BYTES)?;
    let mut parsed = Header::parse(&start, file_bytes);
    let wanted = first_cluster_bytes(&start).min(file_bytes);
    if parsed.is_err() && wanted > USUAL_BYTES {
        start = read(wanted)?;
        parsed = Header::parse(&start, file_bytes);
    }
    parsed.map_err(|refusal| match refusal {
        Refusal::Corrupt(reason) => Error::Corrupt { path: path.to_owned(), reason },
        Refusal::Unsupported(feature) => Error::Unsupported { path: path.to_owned(), feature },
    })
}

/// What a header takes, its extensions and the backing file's name included, unless they are unusual.
const USUAL_BYTES: u64 = 2048;

/// The first bytes of a file, fewer if it ends before.
fn read_start(file: &File, bytes: u64) -> io::Result<Vec<u8>> {
    let mut start = vec![0; to_usize(bytes)];
    let mut filled = 0;
    while let Some(rest) = start.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, to_u64(filled)) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    start.truncate(filled);
    Ok(start)
}
