use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use offshoot_store::{Checksum, Digest};
use offshoot_tree::{Change, Leaf, TreePath};

use crate::index::{self, Head, Index};
use crate::{DataProblem, Error, IndexProblem, PackData, block, pack_data};

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

/// How much is read before somebody hears of it.
const PROGRESS_BYTES: u64 = 16 << 20;

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

    /// The changes for keeps, and the data that their contents lie in.
    pub fn into_parts(self) -> (Vec<Change>, PackData) {
        let data = PackData::new(self.data, &self.changes, &self.checksums);
        (self.changes, data)
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
    /// a SHA-256 and a CRC-32C can tell); otherwise the error names the first entry that changed.
    pub fn verify(&self) -> Result<(), Error> {
        match self.damaged_files(&mut |_| Ok(()))?.into_iter().next() {
            None => Ok(()),
            Some(DamagedFile { path, .. }) => Err(Error::Data {
                path: self.directory.join(index::DATA),
                problem: DataProblem::Checksum(path),
            }),
        }
    }

    /// Reads everything again, and says which files' contents are not as they were packed: none, of a good pack.
    ///
    /// `progress` is told of every read, in bytes, and can end it. An index that has changed is an error.
    pub fn damaged_files(
        &self,
        progress: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> Result<Vec<DamagedFile>, Error> {
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
        let mut buffer = Vec::new();
        let mut damaged = Vec::new();
        let mut checksum = Checksum::new();
        for (change, &expected) in self.changes.iter().zip(&self.checksums) {
            let Change::Leaf { path, leaf: Leaf::File(content), .. } = change else { continue };
            // Extents of a file follow one another.
            let Some(first) = content.extents.first() else { continue };
            let blocks =
                content.extents.iter().fold(0, |sum: u64, next| sum.saturating_add(next.block_count));
            let (offset, end) = (block::start(first.source_block), block::start(blocks));
            let end = offset.saturating_add(end);
            let mut next = offset;
            while next < end {
                let count = end.saturating_sub(next).min(PROGRESS_BYTES);
                checksum = pack_data::read(&self.data, next, count, checksum, &mut buffer).map_err(host)?;
                progress(count).map_err(host)?;
                next = next.saturating_add(count);
            }
            let expected = Checksum::from_value(expected);
            if checksum != expected {
                let bytes = end.saturating_sub(offset);
                damaged.push(DamagedFile { path: path.clone(), offset, bytes });
                // Of those behind it nothing is known yet.
                checksum = expected;
            }
        }
        Ok(damaged)
    }
}

/// A file in a layer whose contents have changed in its pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedFile {
    /// Its path in the layer.
    pub path: TreePath,
    /// Where its contents lie in the data file, in bytes.
    pub offset: u64,
    /// How many bytes they take there.
    pub bytes: u64,
}
