use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use offshoot_store::{Digest, Hasher, new_private_file};
use offshoot_tree::{BLOCK_SIZE, Change, Content, Leaf, Metadata};
use serde::{Deserialize, Serialize};

use crate::{Error, IndexProblem, block, length};

/// The file of file contents in a pack's directory.
pub(crate) const DATA: &str = "data";
/// The file that says everything else.
pub(crate) const INDEX: &str = "index";

const MAGIC: &[u8; 8] = b"offspack";
const VERSION: u32 = 1;
/// Magic and version.
const PREFIX_LEN: usize = 12;
/// The digest at the end.
const DIGEST_LEN: usize = 32;
/// How much is hashed and written at once.
const WRITE_LEN: usize = 256 << 10;

/// What a pack says about itself as a whole. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) diff_id: Digest,
    pub(crate) blob: Digest,
    pub(crate) blob_bytes: u64,
    pub(crate) tar_bytes: u64,
    pub(crate) data_bytes: u64,
}

/// A pack's index, decoded.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) head: Head,
    /// In the order of the tar, which is also that of their contents in the data file.
    pub(crate) changes: Vec<Change>,
    /// For each change the CRC-32C of the data file up to the end of its blocks; 0 where it has none.
    pub(crate) checksums: Vec<u32>,
}

/// What postcard encodes first; the entries follow one by one.
#[derive(Serialize, Deserialize)]
struct StoredHead {
    diff_id: [u8; 32],
    blob: [u8; 32],
    blob_bytes: u64,
    tar_bytes: u64,
    data_bytes: u64,
    entries: u64,
}

/// One entry as postcard encodes it.
#[derive(Serialize)]
struct EntryRef<'a>(&'a Change, u32);

/// One entry as postcard decodes it.
#[derive(Deserialize)]
struct Entry(Change, u32);

impl Index {
    /// Writes the index to a new file, and through to the disk with `sync`.
    pub(crate) fn write(&self, path: &Path, sync: bool) -> Result<(), Error> {
        let host = |operation| move |source| Error::Host { operation, path: path.to_owned(), source };
        let file = new_private_file(path).map_err(host("create"))?;
        let hashing = Hashing { output: &file, hasher: Hasher::new() };
        let mut output = BufWriter::with_capacity(WRITE_LEN, hashing);
        self.encode(&mut output).map_err(host("write"))?;
        let Hashing { mut output, hasher } =
            output.into_inner().map_err(|error| host("write")(error.into_error()))?;
        output.write_all(hasher.finish().as_bytes()).map_err(host("write"))?;
        if sync {
            file.sync_all().map_err(host("sync"))?;
        }
        Ok(())
    }

    fn encode(&self, output: &mut impl Write) -> io::Result<()> {
        output.write_all(MAGIC)?;
        output.write_all(&VERSION.to_le_bytes())?;
        let Head { diff_id, blob, blob_bytes, tar_bytes, data_bytes } = self.head;
        let head = StoredHead {
            diff_id: *diff_id.as_bytes(),
            blob: *blob.as_bytes(),
            blob_bytes,
            tar_bytes,
            data_bytes,
            entries: length::in_file(self.changes.len()),
        };
        // Not `postcard::to_io`, which flushes after each value.
        let mut bytes = postcard::to_extend(&head, Vec::new()).map_err(io::Error::other)?;
        for (change, checksum) in self.changes.iter().zip(&self.checksums) {
            output.write_all(&bytes)?;
            bytes.clear();
            bytes = postcard::to_extend(&EntryRef(change, *checksum), bytes).map_err(io::Error::other)?;
        }
        output.write_all(&bytes)
    }

    /// Decodes the bytes of an index, and checks that it describes exactly that much data.
    pub(crate) fn decode(bytes: &[u8], data_bytes: u64) -> Result<Self, IndexProblem> {
        let body = verify(bytes)?;
        let (head, mut body) = postcard::take_from_bytes::<StoredHead>(body).map_err(IndexProblem::Body)?;
        let mut index = Self {
            head: Head {
                diff_id: Digest::from_bytes(head.diff_id),
                blob: Digest::from_bytes(head.blob),
                blob_bytes: head.blob_bytes,
                tar_bytes: head.tar_bytes,
                data_bytes: head.data_bytes,
            },
            changes: Vec::new(),
            checksums: Vec::new(),
        };
        let mut next_block = 0;
        for number in 0..head.entries {
            let (Entry(change, checksum), rest) =
                postcard::take_from_bytes(body).map_err(IndexProblem::Body)?;
            check(&change, &mut next_block).ok_or(IndexProblem::Entry(number))?;
            index.changes.push(change);
            index.checksums.push(checksum);
            body = rest;
        }
        if !body.is_empty() {
            return Err(IndexProblem::Entry(head.entries));
        }
        let described = block::start(next_block);
        for claimed in [described, head.data_bytes] {
            if claimed != data_bytes {
                return Err(IndexProblem::DataLength { described: claimed, actual: data_bytes });
            }
        }
        Ok(index)
    }
}

/// Checks what encloses the body, and gives the body.
pub(crate) fn verify(bytes: &[u8]) -> Result<&[u8], IndexProblem> {
    let (prefix, rest) = bytes.split_at_checked(PREFIX_LEN).ok_or(IndexProblem::Magic)?;
    let (magic, version) = prefix.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(IndexProblem::Magic);
    }
    let version = version.try_into().map(u32::from_le_bytes).unwrap_or_default();
    if version != VERSION {
        return Err(IndexProblem::Version(version));
    }
    let digest_start = bytes.len().saturating_sub(DIGEST_LEN);
    let (hashed, digest) = bytes.split_at(digest_start.max(PREFIX_LEN));
    if Digest::of(hashed).as_bytes() != digest {
        return Err(IndexProblem::Digest);
    }
    Ok(rest.get(..rest.len().saturating_sub(DIGEST_LEN)).unwrap_or_default())
}

/// Checks what decoding leaves unchecked: that contents lie one after another without a gap, in ascending
/// order within their file, and that values are within their bounds. Decoding has checked paths.
fn check(change: &Change, next_block: &mut u64) -> Option<()> {
    let (metadata, leaf) = match change {
        Change::Directory { metadata, .. } => (metadata, None),
        Change::Leaf { metadata, leaf, path } if !path.is_root() => (metadata, Some(leaf)),
        Change::HardLink { .. } | Change::OpaqueWhiteout { .. } => return Some(()),
        Change::Whiteout { path } if !path.is_root() => return Some(()),
        Change::Leaf { .. } | Change::Whiteout { .. } => return None,
    };
    let good = metadata.mode & !Metadata::MODE_MASK == 0 && metadata.mtime.nanoseconds < 1_000_000_000;
    good.then_some(())?;
    match leaf {
        Some(Leaf::File(content)) => check_content(content, next_block),
        Some(Leaf::Symlink(target)) => (!target.is_empty() && !target.contains(&0)).then_some(()),
        _ => Some(()),
    }
}

fn check_content(content: &Content, next_block: &mut u64) -> Option<()> {
    let blocks = block::count(content.size);
    let mut logical_end = 0;
    for extent in &content.extents {
        if extent.block_count == 0 || extent.source_block != *next_block || extent.logical_block < logical_end
        {
            return None;
        }
        logical_end = extent.logical_block.checked_add(extent.block_count)?;
        *next_block = next_block.checked_add(extent.block_count)?;
        next_block.checked_mul(BLOCK_SIZE)?;
    }
    (logical_end <= blocks).then_some(())
}

/// Hashes what it writes.
struct Hashing<W> {
    output: W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Reads a whole index file from its start.
pub(crate) fn read(mut file: &File) -> io::Result<Vec<u8>> {
    io::Seek::rewind(&mut file)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
