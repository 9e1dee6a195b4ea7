use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::Error;
use crate::guest_view::Owner;
use crate::overlay::Overlay;
use crate::width::{to_u64, to_usize};

/// How much is copied at once.
const PIECE_BYTES: u64 = 1 << 20;

impl Overlay {
    /// Makes a copy of the backing file into a copy of the guest's disk.
    ///
    /// `raw` holds what the backing file holds, and is open for reading and writing; `path` is for messages. It gets
    /// the disk's size and all that the overlay itself has: data, and zeros as holes where the filesystem can. With
    /// `Ok`, it has the bytes of the guest's disk, what was written and not flushed included. It is not synced.
    ///
    /// # Errors
    ///
    /// As of [`read_at`](Self::read_at), and [`Error::Io`] of `path`; `raw` holds a part of both disks then.
    pub fn copy_changes_into(&self, raw: &File, path: &Path) -> Result<(), Error> {
        self.flush()?;
        let state = self.state();
        let size = state.image.header.size_bytes;
        raw.set_len(size).map_err(Error::io("set the length of", path))?;
        let mut buffer = Vec::new();
        let mut offset = 0;
        while let Some((owner, length)) =
            state.view.owner(&state.image, offset, size.saturating_sub(offset))?
        {
            let end = offset.saturating_add(length);
            match owner {
                Owner::Backing => offset = end,
                Owner::OverlayZeros => {
                    clear(raw, offset, length).map_err(Error::io_at("clear a range of", path, offset))?;
                    offset = end;
                }
                Owner::Overlay => {
                    let count = PIECE_BYTES.min(length);
                    buffer.resize(to_usize(count), 0);
                    state.read(offset, &mut buffer)?;
                    raw.write_all_at(&buffer, offset).map_err(Error::io_at("write to", path, offset))?;
                    offset = offset.saturating_add(to_u64(buffer.len()));
                }
            }
            if length == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Makes a range read as zeros.
fn clear(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match fallocate(file, flags, offset, length) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
        result => return Ok(result?),
    }
    let zeros = vec![0; to_usize(PIECE_BYTES.min(length))];
    let end = offset.saturating_add(length);
    let mut offset = offset;
    while offset < end {
        let count = end.saturating_sub(offset).min(to_u64(zeros.len()));
        file.write_all_at(zeros.get(..to_usize(count)).unwrap_or_default(), offset)?;
        offset = offset.saturating_add(count);
    }
    Ok(())
}
