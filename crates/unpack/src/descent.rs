//! Ways down from the target that cannot leave it.

use std::fs::File;

use offshoot_store::open_beneath;
use offshoot_tree::Name;

/// Linux's `PATH_MAX`, without the NUL.
const PATH_MAX: usize = 4095;

/// Opens the directory that these names lead to, or another handle of the directory itself. No link is
/// followed, and neither the directory nor its mount is left.
pub(crate) fn open_below(directory: &File, names: &[&Name]) -> rustix::io::Result<File> {
    let mut opened: Option<File> = None;
    let mut path = Vec::new();
    for name in names {
        if path.len() + 1 + name.as_bytes().len() > PATH_MAX {
            opened = Some(open_beneath(opened.as_ref().unwrap_or(directory), &path)?);
            path.clear();
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
    }
    if path.is_empty() {
        path.push(b'.');
    }
    open_beneath(opened.as_ref().unwrap_or(directory), &path)
}
