//! A disk's bytes in another file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use offshoot_store::{clone_file, copy_holes, new_private_file, same_blocks};

use crate::{Error, Strategy};

/// How much is compared in one place.
const SAMPLE_BYTES: usize = 4096;

pub(crate) fn new_file(path: &Path) -> Result<File, Error> {
    new_private_file(path).map_err(Error::io("create", path))
}

/// Puts all of one file into another, which is empty: a reflink where that can be and may be, else a copy that keeps
/// holes.
pub(crate) fn copy_file(
    strategy: Option<Strategy>,
    source: &File,
    source_path: &Path,
    target: &File,
    target_path: &Path,
) -> Result<Strategy, Error> {
    if strategy != Some(Strategy::Copy) {
        if clone_file(source, target).map_err(Error::io("clone to", target_path))? {
            compare_samples(source, source_path, target, target_path)?;
            return Ok(Strategy::Reflink);
        }
        if strategy.is_some() {
            return Err(Error::NoReflink { path: source_path.to_owned() });
        }
    }
    copy_holes(source, target).map_err(Error::io("copy to", target_path))?;
    Ok(Strategy::Copy)
}

/// Some filesystems have said yes to a reflink and made less than one: a look at the size, and at the blocks; where the
/// filesystem does not say which those are, at the contents in a few places.
fn compare_samples(
    source: &File,
    source_path: &Path,
    target: &File,
    target_path: &Path,
) -> Result<(), Error> {
    let length = |file: &File, path| {
        file.metadata().map(|metadata| metadata.len()).map_err(Error::io("look at", path))
    };
    let size_bytes = length(source, source_path)?;
    let differs = || Err(Error::BadReflink { path: target_path.to_owned() });
    if length(target, target_path)? != size_bytes {
        return differs();
    }
    // To read contents, the disk must be asked, which takes longer than all else.
    let places = [0, size_bytes / 2, size_bytes.saturating_sub(SAMPLE_BYTES as u64)];
    let same = same_blocks(source, target, &places);
    if let Some(same) = same.map_err(Error::io("look at the extents of", target_path))? {
        return if same { Ok(()) } else { differs() };
    }
    let mut samples = [[0; SAMPLE_BYTES]; 2];
    for offset in places {
        let [expected, found] = &mut samples;
        let count = source.read_at(expected, offset).map_err(Error::io("read", source_path))?;
        let same = target.read_at(found, offset).map_err(Error::io("read", target_path))?;
        if count != same || expected[..count] != found[..count] {
            return differs();
        }
    }
    Ok(())
}

/// A disk's bytes in a new file of their own, shared where they can be.
pub(crate) fn copy_for_change(from: &Path, to: &Path) -> Result<File, Error> {
    let source = File::open(from).map_err(Error::io("open", from))?;
    let target = new_file(to)?;
    copy_file(None, &source, from, &target, to)?;
    Ok(target)
}
