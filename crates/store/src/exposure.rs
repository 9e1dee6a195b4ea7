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
/// what is in there (`/tmp`). What is not there yet belongs to nobody, and is judged by the directory that it would be in.
pub(crate) fn check(root: &Path) -> Result<(), Error> {
    let Some((there, metadata)) = nearest(root)? else { return Ok(()) };
    if !metadata.is_dir() {
        return Err(Error::NotADirectory { path: there.to_owned() });
    }
    if there == root && metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::Owner { path: root.to_owned(), owner: metadata.uid() });
    }
    let exposed = |writable: &Path, metadata: &Metadata| Error::Exposed {
        path: root.to_owned(),
        writable: writable.to_owned(),
        mode: metadata.mode() & 0o7777,
    };
    let real = fs::canonicalize(there).map_err(Error::io("find", there))?;
    if there == root && metadata.mode() & GROUP_OR_OTHERS_WRITE != 0 {
        return Err(exposed(&real, &metadata));
    }
    for directory in real.ancestors().skip(usize::from(there == root)) {
        if let Some(metadata) = look(directory)?
            && metadata.mode() & (OTHERS_WRITE | STICKY) == OTHERS_WRITE
        {
            return Err(exposed(directory, &metadata));
        }
    }
    Ok(())
}

/// What there is of a path, and what it is: a link that leads nowhere is there, too.
fn nearest(root: &Path) -> Result<Option<(&Path, Metadata)>, Error> {
    for path in root.ancestors() {
        if let Some(metadata) = look(path)? {
            return Ok(Some((path, metadata)));
        }
        if path.is_symlink() {
            return Err(Error::NotADirectory { path: path.to_owned() });
        }
    }
    Ok(None)
}

fn look(path: &Path) -> Result<Option<Metadata>, Error> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        // Below what is no directory, nothing is there; what that is, is seen when it is looked at.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(Error::io("look at", path)(error)),
    }
}
