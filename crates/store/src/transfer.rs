//! Bytes from file to file, shared where the filesystem can, copied where it cannot.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// Makes `target`, an empty file, a reflink of all of `source`.
///
/// `Ok(false)`: this filesystem, or this pair of files, cannot share blocks; nothing was changed.
pub fn clone_file(source: &File, target: &File) -> io::Result<bool> {
    shared(rustix::fs::ioctl_ficlone(target, source))
}

/// Shares a range of `source` with `target`. Offsets and length are in bytes and multiples of the block size.
///
/// `Ok(false)`: this filesystem, or this pair of files, cannot share blocks; nothing was changed.
pub fn share_range(
    source: &File,
    source_offset: u64,
    target: &File,
    target_offset: u64,
    length: u64,
) -> io::Result<bool> {
    shared(ficlonerange::ficlonerange(target, source, source_offset, length, target_offset))
}

fn shared(result: rustix::io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        // What the kernel says for: unknown ioctl, no such feature, different filesystems, and files that
        // cannot share (swap files, other block alignment).
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Copies a range's bytes through memory; never shares blocks, which `copy_file_range` may decide to do.
pub fn copy_range(
    source: &File,
    mut source_offset: u64,
    target: &File,
    mut target_offset: u64,
    length: u64,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    buffer.resize(COPY_BUFFER_BYTES, 0);
    let mut left = length;
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let chunk = &mut buffer[..room];
        source.read_exact_at(chunk, source_offset)?;
        target.write_all_at(chunk, target_offset)?;
        let count = chunk.len() as u64;
        source_offset += count;
        target_offset += count;
        left -= count;
    }
    Ok(())
}

const COPY_BUFFER_BYTES: usize = 512 * 1024;

/// Copies all of `source` into `target`, an empty file: its data, its holes and its size. No block is shared.
pub fn copy_holes(source: &File, target: &File) -> io::Result<()> {
    let size = source.metadata()?.len();
    target.set_len(size)?;
    let mut buffer = Vec::new();
    let mut offset = 0;
    while let Some(data) = next_data(source, offset)? {
        copy_range(source, data.start, target, data.start, data.end - data.start, &mut buffer)?;
        offset = data.end;
    }
    Ok(())
}

/// Where the next data of a file are, from that offset on; `None` where nothing but a hole is left.
pub fn next_data(file: &File, offset: u64) -> io::Result<Option<Range<u64>>> {
    let start = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(start..rustix::fs::seek(file, SeekFrom::Hole(start))?))
}

/// Copies a range's bytes within the kernel, which on some filesystems shares them instead.
pub fn copy_range_in_kernel(
    source: &File,
    source_offset: u64,
    target: &File,
    target_offset: u64,
    length: u64,
) -> io::Result<()> {
    let (mut from, mut to) = (source_offset, target_offset);
    let end = source_offset + length;
    while from < end {
        let left = usize::try_from(end - from).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), left) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                return copy_range(source, from, target, to, end - from, &mut Vec::new());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The one call that rustix does not have.
#[expect(unsafe_code, reason = "rustix has FICLONE but not FICLONERANGE")]
mod ficlonerange {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use rustix::ioctl::{Setter, ioctl, opcode};

    /// `struct file_clone_range` of `linux/fs.h`.
    #[repr(C)]
    struct FileCloneRange {
        src_fd: i64,
        src_offset: u64,
        src_length: u64,
        dest_offset: u64,
    }

    const FICLONERANGE: rustix::ioctl::Opcode = opcode::write::<FileCloneRange>(0x94, 13);

    pub(super) fn ficlonerange(
        target: &File,
        source: &File,
        src_offset: u64,
        src_length: u64,
        dest_offset: u64,
    ) -> rustix::io::Result<()> {
        let range =
            FileCloneRange { src_fd: i64::from(source.as_raw_fd()), src_offset, src_length, dest_offset };
        // SAFETY: FICLONERANGE reads one `struct file_clone_range` and writes no memory; the struct has its
        // layout, and both descriptors are open for the length of the call.
        unsafe { ioctl(target, Setter::<FICLONERANGE, FileCloneRange>::new(range)) }
    }
}
