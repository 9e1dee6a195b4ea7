use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offshoot_store::Digest;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::file_section::FileSection;
use crate::layout::LayoutFiles;
use crate::{Error, Missing};

/// An OCI image layout in a directory. Nothing in it is reached through a symbolic link: a layout may be another's
/// making, and its links would lead to the host's files.
#[derive(Debug)]
pub(crate) struct LayoutDirectory {
    directory: OwnedFd,
    path: PathBuf,
}

impl LayoutDirectory {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let directory =
            openat(CWD, path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        match directory {
            Ok(directory) => Ok(Self { directory, path: path.to_owned() }),
            Err(Errno::NOTDIR) => Err(Error::WrongKind {
                path: path.to_owned(),
                expected: "the directory of an OCI image layout",
                found: "not a directory",
            }),
            Err(error) => Err(Error::io("open", path)(error)),
        }
    }

    /// Opens a regular file below the layout, a name at a time; `None` where it does not exist.
    fn open_regular(&self, names: &[&str]) -> Result<Option<FileSection>, Error> {
        let path = self.path.join(names.join("/"));
        let Some((file, directories)) = names.split_last() else { return Ok(None) };
        let wrong_kind = |found| Error::WrongKind { path: path.clone(), expected: "a regular file", found };
        let open = |parent: &OwnedFd, name: &str, flags| {
            match openat(parent, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
                Ok(opened) => Ok(Some(opened)),
                Err(Errno::NOENT) => Ok(None),
                Err(Errno::LOOP) => Err(wrong_kind("reached through a symbolic link")),
                // What O_DIRECTORY and O_NOFOLLOW say together of a link; of a file, too.
                Err(Errno::NOTDIR) => Err(wrong_kind("reached through something that is not a directory")),
                Err(Errno::NXIO) => Err(wrong_kind("a socket or pipe")),
                Err(error) => Err(Error::io("open", &path)(error)),
            }
        };
        let mut parent = None;
        for name in directories {
            match open(parent.as_ref().unwrap_or(&self.directory), name, OFlags::PATH | OFlags::DIRECTORY)? {
                Some(opened) => parent = Some(opened),
                None => return Ok(None),
            }
        }
        // Non-blocking, since opening a pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let Some(opened) = open(parent.as_ref().unwrap_or(&self.directory), file, flags)? else {
            return Ok(None);
        };
        let status = fstat(&opened).map_err(Error::io("read", &path))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(wrong_kind("something else"));
        }
        let size = u64::try_from(status.st_size).unwrap_or_default();
        Ok(Some(FileSection::new(Arc::new(File::from(opened)), 0, size)))
    }
}

impl LayoutFiles for LayoutDirectory {
    fn place(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &'static str) -> Result<FileSection, Error> {
        let missing = || Missing::Layout { place: self.path.clone(), file: name };
        Ok(self.open_regular(&[name])?.ok_or_else(missing)?)
    }

    fn blob(&self, digest: Digest) -> Result<FileSection, Error> {
        let missing = || Missing::Blob { place: self.path.clone(), digest };
        Ok(self.open_regular(&["blobs", "sha256", &digest.hex()])?.ok_or_else(missing)?)
    }
}
