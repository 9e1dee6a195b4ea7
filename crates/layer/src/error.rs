use std::fmt;
use std::io;
use std::path::PathBuf;

use offshoot_store::{Digest, VerifyError};
use offshoot_tree::NameError;

use crate::RawPath;

/// Why a layer could not be packed, or a pack not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream that should give the blob failed.
    #[error("cannot read the layer's blob")]
    Read(#[source] io::Error),
    /// The blob is not the promised one: it was changed or cut on its way, or at its source.
    #[error("the layer's blob is not what its manifest promises")]
    Blob(#[source] VerifyError),
    /// The blob is the promised one, its tar is not: the image contradicts itself.
    #[error("the layer's uncompressed digest (diff_id) is {actual}, expected {expected}")]
    DiffId {
        /// What the image's config says.
        expected: Digest,
        /// What came out of decompression.
        actual: Digest,
    },
    /// The blob is compressed in a way that offshoot does not read.
    #[error("the layer is compressed with {0}; only gzip and zstd are supported")]
    UnsupportedCompression(&'static str),
    /// The blob cannot be decompressed.
    #[error("cannot decompress the layer at byte {offset} of its blob")]
    Stream {
        /// Bytes of the blob before the problem, to within what decompression takes at once.
        offset: u64,
        /// What is wrong there.
        #[source]
        problem: StreamProblem,
    },
    /// The tar is malformed, or has an entry that no filesystem can hold.
    #[error("{} at byte {offset} of the layer's tar cannot be used", Entry(path.as_ref()))]
    Tar {
        /// The entry, once its name is known.
        path: Option<RawPath>,
        /// Where the entry (with what describes it) begins, in bytes of the decompressed tar.
        offset: u64,
        /// What is wrong with it.
        #[source]
        problem: TarProblem,
    },
    /// The layer asks for more than [`Limits`](crate::Limits) allow.
    #[error("{} at byte {offset} of the layer's tar exceeds the limit of {maximum} {limit}", Entry(path.as_ref()))]
    Limit {
        /// The entry, once its name is known.
        path: Option<RawPath>,
        /// Where the entry begins, in bytes of the decompressed tar.
        offset: u64,
        /// Which limit.
        limit: Limit,
        /// Its value.
        maximum: u64,
    },
    /// The host's filesystem failed: no space, no permission, no such file.
    #[error("cannot {operation} {}", path.display())]
    Host {
        /// What was tried: `create`, `write`, `sync`, …
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The pack's index is not what [`pack`](crate::pack) wrote, or is of another version.
    #[error("the pack's index {} cannot be used", path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        problem: IndexProblem,
    },
    /// The pack's data is not what [`pack`](crate::pack) wrote.
    #[error("the pack's data {} is damaged", path.display())]
    Data {
        /// The data file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        problem: DataProblem,
    },
}

/// How an error names what it is about.
struct Entry<'a>(Option<&'a RawPath>);

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "the entry {path}"),
            None => f.write_str("what is"),
        }
    }
}

/// What is wrong with a compressed stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamProblem {
    /// It ends too early.
    #[error("the compressed stream is cut short")]
    Truncated,
    /// Not a gzip member's header, or one of a method other than deflate.
    #[error("a gzip member's header is malformed")]
    GzipHeader,
    /// Deflate cannot mean this.
    #[error("the deflated data is malformed")]
    Deflate(#[source] flate2::DecompressError),
    /// The CRC-32 or the length at the end of a gzip member contradicts its contents.
    #[error("a gzip member's checksum or length is wrong")]
    GzipTrailer,
    /// The zstd library refuses the data.
    #[error("the zstd data is malformed or needs too large a window")]
    Zstd(#[source] io::Error),
    /// Neither another member or frame nor zeros follow the last.
    #[error("what follows the compressed stream is no part of it")]
    TrailingGarbage,
}

/// What is wrong with a tar, or with one of its entries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TarProblem {
    /// It ends within an entry.
    #[error("the tar is cut short")]
    Truncated,
    /// The header's checksum is wrong: most likely this is no tar.
    #[error("the header's checksum is wrong; this is no tar or a damaged one")]
    Checksum,
    /// Two zero blocks end a tar; after one there can only be another, or nothing.
    #[error("entries follow a block of zeros")]
    LoneZeroBlock,
    /// A number is malformed, negative or too large.
    #[error("its {0} is no number that makes sense there")]
    Number(&'static str),
    /// A PAX extended header is malformed.
    #[error("its PAX extended header is malformed")]
    Pax,
    /// A GNU long name and a PAX record name the entry differently, so readers would disagree.
    #[error("its GNU and PAX names contradict each other")]
    TwoNames,
    /// A sparse file's map is malformed, out of order, or does not add up.
    #[error("its sparse map is malformed")]
    SparseMap,
    /// A PAX sparse format other than 0.0, 0.1 and 1.0.
    #[error("its sparse format is of an unknown version")]
    SparseVersion,
    /// A type of entry that offshoot does not know, so that it cannot know what it would leave out.
    #[error("its type is {:?}, which is not supported", char::from(*.0))]
    UnknownType(u8),
    /// The path cannot be one.
    #[error("its path is not possible")]
    Path(#[source] NameError),
    /// The hard link's target cannot be a path.
    #[error("its hard link target is not possible")]
    LinkTarget(#[source] NameError),
    /// Symbolic links have a target of at least one byte, without NUL.
    #[error("its symbolic link target is empty or has a NUL byte")]
    SymlinkTarget,
    /// `/` can only be a directory.
    #[error("the root of a layer can only be a directory")]
    RootNotDirectory,
    /// `.wh.` with nothing that it could hide behind it, or with entries below it.
    #[error("its whiteout name hides nothing that could exist")]
    Whiteout,
    /// An extended attribute's name is empty, longer than 255 bytes or has a NUL byte.
    #[error("the name of an extended attribute is not possible")]
    XattrName,
    /// A device number beyond what Linux keeps: 12 bits of major, 20 bits of minor.
    #[error("its device number is not possible")]
    Device,
}

/// One of [`Limits`](crate::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// `tar_bytes`
    TarBytes,
    /// `entries`
    Entries,
    /// `index_bytes`
    IndexBytes,
    /// `path_bytes`
    PathBytes,
    /// `path_depth`
    PathDepth,
    /// `file_bytes`
    FileBytes,
    /// `extents`
    Extents,
    /// `xattr_bytes`
    XattrBytes,
    /// `xattrs`
    Xattrs,
    /// `metadata_bytes`
    MetadataBytes,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TarBytes => "bytes of decompressed tar",
            Self::Entries => "entries",
            Self::IndexBytes => "bytes of index",
            Self::PathBytes => "bytes in a path",
            Self::PathDepth => "names in a path",
            Self::FileBytes => "bytes in a file",
            Self::Extents => "extents",
            Self::XattrBytes => "bytes of extended attributes",
            Self::Xattrs => "extended attributes",
            Self::MetadataBytes => "bytes of extended header",
        })
    }
}

/// What is wrong with a pack's index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexProblem {
    /// It does not begin as an index does.
    #[error("it is not the index of a pack")]
    Magic,
    /// It is of a version that this program does not read.
    #[error("it is of version {0}, which is not supported")]
    Version(u32),
    /// Its digest is wrong.
    #[error("its digest is wrong")]
    Digest,
    /// Its digest is right, and yet it cannot be decoded.
    #[error("it cannot be decoded")]
    Body(#[source] postcard::Error),
    /// It says something that no pack says.
    #[error("its entry number {0} is not possible")]
    Entry(u64),
    /// The contents that it describes are not as long as the data file.
    #[error("it describes {described} bytes of data where there are {actual}")]
    DataLength {
        /// By the index.
        described: u64,
        /// The data file's size.
        actual: u64,
    },
}

/// What is wrong with a pack's data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataProblem {
    /// An entry's contents have another checksum than when they were packed.
    #[error("the contents of {0} have changed")]
    Checksum(offshoot_tree::TreePath),
}
