use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use std::path::Path;

use offshoot_tree::Xattrs;
use rustix::fs::{fgetxattr, flistxattr, lgetxattr, llistxattr};
use rustix::io::Errno;
use serde_bytes::ByteBuf;

use crate::Error;

/// The kernel's `XATTR_LIST_MAX` and `XATTR_SIZE_MAX`: nothing is larger.
const MAX: usize = 65536;

/// Whose attributes to read.
#[derive(Clone, Copy)]
pub(super) enum Holder<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// What cannot be opened for reading: the name in a directory, itself if it is a link.
    Name(BorrowedFd<'a>, &'a CStr),
}

/// The attributes of one open file.
pub(crate) fn file_xattrs(file: BorrowedFd<'_>, path: &Path) -> Result<Xattrs, Error> {
    let read = XattrReader::new().read(Holder::Open(file));
    read.map_err(Error::io("read the extended attributes of", path))
}

/// Reads extended attributes into one buffer after the other.
#[derive(Debug)]
pub(super) struct XattrReader {
    list: Vec<u8>,
    value: Vec<u8>,
}

impl XattrReader {
    pub(super) fn new() -> Self {
        Self { list: vec![0; MAX], value: vec![0; MAX] }
    }

    /// All attributes that the process may see; none where the filesystem has none.
    pub(super) fn read(&mut self, holder: Holder<'_>) -> Result<Xattrs, Errno> {
        let path = match holder {
            Holder::Open(_) => Vec::new(),
            // No system call takes a directory and a name for this.
            Holder::Name(directory, name) => {
                [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name.to_bytes()].concat()
            }
        };
        let listed = match holder {
            Holder::Open(file) => flistxattr(file, &mut self.list[..]),
            Holder::Name(..) => llistxattr(&path[..], &mut self.list[..]),
        };
        let length = match listed {
            Ok(length) => length,
            Err(Errno::NOTSUP) => return Ok(Xattrs::new()),
            Err(error) => return Err(error),
        };
        let mut xattrs = Xattrs::new();
        for name in self.list[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            let read = match holder {
                Holder::Open(file) => fgetxattr(file, name, &mut self.value[..]),
                Holder::Name(..) => lgetxattr(&path[..], name, &mut self.value[..]),
            };
            match read {
                Ok(length) => {
                    xattrs.insert(ByteBuf::from(name), ByteBuf::from(&self.value[..length]));
                }
                // Gone since it was listed.
                Err(Errno::NODATA) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(xattrs)
    }
}
