use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use offshoot_tree::Device;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, Stat, fstat, major, minor, openat, readlinkat, statat,
};
use rustix::io::Errno;

use super::entry::metadata;
use super::xattrs::{Holder, XattrReader};
use super::{Entry, EntryKind, FileBody};
use crate::Error;

pub(crate) const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// Room for the system's directory entries, in bytes.
const DIRECTORY_BUFFER: usize = 64 << 10;

/// A directory and everything below it: parents first, siblings by the bytes of their names.
///
/// Each directory is held open while its entries are walked, and each entry is opened by its name there, never
/// through a link: what the tree turns into meanwhile cannot lead the walk out of it.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The top, until the walk starts there; and whether it is an entry itself.
    top: Option<(Opened, bool)>,
    frames: Vec<Frame>,
    /// The first path of each inode that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
    xattrs: XattrReader,
}

/// An open directory.
#[derive(Debug)]
struct Opened {
    directory: OwnedFd,
    /// In the tar.
    path: Vec<u8>,
    /// On the host, for errors.
    host_path: PathBuf,
}

/// A directory whose entries are being walked.
#[derive(Debug)]
struct Frame {
    opened: Opened,
    /// The names that are left.
    names: std::vec::IntoIter<CString>,
}

impl Walk {
    /// Of an open directory, to be found at `path` in the tar. `with_top` makes an entry of the directory itself.
    pub(crate) fn new(directory: OwnedFd, host_path: PathBuf, path: Vec<u8>, with_top: bool) -> Self {
        let top = Some((Opened { directory, path, host_path }, with_top));
        Self { top, frames: Vec::new(), links: HashMap::new(), xattrs: XattrReader::new() }
    }

    fn step(&mut self) -> Result<Option<Entry>, Error> {
        if let Some((top, with_top)) = self.top.take() {
            let status = fstat(&top.directory).map_err(Error::io("read", &top.host_path))?;
            let entry = self.enter(top, &status)?;
            if with_top {
                return Ok(Some(entry));
            }
        }
        while let Some(frame) = self.frames.last_mut() {
            let Some(name) = frame.names.next() else {
                self.frames.pop();
                continue;
            };
            let host_path = frame.opened.host_path.join(OsStr::from_bytes(name.to_bytes()));
            if let Some(entry) = self.entry(&name, host_path)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Reads a directory's names, to be walked next, and makes its entry.
    fn enter(&mut self, opened: Opened, status: &Stat) -> Result<Entry, Error> {
        let xattrs = self
            .xattrs
            .read(Holder::Open(opened.directory.as_fd()))
            .map_err(Error::io("read the extended attributes of", &opened.host_path))?;
        let names = names(&opened)?.into_iter();
        let entry = Entry {
            path: opened.path.clone(),
            metadata: metadata(status, xattrs),
            kind: EntryKind::Directory,
        };
        self.frames.push(Frame { opened, names });
        Ok(entry)
    }

    /// The entry of a name in the directory walked last; `None` for a socket.
    fn entry(&mut self, name: &CStr, host_path: PathBuf) -> Result<Option<Entry>, Error> {
        let Some(frame) = self.frames.last() else { return Ok(None) };
        if name.to_bytes().starts_with(WHITEOUT_PREFIX) {
            return Err(Error::WhiteoutName { path: host_path });
        }
        let parent = &frame.opened;
        let path = match parent.path.as_slice() {
            b"" => name.to_bytes().to_owned(),
            parent => [parent, b"/", name.to_bytes()].concat(),
        };
        let status =
            statat(&parent.directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(gone("read", &host_path))?;
        let file_type = FileType::from_raw_mode(status.st_mode);
        if file_type == FileType::Socket {
            return Ok(None);
        }
        if file_type == FileType::Directory {
            let (directory, status) = open(parent, name, &status, OFlags::DIRECTORY, &host_path)?;
            return self.enter(Opened { directory, path, host_path }, &status).map(Some);
        }
        if status.st_nlink > 1 {
            let inode = (status.st_dev, status.st_ino);
            if let Some(first) = self.links.get(&inode) {
                let kind = EntryKind::HardLink(first.clone());
                return Ok(Some(Entry { path, metadata: metadata(&status, Default::default()), kind }));
            }
            self.links.insert(inode, path.clone());
        }
        let read_xattrs = Error::io("read the extended attributes of", &host_path);
        if file_type == FileType::RegularFile {
            // Non-blocking, should a pipe have taken the file's place.
            let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
            let (file, status) = open(parent, name, &status, flags, &host_path)?;
            let xattrs = self.xattrs.read(Holder::Open(file.as_fd())).map_err(read_xattrs)?;
            let kind = EntryKind::File(FileBody::new(File::from(file), host_path, &status)?);
            return Ok(Some(Entry { path, metadata: metadata(&status, xattrs), kind }));
        }
        let holder = Holder::Name(parent.directory.as_fd(), name);
        let xattrs = self.xattrs.read(holder).map_err(read_xattrs)?;
        let device = Device { major: major(status.st_rdev), minor: minor(status.st_rdev) };
        let kind = match file_type {
            FileType::Symlink => {
                let target =
                    readlinkat(&parent.directory, name, Vec::new()).map_err(gone("read", &host_path))?;
                EntryKind::Symlink(target.into_bytes())
            }
            FileType::CharacterDevice => EntryKind::CharDevice(device),
            FileType::BlockDevice => EntryKind::BlockDevice(device),
            FileType::Fifo => EntryKind::Fifo,
            _ => {
                return Err(Error::WrongKind {
                    path: host_path,
                    expected: "a file",
                    found: "of no known type",
                });
            }
        };
        Ok(Some(Entry { path, metadata: metadata(&status, xattrs), kind }))
    }
}

impl Iterator for Walk {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// Opens what a name was found to be, and makes sure that it still is.
fn open(
    parent: &Opened,
    name: &CStr,
    found: &Stat,
    flags: OFlags,
    host_path: &Path,
) -> Result<(OwnedFd, Stat), Error> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(&parent.directory, name, flags, Mode::empty()).map_err(gone("open", host_path))?;
    let status = fstat(&opened).map_err(Error::io("read", host_path))?;
    if (status.st_dev, status.st_ino) != (found.st_dev, found.st_ino) {
        return Err(Error::Changed { path: host_path.to_owned() });
    }
    Ok((opened, status))
}

/// For `map_err`: what was there a moment ago and is not, or is something else, has changed.
fn gone(operation: &'static str, path: &Path) -> impl FnOnce(Errno) -> Error {
    move |error| match error {
        Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::INVAL => {
            Error::Changed { path: path.to_owned() }
        }
        error => Error::io(operation, path)(error),
    }
}

/// All names in a directory but `.` and `..`, sorted.
fn names(opened: &Opened) -> Result<Vec<CString>, Error> {
    let mut buffer = Vec::with_capacity(DIRECTORY_BUFFER);
    let mut entries = RawDir::new(opened.directory.as_fd(), buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(Error::io("read", &opened.host_path))?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opened_is_what_was_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for name in ["a", "b"] {
            std::fs::write(path.join(name), b"").unwrap();
        }
        let parent = Opened {
            directory: crate::directory::open_directory(path).unwrap(),
            path: Vec::new(),
            host_path: path.to_owned(),
        };
        let found = statat(&parent.directory, c"a", AtFlags::SYMLINK_NOFOLLOW).unwrap();
        assert!(open(&parent, c"a", &found, OFlags::NONBLOCK, path).is_ok());
        for other in [c"b", c"gone"] {
            let error = open(&parent, other, &found, OFlags::NONBLOCK, path).unwrap_err();
            assert!(matches!(error, Error::Changed { .. }), "{error:?}");
        }
    }
}
