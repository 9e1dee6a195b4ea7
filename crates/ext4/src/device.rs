use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Where a filesystem lies that is looked at or changed: a raw file, or the guest's view of an overlay.
///
/// Offsets and lengths are bytes. What was never written reads as zeros.
pub trait Device {
    /// How large it is.
    fn size_bytes(&self) -> io::Result<u64>;

    /// Fills the buffer with the bytes from `offset` on; an error if there are not so many.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all these bytes at that offset, which lie within the size.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes it larger; what is new reads as zeros. It is never called to make it smaller.
    fn set_size(&self, bytes: u64) -> io::Result<()>;

    /// Returns when all that was written, and the size, survive a power cut.
    fn sync(&self) -> io::Result<()>;
}

impl Device for File {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}

/// A device failed: I/O, and nothing else.
#[derive(Debug, thiserror::Error)]
#[error("failed to {operation} at byte {offset} of the disk")]
pub struct DeviceError {
    /// What was tried: `read`, `write`, `ask for the size`, `set the size` or `sync`.
    pub operation: &'static str,
    /// Where, in bytes; the new size for `set the size`.
    pub offset: u64,
    /// What the device said.
    #[source]
    pub source: io::Error,
}

impl DeviceError {
    fn of(operation: &'static str, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { operation, offset, source }
    }
}

/// The device's calls, with errors that say where.
impl dyn Device + '_ {
    pub(crate) fn size(&self) -> Result<u64, DeviceError> {
        self.size_bytes().map_err(DeviceError::of("ask for the size", 0))
    }

    /// Reads so many bytes; the caller has bounded them.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, DeviceError> {
        let mut bytes = vec![0; length];
        self.read_at(offset, &mut bytes).map_err(DeviceError::of("read", offset))?;
        Ok(bytes)
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.write_at(offset, bytes).map_err(DeviceError::of("write", offset))
    }

    pub(crate) fn enlarge(&self, bytes: u64) -> Result<(), DeviceError> {
        self.set_size(bytes).map_err(DeviceError::of("set the size", bytes))
    }

    /// Syncs if it is wished for.
    pub(crate) fn barrier(&self, sync: bool) -> Result<(), DeviceError> {
        if sync { self.sync().map_err(DeviceError::of("sync", 0)) } else { Ok(()) }
    }
}
