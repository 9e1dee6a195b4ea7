use std::io;

use offshoot_store::DigestError;

use crate::{MAX_DOCUMENT_SIZE, PlatformError};

/// How a document or archive breaks its specification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Not JSON, or not of the form that the specification gives.
    #[error("it cannot be parsed")]
    Json(#[source] serde_json::Error),
    /// A document beyond [`MAX_DOCUMENT_SIZE`].
    #[error("it is larger than {MAX_DOCUMENT_SIZE} bytes")]
    TooLarge,
    /// `schemaVersion` is not 2.
    #[error("its schemaVersion is {}, not 2", .0.map_or("missing".to_owned(), |version| version.to_string()))]
    SchemaVersion(Option<u64>),
    /// `imageLayoutVersion` is not one this version knows.
    #[error("its imageLayoutVersion is {0:?}, not 1.0.0")]
    LayoutVersion(String),
    /// The document and what led to it disagree about its type.
    #[error("it says that it is {document}, and its descriptor says {descriptor}")]
    MediaType {
        /// The document's `mediaType`.
        document: String,
        /// The descriptor's.
        descriptor: String,
    },
    /// Both `manifests` and `config` or `layers`: a manifest or an index, as one reads it.
    #[error("it has both the fields of a manifest and those of an index")]
    Ambiguous,
    /// Its fields are not those of its media type.
    #[error("it has no {0:?}")]
    Field(&'static str),
    /// A digest that is not one.
    #[error("it names an impossible digest")]
    Digest(#[source] DigestError),
    /// More entries than this version reads.
    #[error("it lists {count} {what}, more than {limit}")]
    TooMany {
        /// `layers`.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many at most.
        limit: usize,
    },
    /// Indexes within indexes.
    #[error("its indexes are nested more than {0} deep")]
    Nested(usize),
    /// Manifest and config disagree.
    #[error("its manifest has {layers} layers, and its config has {diff_ids} diff_ids")]
    LayerCount {
        /// In the manifest.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
    /// `rootfs.type` is not `layers`.
    #[error("its rootfs is of the type {0:?}, not \"layers\"")]
    RootfsType(String),
    /// `os` and `architecture` are no platform.
    #[error("its platform is impossible")]
    Platform(#[source] PlatformError),
    /// A tar header that is not one.
    #[error("it has no tar header at byte {offset}, where one must be")]
    TarHeader {
        /// From the archive's start.
        offset: u64,
    },
    /// A tar extension that is not one, or a huge one.
    #[error("it has an impossible tar extension at byte {offset}")]
    TarExtension {
        /// From the archive's start.
        offset: u64,
    },
    /// The archive ends before what it holds.
    #[error("it is cut short at {size} bytes")]
    Truncated {
        /// The archive's.
        size: u64,
    },
    /// A link of an archive that leads to a link, and so on.
    #[error("its {name:?} is a link behind more than {limit} others")]
    Links {
        /// Where it was left.
        name: String,
        /// How many are followed.
        limit: usize,
    },
    /// A compressed archive that cannot be decompressed.
    #[error("it cannot be decompressed")]
    Compressed(#[source] io::Error),
    /// An archive from a stream, or a compressed one, beyond the bound.
    #[error("it has more than {limit} bytes once decompressed")]
    HugeArchive {
        /// The bound: [`SourceOptions::spool_bytes`](crate::SourceOptions::spool_bytes).
        limit: u64,
    },
}
