//! The guest's view of a disk, whatever the form of its file.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use offshoot_ext4::Device;
use offshoot_qcow2::{Access, Overlay};
use offshoot_store::{Durability, lock_disk, unlock_disk};

use crate::{DiskFormat, Error, VmId};

/// The open file of a disk, of which nobody who asks gets another until this is dropped, if it is somebody's disk.
#[derive(Debug)]
pub(crate) struct DiskFile {
    file: File,
    is_locked: bool,
}

impl Deref for DiskFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

/// What nobody else sees.
impl From<File> for DiskFile {
    fn from(file: File) -> Self {
        Self { file, is_locked: false }
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        if self.is_locked {
            // A child that is being started has a copy of the handle, and would hold the lock though this is closed.
            unlock_disk(&self.file);
        }
    }
}

/// A disk as its VM sees it, to be read and written.
#[derive(Debug)]
pub(crate) enum Volume {
    Raw(DiskFile),
    Overlay { opened: Box<Overlay>, _file: DiskFile },
}

impl Volume {
    /// `backing` is what an overlay stands on: told by us, never followed from its header.
    pub(crate) fn open(
        file: impl Into<DiskFile>,
        path: &Path,
        format: DiskFormat,
        backing: &Path,
        durability: Durability,
    ) -> Result<Self, Error> {
        let file = file.into();
        let access = match durability {
            Durability::Durable => Access::WriteDurably,
            Durability::Ephemeral => Access::Write,
        };
        Ok(match format {
            DiskFormat::Raw | DiskFormat::Dir => Self::Raw(file),
            DiskFormat::Qcow2 => {
                let opened = Overlay::open(path, backing, access).map_err(overlay(path))?;
                Self::Overlay { opened: Box::new(opened), _file: file }
            }
        })
    }

    /// Whether steps that must come one after the other need a barrier between them though nothing is to be synced: an
    /// overlay keeps what is written in memory until then.
    pub(crate) fn is_buffered(&self) -> bool {
        matches!(self, Self::Overlay { .. })
    }

    /// Makes what was written part of the file.
    pub(crate) fn flush(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Raw(_) => Ok(()),
            Self::Overlay { opened, .. } => opened.flush().map_err(overlay(path)),
        }
    }
}

impl Device for Volume {
    fn size_bytes(&self) -> io::Result<u64> {
        match self {
            Self::Raw(file) => file.size_bytes(),
            Self::Overlay { opened, .. } => Ok(opened.size_bytes()),
        }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Raw(file) => Device::read_at(&**file, offset, buffer),
            Self::Overlay { opened, .. } => opened.read_at(offset, buffer).map_err(io::Error::other),
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Raw(file) => Device::write_at(&**file, offset, bytes),
            Self::Overlay { opened, .. } => opened.write_at(offset, bytes).map_err(io::Error::other),
        }
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        match self {
            Self::Raw(file) => file.set_size(bytes),
            Self::Overlay { opened, .. } => opened.set_size_bytes(bytes).map_err(io::Error::other),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self {
            Self::Raw(file) => file.sync(),
            Self::Overlay { opened, .. } => opened.flush().map_err(io::Error::other),
        }
    }
}

/// A VM's disk, for writing, which nobody else has open as far as can be told; nobody who asks gets it until this is dropped.
pub(crate) fn open_unused(vm: &VmId, path: &Path) -> Result<DiskFile, Error> {
    let file = File::options().read(true).write(true).open(path).map_err(Error::io("open", path))?;
    if lock_disk(&file).map_err(Error::io("lock", path))? {
        Ok(DiskFile { file, is_locked: true })
    } else {
        Err(Error::InUse { vm: vm.clone(), path: path.to_owned() })
    }
}

/// The same for a disk that may be missing, or that its mode protects from being written and so from being in use; what is
/// no file is nobody's disk, and a hard link to a template, which nobody writes to, is not this VM's to lock.
pub(crate) fn lock_unused(vm: &VmId, path: &Path) -> Result<Option<DiskFile>, Error> {
    let is_template = |metadata: &Metadata| metadata.nlink() > 1 && metadata.mode() & 0o222 == 0;
    if path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file() || is_template(&metadata)) {
        return Ok(None);
    }
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

#[cfg(test)]
mod tests {
    use super::Volume;
    use crate::{BuildOptions, CloneOptions, Error, Quiet, Store, Strategy, VmId};

    #[test]
    fn a_disk_is_locked_for_as_long_as_it_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let scratch = "scratch:".parse().unwrap();
        let template = store.build(&scratch, &BuildOptions::default(), &Quiet).unwrap();
        let vm: VmId = "vm".parse().unwrap();
        for strategy in [Strategy::Copy, Strategy::Qcow2] {
            let options = CloneOptions { strategy: Some(strategy), ..CloneOptions::default() };
            let clone = store.clone_template(&template, &vm, &options).unwrap();
            let opened = store.open_disk(&clone).unwrap();
            // Others may look at it, and close it again.
            store.usage().unwrap();
            assert!(matches!(store.release(&vm), Err(Error::InUse { .. })), "{strategy}");
            // As a child of another thread that is being started has.
            let copies = match &opened {
                Volume::Raw(file) | Volume::Overlay { _file: file, .. } => file.try_clone().unwrap(),
            };
            drop(opened);
            store.release(&vm).unwrap();
            drop(copies);
        }
    }
}
