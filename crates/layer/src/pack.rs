use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use offshoot_store::Digest;
use offshoot_tree::{Change, Leaf};

use crate::index::{self, Head, Index};
use crate::{DataProblem, Error, IndexProblem, block, length};

/// A layer that was decoded: its changes, and the file that holds its files' contents.
#[derive(Debug)]
pub struct Pack {
    directory: PathBuf,
    data: File,
    index_file: File,
    head: Head,
    changes: Vec<Change>,
    checksums: Vec<u32>,
}

/// Large enough that the reads cost nothing beside the checksums.
const VERIFY_LEN: usize = 1 << 20;

impl Pack {
    /// Opens the pack in a directory and reads its index.
    ///
    /// `Ok` says: the index is as it was written, its digest included, and the data file has the length that
    /// the index describes, so that every extent lies within it. Whether its bytes are right, only
    /// [`verify`](Self::verify) says.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let (index_path, data_path) = (directory.join(index::INDEX), directory.join(index::DATA));
        let open = |path: &Path| {
            File::open(path).map_err(|source| Error::Host {
                operation: "open",
                path: path.to_owned(),
                source,
            })
        };
        let (index_file, data) = (open(&index_path)?, open(&data_path)?);
        let length = data.metadata().map_err(|source| Error::Host {
            operation: "inspect",
            path: data_path,
            source,
        })?;
        let bytes = index::read(&index_file).map_err(|source| Error::Host {
            operation: "read",
            path: index_path.clone(),
            source,
        })?;
        let index = Index::decode(&bytes, length.len())
            .map_err(|problem| Error::Index { path: index_path, problem })?;
        let Index { head, changes, checksums } = index;
        Ok(Self { directory: directory.to_owned(), data, index_file, head, changes, checksums })
    }

    /// What the layer says, in the order of its tar. The source of every content is the default one.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The same, for keeps.
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// The changes for keeps, and the data file that their contents lie in.
    pub fn into_parts(self) -> (Vec<Change>, File) {
        (self.changes, self.data)
    }

    /// The file that every [`Extent`](offshoot_tree::Extent) is about, open for reading.
    pub fn data(&self) -> &File {
        &self.data
    }

    /// The digest of the layer's uncompressed tar.
    pub fn diff_id(&self) -> Digest {
        self.head.diff_id
    }

    /// The digest of the blob that the pack was made from.
    pub fn blob(&self) -> Digest {
        self.head.blob
    }

    /// The size of that blob, in bytes.
    pub fn blob_bytes(&self) -> u64 {
        self.head.blob_bytes
    }

    /// The size of the layer's uncompressed tar, in bytes.
    pub fn tar_bytes(&self) -> u64 {
        self.head.tar_bytes
    }

    /// The size of the data file, in bytes: a multiple of 4 KiB.
    pub fn data_bytes(&self) -> u64 {
        self.head.data_bytes
    }

    /// Reads everything again. `Ok` says that every bit of index and data is as it was written (within what
    /// a SHA-256 and a CRC-32C for each file can tell); otherwise the error names the entry that changed.
    pub fn verify(&self) -> Result<(), Error> {
        let index_path = self.directory.join(index::INDEX);
        let bytes = index::read(&self.index_file).map_err(|source| Error::Host {
            operation: "read",
            path: index_path.clone(),
            source,
        })?;
        index::verify(&bytes)
            .map(|_| ())
            .map_err(|problem| Error::Index { path: index_path.clone(), problem })?;
        drop(bytes);
        let data_path = self.directory.join(index::DATA);
        let host = |source| Error::Host { operation: "read", path: data_path.clone(), source };
        let actual = self.data.metadata().map_err(host)?.len();
        if actual != self.head.data_bytes {
            let problem = IndexProblem::DataLength { described: self.head.data_bytes, actual };
            return Err(Error::Index { path: index_path, problem });
        }
        let mut buffer = vec![0; VERIFY_LEN];
        for (change, expected) in self.changes.iter().zip(&self.checksums) {
            let Change::Leaf { path, leaf: Leaf::File(content), .. } = change else { continue };
            let mut checksum = 0;
            for extent in &content.extents {
                let mut offset = block::start(extent.source_block);
                let mut left = block::start(extent.block_count);
                while left > 0 {
                    let count = buffer.len().min(length::in_memory(left));
                    let piece = buffer.get_mut(..count).unwrap_or_default();
                    self.data.read_exact_at(piece, offset).map_err(host)?;
                    checksum = crc32c::crc32c_append(checksum, piece);
                    offset = offset.saturating_add(length::in_file(count));
                    left = left.saturating_sub(length::in_file(count));
                }
            }
            if checksum != *expected {
                let problem = DataProblem::Checksum(path.clone());
                return Err(Error::Data { path: data_path, problem });
            }
        }
        Ok(())
    }
}
