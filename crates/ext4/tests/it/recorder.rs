//! A device that keeps a list of what was done to it, and images made of a part of that.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use offshoot_ext4::Device;

/// Something that was done to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Write { offset: u64, bytes: Vec<u8> },
    SetSize(u64),
    Sync,
}

impl Step {
    /// Does it to a file.
    pub(crate) fn apply(&self, file: &File) {
        match self {
            Self::Write { offset, bytes } => file.write_all_at(bytes, *offset).unwrap(),
            Self::SetSize(bytes) => file.set_len(*bytes).unwrap(),
            Self::Sync => {}
        }
    }

    /// The beginning of a write, as if it was torn.
    pub(crate) fn torn(&self, length: usize) -> Self {
        match self {
            Self::Write { offset, bytes } => Self::Write { offset: *offset, bytes: bytes[..length].to_vec() },
            other => other.clone(),
        }
    }
}

/// A file, and what was done to it.
pub(crate) struct Recorder {
    file: File,
    steps: RefCell<Vec<Step>>,
}

impl Recorder {
    pub(crate) fn new(file: File) -> Self {
        Self { file, steps: RefCell::default() }
    }

    pub(crate) fn steps(self) -> Vec<Step> {
        self.steps.into_inner()
    }
}

impl Device for Recorder {
    fn size_bytes(&self) -> io::Result<u64> {
        self.file.size_bytes()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        Device::read_at(&self.file, offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(offset + bytes.len() as u64 <= self.size_bytes()?, "writes lie within the size");
        self.steps.borrow_mut().push(Step::Write { offset, bytes: bytes.to_vec() });
        Device::write_at(&self.file, offset, bytes)
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        assert!(bytes > self.size_bytes()?, "never smaller");
        self.steps.borrow_mut().push(Step::SetSize(bytes));
        self.file.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.steps.borrow_mut().push(Step::Sync);
        Ok(())
    }
}

/// Whether two files have the same bytes; holes are stepped over.
pub(crate) fn same(a: &File, b: &File) -> bool {
    a.metadata().unwrap().len() == b.metadata().unwrap().len() && covers(a, b) && covers(b, a)
}

/// Whether all that is not a hole in one file is the same in the other.
fn covers(one: &File, other: &File) -> bool {
    use rustix::fs::{SeekFrom, seek};
    let mut from = 0;
    while let Ok(start) = seek(one, SeekFrom::Data(from)) {
        let end = seek(one, SeekFrom::Hole(start)).unwrap();
        let mut at = start;
        while at < end {
            let length = usize::try_from((end - at).min(1 << 20)).unwrap();
            let (mut left, mut right) = (vec![0; length], vec![0; length]);
            one.read_exact_at(&mut left, at).unwrap();
            other.read_exact_at(&mut right, at).unwrap();
            if left != right {
                return false;
            }
            at += length as u64;
        }
        from = end;
    }
    true
}
