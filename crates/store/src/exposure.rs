//! Whose a store is, and who else could change it.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::Error;

const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_OR_OTHERS_WRITE: u32 = 0o022;

/// Refuses a store of somebody else's, one that others can write to, and one that others could put another in the place
/// of: below a directory, by whatever links it is reached, that everybody can write to, unless only owners can remove
/// what is in there (`/tmp`). What is not there belongs to nobody.
pub(crate) fn check(root: &Path) -> Result<(), Error> {
    let Some(metadata) = look(root)? else { return Ok(()) };
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::Owner { path: root.to_owned(), owner: metadata.uid() });
    }
    let exposed = |writable: &Path, metadata: &Metadata| Error::Exposed {
        path: root.to_owned(),
        writable: writable.to_owned(),
        mode: metadata.mode() & 0o7777,
    };
    let real = fs::canonicalize(root).map_err(Error::io("find", root))?;
    if metadata.mode() & GROUP_OR_OTHERS_WRITE != 0 {
        return Err(exposed(&real, &metadata));
    }
    for directory in real.ancestors().skip(1) {
        if let Some(metadata) = look(directory)?
            && metadata.mode() & (OTHERS_WRITE | STICKY) == OTHERS_WRITE
        {
            return Err(exposed(directory, &metadata));
        }
    }
    Ok(())
}

fn look(path: &Path) -> Result<Option<Metadata>, Error> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}
