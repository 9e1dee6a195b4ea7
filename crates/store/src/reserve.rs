//! A little space for what makes room. XFS wants some for even an empty file: where a disk is full to the last block,
//! nothing could be released or collected without.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::FallocateFlags;

use crate::new_private_file;

const RESERVE: &str = "reserve";
const BYTES: u64 = 1 << 20;

/// Has the reserve ready, if there is room; if not, that is no failure of whoever asks.
pub(crate) fn keep(root: &Path) {
    let path = root.join(RESERVE);
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == BYTES) {
        return;
    }
    let opened = new_private_file(&path).or_else(|_| File::options().write(true).open(&path));
    if let Ok(file) = opened
        && rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, BYTES).is_err()
    {
        let _ = file.set_len(0);
    }
}

/// Makes a file in one of the store's directories; where there is no space for it, of what the reserve has.
pub(crate) fn with<T>(root: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match make() {
        Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            let file = File::options().write(true).open(root.join(RESERVE)).map_err(|_| error)?;
            file.set_len(0)?;
            make()
        }
        made => made,
    }
}
