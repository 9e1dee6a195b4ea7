use std::io;
use std::path::{Path, PathBuf};

/// Why an overlay could not be made, inspected, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused. Says nothing about what the file holds.
    #[error("cannot {operation} {}{}", path.display(), at(*.offset))]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// At which byte; of the guest's disk where that was read or written, else of the file.
        offset: Option<u64>,
        /// Why not.
        source: io::Error,
    },
    /// The file is not a valid qcow2 image: damaged, or something else.
    #[error("{} is not a valid qcow2 image", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        reason: Corruption,
    },
    /// A valid image with something that this crate does not do.
    #[error("{} is a qcow2 image of a kind that is not supported", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it has.
        #[source]
        feature: Unsupported,
    },
    /// A backing file's name that a header cannot hold.
    #[error("the backing file's name is {bytes} bytes long, not 1 to {limit}, or has a NUL byte")]
    BackingName {
        /// Its length.
        bytes: usize,
        /// The longest possible.
        limit: usize,
    },
    /// A virtual size that an overlay cannot have.
    #[error(
        "{} cannot have {requested_bytes} bytes: only multiples of 512 from {minimum_bytes} to {maximum_bytes}",
        path.display()
    )]
    Size {
        /// The overlay.
        path: PathBuf,
        /// What was asked for.
        requested_bytes: u64,
        /// The smallest possible: an overlay never shrinks.
        minimum_bytes: u64,
        /// The largest possible: what the overlay's first table has room for.
        maximum_bytes: u64,
    },
    /// A range that is not within the guest's disk.
    #[error("{length} bytes at {offset} are not within {}, which has {size_bytes} bytes", path.display())]
    OutOfBounds {
        /// The overlay.
        path: PathBuf,
        /// Where the range begins.
        offset: u64,
        /// Its length.
        length: u64,
        /// The guest's disk.
        size_bytes: u64,
    },
    /// Something was to be written through an overlay that is open for reading.
    #[error("{} is open for reading only", path.display())]
    ReadOnly {
        /// The overlay.
        path: PathBuf,
    },
}

fn at(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| format!(" at byte {offset}"))
}

impl Error {
    /// For `map_err`: what was tried, and on what.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_owned(), offset: None, source }
    }

    /// The same, and where.
    pub(crate) fn io_at(operation: &'static str, path: &Path, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_owned(), offset: Some(offset), source }
    }
}

/// What is wrong with a file that should be a qcow2 image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// It ends within its header.
    #[error("it ends after {bytes} bytes, within its header")]
    TooShort {
        /// Its length.
        bytes: u64,
    },
    /// It does not begin as qcow2 images do.
    #[error("it begins with {found:#010x}, not as a qcow2 image does")]
    Magic {
        /// What it begins with.
        found: u32,
    },
    /// A version that there is not.
    #[error("its version is {found}")]
    Version {
        /// The version.
        found: u32,
    },
    /// Features without which it must not be opened, and which nobody knows.
    #[error("it has unknown incompatible features {bits:#x}")]
    UnknownFeatures {
        /// The unknown ones, as bits.
        bits: u64,
    },
    /// A field with a value that it cannot have.
    #[error("the header's field {field} cannot be {value}")]
    Field {
        /// Its name in the specification.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A table or name that is not where one can be.
    #[error("the {what} at byte {offset}, {length} bytes long, does not lie where it could")]
    Place {
        /// What.
        what: &'static str,
        /// Where it begins.
        offset: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// A backing file's name or format that is not text.
    #[error("the backing file's {what} is not valid UTF-8")]
    NotUtf8 {
        /// `name` or `format`.
        what: &'static str,
    },
    /// Extensions of the header that do not end, or not where they say.
    #[error("the header extension at byte {offset} is malformed")]
    Extension {
        /// Where it begins.
        offset: u64,
    },
    /// A table's entry that points to where nothing can be.
    #[error("the {table} table's entry for the guest's byte {guest_offset} is {entry:#018x}")]
    Entry {
        /// `L1`, `L2` or `refcount`.
        table: &'static str,
        /// What the entry is for; for the refcount table a byte of the file.
        guest_offset: u64,
        /// The entry.
        entry: u64,
    },
    /// Something in the tables that the reader of the guest's view stumbled over.
    #[error("its tables are damaged: {0}")]
    Tables(String),
}

/// What a valid image can have, but this crate does not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// Version 2, before 2012.
    #[error("it has version 2")]
    Version2,
    /// Its data is encrypted.
    #[error("it is encrypted")]
    Encryption,
    /// Its data lies in another file.
    #[error("its data lies in an external file")]
    ExternalData,
    /// Compressed clusters by another method than deflate.
    #[error("its compressed clusters are not deflated")]
    CompressionType,
    /// Subclusters.
    #[error("it has extended L2 entries")]
    ExtendedL2,
    /// Its reference counts may be wrong: its last writer did not end cleanly.
    #[error("it is marked dirty; `qemu-img check -r all` mends it")]
    Dirty,
    /// Its last writer found it damaged.
    #[error("it is marked corrupt; `qemu-img check` says how")]
    MarkedCorrupt,
    /// Written to only: it has internal snapshots.
    #[error("it has internal snapshots, and can be read only")]
    Snapshots,
    /// Written to only: its reference counts do not have 16 bits.
    #[error("its reference counts have {bits} bits, and it can be read only")]
    RefcountBits {
        /// How many they have.
        bits: u64,
    },
    /// Written to only: its refcount table is full.
    #[error("its refcount table has no room for a file of {bytes} bytes")]
    RefcountTableFull {
        /// What the file would have.
        bytes: u64,
    },
}
