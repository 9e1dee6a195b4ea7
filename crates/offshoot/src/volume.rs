//! The guest's view of a disk, whatever the form of its file.

use std::fs::File;
use std::io;
use std::path::Path;

use offshoot_ext4::Device;
use offshoot_qcow2::{Access, Overlay};
use offshoot_store::{Durability, lock_disk};

use crate::{DiskFormat, Error, VmId};

/// A disk as its VM sees it, to be read and written.
#[derive(Debug)]
pub(crate) enum Volume {
    Raw(File),
    Overlay(Box<Overlay>),
}

impl Volume {
    /// `backing` is what an overlay stands on: told by us, never followed from its header.
    pub(crate) fn open(
        file: File,
        path: &Path,
        format: DiskFormat,
        backing: &Path,
        durability: Durability,
    ) -> Result<Self, Error> {
        let access = match durability {
            Durability::Durable => Access::WriteDurably,
            Durability::Ephemeral => Access::Write,
        };
        Ok(match format {
            DiskFormat::Raw | DiskFormat::Dir => Self::Raw(file),
            DiskFormat::Qcow2 => {
                Self::Overlay(Box::new(Overlay::open(path, backing, access).map_err(overlay(path))?))
            }
        })
    }

    /// Whether steps that must come one after the other need a barrier between them though nothing is to be synced: an
    /// overlay keeps what is written in memory until then.
    pub(crate) fn is_buffered(&self) -> bool {
        matches!(self, Self::Overlay(_))
    }

    /// Makes what was written part of the file.
    pub(crate) fn flush(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Raw(_) => Ok(()),
            Self::Overlay(opened) => opened.flush().map_err(overlay(path)),
        }
    }
}

impl Device for Volume {
    fn size_bytes(&self) -> io::Result<u64> {
        match self {
            Self::Raw(file) => file.size_bytes(),
            Self::Overlay(overlay) => Ok(overlay.size_bytes()),
        }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Raw(file) => Device::read_at(file, offset, buffer),
            Self::Overlay(overlay) => overlay.read_at(offset, buffer).map_err(io::Error::other),
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Raw(file) => Device::write_at(file, offset, bytes),
            Self::Overlay(overlay) => overlay.write_at(offset, bytes).map_err(io::Error::other),
        }
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        match self {
            Self::Raw(file) => file.set_size(bytes),
            Self::Overlay(overlay) => overlay.set_size_bytes(bytes).map_err(io::Error::other),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self {
            Self::Raw(file) => file.sync(),
            Self::Overlay(overlay) => overlay.flush().map_err(io::Error::other),
        }
    }
}

/// A VM's disk, for writing, which nobody else has open as far as can be told; nobody who asks gets it until it is closed.
pub(crate) fn open_unused(vm: &VmId, path: &Path) -> Result<File, Error> {
    let file = File::options().read(true).write(true).open(path).map_err(Error::io("open", path))?;
    if lock_disk(&file).map_err(Error::io("lock", path))? {
        Ok(file)
    } else {
        Err(Error::InUse { vm: vm.clone(), path: path.to_owned() })
    }
}

/// The same for a disk that may be missing, or that its mode protects from being written and so from being in use.
pub(crate) fn lock_unused(vm: &VmId, path: &Path) -> Result<Option<File>, Error> {
    match open_unused(vm, path) {
        Err(Error::Io { source, .. })
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) =>
        {
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

/// Puts what an overlay has changed into a copy of its backing file.
pub(crate) fn copy_changes(
    overlay_path: &Path,
    backing: &Path,
    copy: &File,
    path: &Path,
) -> Result<(), Error> {
    let opened = Overlay::open(overlay_path, backing, Access::Read).map_err(overlay(overlay_path))?;
    opened.copy_changes_into(copy, path).map_err(overlay(overlay_path))
}

pub(crate) fn overlay(path: &Path) -> impl FnOnce(offshoot_qcow2::Error) -> Error {
    move |source| Error::Overlay { path: path.to_owned(), source }
}
