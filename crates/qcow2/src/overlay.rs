use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Error;
use crate::commit::{Changes, Plan};
use crate::guest_view::{BackingAccess, GuestView, open_backing};
use crate::image::Image;
use crate::width::{to_u64, to_usize};

/// What an overlay is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To be read.
    Read,
    /// To be read and written. Whenever the process is killed, the image is valid; nothing is synced.
    Write,
    /// To be read and written. Whenever the power fails, the image is valid; a flush syncs, several times.
    WriteDurably,
}

/// An overlay and its backing file, as one disk: the guest's.
///
/// Writes are kept in memory until [`flush`](Self::flush), or until there are 32 MiB of them, and are lost if they are
/// not flushed. What they become part of the file is ordered: a flush that is cut anywhere leaves each cluster that
/// the overlay did not have as it was before or as it is after, and an image whose only fault is leaked clusters.
/// Clusters that it had are written in place, as on a raw disk.
///
/// The file must not change otherwise while it is open: no VM may run on it.
#[derive(Debug)]
pub struct Overlay {
    access: Access,
    pub(crate) state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) image: Image,
    pub(crate) view: GuestView,
    backing: BackingAccess,
    pub(crate) changes: Changes,
}

/// How much is kept in memory before it is written.
const CHANGES_BYTES: u64 = 32 << 20;

impl Overlay {
    /// Opens an overlay with its backing file, which is read as raw. The header's name for it is not looked at.
    ///
    /// # Errors
    ///
    /// As of [`inspect`](crate::inspect); also [`Error::Unsupported`] for images that are marked dirty or corrupt, and
    /// for writing those with internal snapshots or reference counts of other than 16 bits.
    pub fn open(path: &Path, backing: &Path, access: Access) -> Result<Self, Error> {
        let image = Image::open(path, access != Access::Read)?;
        let backing = open_backing(backing)?;
        let view = GuestView::open(&image, &backing)?;
        let state = State { image, view, backing, changes: Changes::new() };
        Ok(Self { access, state: Mutex::new(state) })
    }

    /// The guest's disk, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.state().image.header.size_bytes
    }

    /// Reads from the guest's disk, what was written and not flushed included.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`]; [`Error::Corrupt`] if tables are damaged; [`Error::Io`].
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let state = self.state();
        state.check_bounds(offset, buffer.len())?;
        state.read(offset, buffer)
    }

    /// Writes to the guest's disk; see [`Overlay`] for when it becomes part of the file.
    ///
    /// # Errors
    ///
    /// [`Error::ReadOnly`]; else as for reading and flushing.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut state = self.state_for_writing()?;
        state.check_bounds(offset, bytes.len())?;
        let (mut offset, mut bytes) = (offset, bytes);
        while !bytes.is_empty() {
            let written = state.write_in_cluster(offset, bytes)?;
            offset = offset.saturating_add(to_u64(written));
            bytes = bytes.get(written..).unwrap_or_default();
            if state.changed_bytes() >= CHANGES_BYTES {
                self.commit(&mut state)?;
            }
        }
        Ok(())
    }

    /// Makes the guest's disk larger; what is new reads as zeros if the backing file ends before. At once part of the
    /// file, whatever is flushed.
    ///
    /// # Errors
    ///
    /// [`Error::Size`] where it would become smaller, or larger than the overlay's L1 table has room for: 4 TiB in
    /// those that [`create`](crate::create) makes smaller than that.
    pub fn set_size_bytes(&self, size_bytes: u64) -> Result<(), Error> {
        let mut state = self.state_for_writing()?;
        let header = &state.image.header;
        let (minimum_bytes, maximum_bytes) = (header.size_bytes, header.size_limit_bytes());
        if size_bytes == minimum_bytes {
            return Ok(());
        }
        if !size_bytes.is_multiple_of(512) || !(minimum_bytes..=maximum_bytes).contains(&size_bytes) {
            let path = state.image.path.clone();
            return Err(Error::Size { path, requested_bytes: size_bytes, minimum_bytes, maximum_bytes });
        }
        state.grow(size_bytes, self.access == Access::WriteDurably)
    }

    /// Makes everything that was written part of the file. With [`Access::WriteDurably`], it is on the disk then.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Corrupt`] if tables are damaged. What was written stays in memory then, and the next
    /// flush tries again.
    pub fn flush(&self) -> Result<(), Error> {
        if self.access == Access::Read {
            return Ok(());
        }
        self.commit(&mut self.state())
    }

    fn commit(&self, state: &mut State) -> Result<(), Error> {
        state.commit(self.access == Access::WriteDurably)
    }

    /// A panic elsewhere leaves no half-changed state: changes are removed only after they were written.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_for_writing(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state();
        match self.access {
            Access::Read => Err(Error::ReadOnly { path: state.image.path.clone() }),
            Access::Write | Access::WriteDurably => Ok(state),
        }
    }
}

impl State {
    fn check_bounds(&self, offset: u64, length: usize) -> Result<(), Error> {
        let (length, size_bytes) = (to_u64(length), self.image.header.size_bytes);
        match offset.checked_add(length) {
            Some(end) if end <= size_bytes => Ok(()),
            _ => Err(Error::OutOfBounds { path: self.image.path.clone(), offset, length, size_bytes }),
        }
    }

    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        self.view.read(&self.image, offset, buffer)?;
        let cluster_bytes = self.image.header.cluster_bytes();
        let end = offset.saturating_add(to_u64(buffer.len()));
        let clusters = (offset >> self.image.header.cluster_bits)..end.div_ceil(cluster_bytes);
        for (cluster, data) in self.changes.range(clusters) {
            let start = cluster.saturating_mul(cluster_bytes);
            let from = to_usize(offset.saturating_sub(start));
            let to = to_usize(start.saturating_sub(offset));
            let (Some(data), Some(buffer)) = (data.get(from..), buffer.get_mut(to..)) else { continue };
            let count = data.len().min(buffer.len());
            if let (Some(data), Some(buffer)) = (data.get(..count), buffer.get_mut(..count)) {
                buffer.copy_from_slice(data);
            }
        }
        Ok(())
    }

    /// Changes one cluster, and says how many of the bytes belong to it.
    fn write_in_cluster(&mut self, offset: u64, bytes: &[u8]) -> Result<usize, Error> {
        let cluster_bytes = self.image.header.cluster_bytes();
        let cluster = offset >> self.image.header.cluster_bits;
        let start = cluster.saturating_mul(cluster_bytes);
        let from = to_usize(offset.saturating_sub(start));
        let count = bytes.len().min(to_usize(cluster_bytes).saturating_sub(from));
        let bytes = bytes.get(..count).unwrap_or_default();
        if to_u64(count) == cluster_bytes {
            self.changes.insert(cluster, bytes.to_vec());
            return Ok(count);
        }
        if !self.changes.contains_key(&cluster) {
            let mut before = vec![0; to_usize(cluster_bytes)];
            self.view.read(&self.image, start, &mut before)?;
            self.changes.insert(cluster, before);
        }
        let data = self.changes.get_mut(&cluster).and_then(|data| data.get_mut(from..)?.get_mut(..count));
        if let Some(data) = data {
            data.copy_from_slice(bytes);
        }
        Ok(count)
    }

    fn changed_bytes(&self) -> u64 {
        to_u64(self.changes.len()).saturating_mul(self.image.header.cluster_bytes())
    }

    pub(crate) fn commit(&mut self, durable: bool) -> Result<(), Error> {
        if self.changes.is_empty() {
            return Ok(());
        }
        Plan::new(&self.image, &self.changes)?.execute(&self.image, durable)?;
        self.image.header.autoclear = 0;
        self.view = GuestView::open(&self.image, &self.backing)?;
        self.changes.clear();
        Ok(())
    }

    fn grow(&mut self, size_bytes: u64, durable: bool) -> Result<(), Error> {
        Plan::to_grow(&self.image, size_bytes).execute(&self.image, durable)?;
        self.image.header.l1_entries = self.image.header.l1_entries_for(size_bytes);
        self.image.header.size_bytes = size_bytes;
        self.view = GuestView::open(&self.image, &self.backing)?;
        Ok(())
    }
}
