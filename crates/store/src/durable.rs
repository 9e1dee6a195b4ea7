//! The one place that writes files that matter: write, sync, rename or link, sync the directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::{Error, new_private_file};

/// Whether something acknowledged must survive a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Everything is synced before it is acknowledged.
    #[default]
    Durable,
    /// Nothing is synced: for what is thrown away with the machine.
    Ephemeral,
}

impl Durability {
    /// Syncs a file's contents and size.
    pub fn sync_file(self, file: &File, path: &Path) -> Result<(), Error> {
        match self {
            Self::Durable => file.sync_all().map_err(Error::io("sync", path)),
            Self::Ephemeral => Ok(()),
        }
    }

    /// Syncs a directory's entries.
    pub fn sync_directory(self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Durable => {
                let directory = File::open(path).map_err(Error::io("open", path))?;
                directory.sync_all().map_err(Error::io("sync", path))
            }
            Self::Ephemeral => Ok(()),
        }
    }
}

/// Creates a file that must not exist yet, writes it and syncs it; its directory is the caller's to sync.
pub(crate) fn write_new(path: &Path, bytes: &[u8], durability: Durability) -> Result<(), Error> {
    let mut file = new_private_file(path).map_err(Error::io("create", path))?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    durability.sync_file(&file, path)
}

/// Renames something complete to its final path and makes that last.
pub(crate) fn rename(from: &Path, to: &Path, durability: Durability) -> Result<(), Error> {
    fs::rename(from, to).map_err(Error::io("rename to", to))?;
    durability.sync_directory(parent(to))
}

pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file outside the store that comes into being whole, or not at all.
///
/// It has no name until [`publish`](Self::publish); where the filesystem cannot do that (`O_TMPFILE`), it has a
/// temporary one beside its final name, removed on drop.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    target: PathBuf,
    temporary: Option<PathBuf>,
}

impl NewFile {
    /// A file that is to be at `target`, on the same filesystem, empty.
    pub fn create(target: &Path) -> Result<Self, Error> {
        let directory = parent(target);
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, directory, flags, Mode::from_raw_mode(0o600)) {
            Ok(descriptor) => {
                Ok(Self { file: descriptor.into(), target: target.to_owned(), temporary: None })
            }
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => Self::create_named(target),
            Err(error) => Err(Error::errno("create a file in", directory)(error)),
        }
    }

    fn create_named(target: &Path) -> Result<Self, Error> {
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".offshoot-{}", crate::staging::unique()));
        let temporary = parent(target).join(name);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(Error::io("create", &temporary))?;
        Ok(Self { file, target: target.to_owned(), temporary: Some(temporary) })
    }

    /// The file to write.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name, synced, with that mode.
    ///
    /// `Ok(false)`: there is something of that name already, and nothing was changed.
    pub fn publish(mut self, mode: u32) -> Result<bool, Error> {
        let target = self.target.clone();
        self.file
            .set_permissions(fs::Permissions::from_mode(mode))
            .map_err(Error::io("set the mode of", &target))?;
        Durability::Durable.sync_file(&self.file, &target)?;
        let linked = match self.temporary.take() {
            None => {
                use std::os::fd::AsRawFd;
                let source = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                rustix::fs::linkat(CWD, source, CWD, &target, AtFlags::SYMLINK_FOLLOW)
                    .map_err(io::Error::from)
            }
            Some(temporary) => {
                let linked = fs::hard_link(&temporary, &target);
                self.temporary = Some(temporary);
                linked
            }
        };
        match linked {
            Ok(()) => {
                Durability::Durable.sync_directory(parent(&target))?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Error::io("create", &target)(error)),
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}
