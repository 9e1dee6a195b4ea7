//! Changes to the filesystem on a clone's disk.

use std::num::NonZero;
use std::path::Path;

use offshoot_ext4::{Device, Filesystem, Grow, GrowError, InspectError, SetUuidError, State};
use offshoot_store::Durability;

use crate::resize2fs::{self, Resize2fsError};
use crate::volume::Volume;
use crate::{Error, ErrorKind, FilesystemUuid};

/// How the filesystem on a disk that people rely on is grown.
#[derive(Debug)]
pub(crate) enum Plan {
    /// In place: whatever happens, it is valid with its old size or with its new one.
    InPlace(Box<Grow>),
    /// On a copy that then takes its place.
    OnCopy,
}

/// Where a filesystem of ours has what is read of it before it grows, in bytes: superblock and descriptors; behind the
/// blocks reserved for more of these, bitmaps, the journal's first block and the first inodes.
const READ_FIRST: [(u64, u64); 2] = [(0, 8 << 10), (260 << 10, 124 << 10)];

/// Has the disk begin to read what growth will look at, while other things are seen to: one wait instead of ten. It is a
/// wish, and may fail; what is no file, or another's, is left alone.
pub(crate) fn prefetch(path: &Path) {
    if let Ok(file) = offshoot_store::open_own_file(path) {
        for (offset, bytes) in READ_FIRST {
            let _ = rustix::fs::fadvise(&file, offset, NonZero::new(bytes), rustix::fs::Advice::WillNeed);
        }
    }
}

/// Decides how a filesystem is grown, and first completes a growth that was interrupted.
pub(crate) fn plan(
    volume: &Volume,
    path: &Path,
    size_bytes: u64,
    durability: Durability,
) -> Result<Plan, Error> {
    let mut plan = planned(volume, size_bytes);
    if matches!(plan, Err(GrowError::Interrupted)) {
        let sync = has_barriers(volume, durability);
        offshoot_ext4::finish_grow(volume, sync).map_err(failed(path))?;
        plan = planned(volume, size_bytes);
    }
    match plan {
        Ok(plan) => Ok(Plan::InPlace(Box::new(plan))),
        Err(GrowError::UnknownFeatures { .. } | GrowError::UnknownLayout { .. }) => Ok(Plan::OnCopy),
        Err(error) => Err(failed(path)(error)),
    }
}

/// Grows in place; `Ok(false)` if the filesystem's journal cannot make that safe, and nothing was changed.
pub(crate) fn apply(
    plan: &Grow,
    volume: &Volume,
    path: &Path,
    durability: Durability,
) -> Result<bool, Error> {
    match plan.apply_journaled(volume, has_barriers(volume, durability)) {
        Ok(()) => Ok(true),
        Err(GrowError::NoSafeJournal { .. }) => Ok(false),
        Err(error) => Err(failed(path)(error)),
    }
}

/// Grows the filesystem on a disk that nobody else sees, by the shortest way; the disk's size then.
///
/// `same` has the same bytes: the disk itself, or what it was just copied from, which is in memory already.
pub(crate) fn grow_private(
    volume: &Volume,
    same: &dyn Device,
    path: &Path,
    size_bytes: u64,
    resize2fs: &Path,
) -> Result<u64, Error> {
    match planned(same, size_bytes) {
        Ok(plan) => plan.apply(volume).map_err(failed(path))?,
        Err(GrowError::UnknownFeatures { .. } | GrowError::UnknownLayout { .. }) => {
            grow_by_resize2fs(volume, path, size_bytes, resize2fs)?;
        }
        Err(error) => return Err(failed(path)(error)),
    }
    volume.size_bytes().map_err(Error::io("look at", path))
}

fn grow_by_resize2fs(volume: &Volume, path: &Path, size_bytes: u64, resize2fs: &Path) -> Result<(), Error> {
    let Volume::Raw(file) = volume else {
        let (path, program) = (path.to_owned(), resize2fs.to_owned());
        return Err(Error::Resize2fs { path, program, source: Resize2fsError::Overlay });
    };
    let current_bytes = volume.size_bytes().map_err(Error::io("look at", path))?;
    if size_bytes < current_bytes {
        return Err(Error::Shrink { current_bytes, requested_bytes: size_bytes });
    }
    file.set_len(size_bytes).map_err(Error::io("set the size of", path))?;
    resize2fs::grow(resize2fs, path)
}

/// A size at which the whole disk is of use: one that would leave a last block group too small is rounded down.
fn planned(disk: &dyn Device, size_bytes: u64) -> Result<Grow, GrowError> {
    let plan = Grow::plan(disk, size_bytes)?;
    if plan.left_out_bytes() == 0 { Ok(plan) } else { Grow::plan(disk, plan.new_size_bytes()) }
}

/// Gives the filesystem on a disk that nobody else sees another UUID.
pub(crate) fn set_uuid(volume: &Volume, path: &Path, uuid: FilesystemUuid) -> Result<(), Error> {
    offshoot_ext4::set_uuid(volume, *uuid.as_bytes())
        .map_err(|source| Error::SetUuid { path: path.to_owned(), source })
}

/// A filesystem that can be a template: ext4, and cleanly unmounted.
pub(crate) fn check_importable(filesystem: &Filesystem, path: &Path) -> Result<(), Error> {
    match filesystem.state {
        State::Clean => Ok(()),
        state => Err(Error::NotClean { path: path.to_owned(), state }),
    }
}

/// What a caller can do about a growth that failed.
pub(crate) fn error_kind(error: &GrowError) -> ErrorKind {
    match error {
        GrowError::WouldLoseData { .. } | GrowError::NotClean { .. } | GrowError::Changed => {
            ErrorKind::Conflict
        }
        GrowError::Inspect(error) => inspect_kind(error),
        GrowError::PastReservation { .. }
        | GrowError::TooManyInodes { .. }
        | GrowError::UnknownFeatures { .. }
        | GrowError::UnknownLayout { .. } => ErrorKind::Unsupported,
        _ => ErrorKind::Failure,
    }
}

/// What a caller can do about a filesystem that cannot be read.
pub(crate) fn inspect_kind(error: &InspectError) -> ErrorKind {
    match error {
        InspectError::Device(_) => ErrorKind::Failure,
        _ => ErrorKind::Integrity,
    }
}

/// What a caller can do where no UUID could be set.
pub(crate) fn uuid_kind(error: &SetUuidError) -> ErrorKind {
    match error {
        SetUuidError::Device(_) => ErrorKind::Failure,
        _ => ErrorKind::Unsupported,
    }
}

/// Whether one step must have reached the disk, or at least the file, before the next.
fn has_barriers(volume: &Volume, durability: Durability) -> bool {
    durability == Durability::Durable || volume.is_buffered()
}

fn failed(path: &Path) -> impl FnOnce(GrowError) -> Error {
    move |source| Error::Growth { path: path.to_owned(), source }
}
