//! Images in files, and the sink that writes them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use offshoot_ext4::{Error, Label, Options, Plan, Sink, Size, Transfer};
use offshoot_testkit::scratch_directory;
use offshoot_tree::{SourceId, Tree};
use tempfile::TempDir;

use crate::sample::Packs;

pub(crate) fn options() -> Options {
    Options {
        uuid: *b"\x01\x23\x45\x67\x89\xab\x4d\xef\x81\x23\x45\x67\x89\xab\xcd\xef",
        hash_seed: *b"\xfe\xdc\xba\x98\x76\x54\x42\x10\xae\xdc\xba\x98\x76\x54\x32\x10",
        created_seconds: 1_700_000_000,
        label: Label::new(b"root").unwrap(),
        size: Size::Automatic { headroom_percent: 25, headroom_min_bytes: 8 << 20 },
        journal: true,
    }
}

pub(crate) fn exact(bytes: u64) -> Options {
    Options { size: Size::Exact { bytes }, ..options() }
}

/// One call of the sink: offset, length, and how, if from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) how: Option<Transfer>,
}

/// Writes to a file and keeps a list of what it did.
pub(crate) struct FileSink<'a> {
    file: &'a File,
    packs: &'a Packs,
    pub(crate) calls: Vec<Call>,
}

impl FileSink<'_> {
    fn note(&mut self, offset: u64, length: u64, how: Option<Transfer>) {
        assert_eq!((offset % 4096, length % 4096), (0, 0), "whole blocks");
        assert!(length > 0, "something");
        let end = self.calls.last().map_or(0, |call| call.offset + call.length);
        assert!(offset >= end, "ascending: {offset} after {end}");
        self.calls.push(Call { offset, length, how });
    }
}

impl Sink for FileSink<'_> {
    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        assert!(self.calls.is_empty(), "the length comes first");
        self.file.set_len(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.note(offset, bytes.len() as u64, None);
        self.file.write_all_at(bytes, offset)
    }

    fn copy_from(
        &mut self,
        source: SourceId,
        source_offset: u64,
        offset: u64,
        length: u64,
        how: Transfer,
    ) -> io::Result<()> {
        assert_eq!(source_offset % 4096, 0, "whole blocks");
        self.note(offset, length, Some(how));
        for block in 0..length / 4096 {
            if let Some(bytes) = self.packs.block(source, source_offset / 4096 + block) {
                self.file.write_all_at(bytes, offset + block * 4096)?;
            }
        }
        Ok(())
    }
}

/// An image that goes with its guard.
pub(crate) struct Image {
    directory: TempDir,
    pub(crate) calls: Vec<Call>,
}

impl Image {
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    pub(crate) fn new(tree: &Tree, packs: &Packs, options: &Options) -> Result<Self, Error> {
        Ok(Self::of(&Plan::new(tree, options)?, packs))
    }

    pub(crate) fn of(plan: &Plan<'_>, packs: &Packs) -> Self {
        let directory = scratch_directory();
        let calls = write(plan, packs, &directory.path().join("image"));
        Self { directory, calls }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }
}

/// Emits a plan to a new file.
pub(crate) fn write(plan: &Plan<'_>, packs: &Packs, path: &Path) -> Vec<Call> {
    let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
    let mut sink = FileSink { file: &file, packs, calls: Vec::new() };
    plan.emit(&mut sink).unwrap();
    assert_eq!(file.metadata().unwrap().len(), plan.size_bytes());
    sink.calls
}
