use std::io;
use std::path::{Path, PathBuf};

use offshoot_store::{Digest, DigestError, VerifyError};
use offshoot_tree::TreePath;

use crate::{MAX_DOCUMENT_SIZE, Platform, PlatformError};

/// Why an image cannot be had from its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host's filesystem said no.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried: `open`, `read`.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was named is not there.
    #[error(transparent)]
    NotFound(#[from] Missing),
    /// What was named is there, and is not what it should be.
    #[error("{} is {found}, where {expected} is needed", path.display())]
    WrongKind {
        /// Where it is.
        path: PathBuf,
        /// `a directory`.
        expected: &'static str,
        /// `a regular file`.
        found: &'static str,
    },
    /// The name fits several images.
    #[error("{} has several images that fit, name one of: {}", place.display(), available.join(", "))]
    Ambiguous {
        /// The layout or archive.
        place: PathBuf,
        /// Their tags, or digests as `@sha256:…` where they have none.
        available: Vec<String>,
    },
    /// A document or an archive breaks its specification.
    #[error("{document} is malformed")]
    Malformed {
        /// Which.
        document: String,
        /// How.
        #[source]
        problem: Malformed,
    },
    /// A well-formed thing that this version does not read.
    #[error("cannot use {what}")]
    Unsupported {
        /// Which.
        what: String,
        /// Why.
        #[source]
        reason: Unsupported,
    },
    /// The image is for other platforms.
    #[error("{}", no_platform(wanted, available))]
    NoPlatform {
        /// What was asked for.
        wanted: Platform,
        /// What there is.
        available: Vec<Platform>,
    },
    /// Bytes that are not what their descriptor promised.
    #[error("{what} is not what its descriptor promised")]
    Verify {
        /// Which manifest, config or layer.
        what: String,
        /// The difference.
        source: VerifyError,
    },
    /// A stream that can be read once only was asked for again.
    #[error("{} has been read already, and can be read only once", path.display())]
    AlreadyRead {
        /// `standard input`, or a pipe's path.
        path: PathBuf,
    },
    /// A file or directory changed while it was read.
    #[error("{} changed while it was being read", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// A host file's name begins with `.wh.`: in a layer it would delete another file.
    #[error("{} cannot be put into a layer: there, a name that begins with .wh. deletes a file", path.display())]
    WhiteoutName {
        /// Which.
        path: PathBuf,
    },
    /// An extended attribute's name has a `=`, with which tar ends names.
    #[error("the extended attribute {name:?} of {} cannot be put into a layer: its name has a \"=\"", path.display())]
    XattrName {
        /// Whose.
        path: PathBuf,
        /// The attribute's name.
        name: String,
    },
    /// A host file that cannot be put where it was to go.
    #[error("cannot inject {} as {destination}", source_path.display())]
    Injection {
        /// The host's file.
        source_path: PathBuf,
        /// Where it was to go.
        destination: TreePath,
        /// Why not.
        #[source]
        problem: InjectionRefusal,
    },
}

/// Why a host file cannot be injected in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InjectionRefusal {
    /// Only a directory can be the image's root.
    #[error("only a directory can be the image's root")]
    FileAsRoot,
    /// A mode with a directory would not say for which files it is meant.
    #[error("it is a directory, and a mode can only be given for a file")]
    ModeOfDirectory,
    /// A device, pipe or socket.
    #[error("only files and directories can be injected")]
    NeitherFileNorDirectory,
    /// A component of the destination begins with `.wh.`.
    #[error("in a layer, a name that begins with .wh. deletes a file")]
    WhiteoutName,
}

/// What is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// A file or directory of the host.
    #[error("{} does not exist", .0.display())]
    Path(PathBuf),
    /// The directory or archive lacks `oci-layout` or `index.json`.
    #[error("{} is not an OCI image layout: it has no {file}", place.display())]
    Layout {
        /// The directory or archive.
        place: PathBuf,
        /// The file that is missing.
        file: &'static str,
    },
    /// No image has that tag.
    #[error("{} has no image tagged {tag:?}, {}", place.display(), listed(available))]
    Tag {
        /// The layout or archive.
        place: PathBuf,
        /// What was asked for.
        tag: String,
        /// The tags it has.
        available: Vec<String>,
    },
    /// The layout is empty.
    #[error("{} has no image", .0.display())]
    Image(PathBuf),
    /// A blob that something names.
    #[error("{} has no blob {digest}", place.display())]
    Blob {
        /// The layout or archive.
        place: PathBuf,
        /// Which.
        digest: Digest,
    },
    /// The image has fewer layers.
    #[error("the image has no layer {0}")]
    Layer(usize),
}

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
}

/// What this version does not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// A source that comes later.
    #[error(
        "{0} are not among this version's sources, which are oci:, oci-archive:, dir:, tar: and scratch:"
    )]
    Source(&'static str),
    /// Docker's first manifest format.
    #[error("it is a Docker schema 1 manifest, which is obsolete; push the image again with a current tool")]
    Schema1,
    /// Neither a manifest nor an index.
    #[error("it is of the type {0}, not an image manifest or index")]
    ManifestMediaType(String),
    /// An artifact: a chart, a signature, a bill of materials.
    #[error("it is an artifact of the type {0}, not an image")]
    Artifact(String),
    /// A layer that is not a tar.
    #[error(
        "a layer's media type is {0:?}; known are tar, tar+gzip and tar+zstd as {prefix} and Docker's \
         image.rootfs.diff.tar, .tar.gzip and .tar.zstd",
        prefix = "application/vnd.oci.image.layer.v1.tar…"
    )]
    LayerMediaType(String),
    /// A layer that is not distributed with its image.
    #[error("its layer {digest} is not distributed with the image{}", at_urls(urls))]
    ForeignLayer {
        /// Which.
        digest: String,
        /// Where it is, says the manifest.
        urls: Vec<String>,
    },
    /// A tarball in a compression that layers cannot have.
    #[error("it is compressed with {0}, which layers cannot be; plain tars, gzip and zstd can be used")]
    Compression(&'static str),
    /// A compressed archive, in which no blob can be found by its place.
    #[error("it is compressed with {0}; decompress it first, for instance into oci-archive:-")]
    CompressedArchive(&'static str),
    /// A blob named by another algorithm than SHA-256.
    #[error("it names a digest of another kind")]
    Digest(#[source] DigestError),
}

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The host's filesystem said no, or something changed underneath.
    Io,
    /// What was named does not exist, or not for this platform.
    NotFound,
    /// The name or the injection must be put otherwise.
    Usage,
    /// The image is not what it claims to be, or breaks its specification.
    Integrity,
    /// A later version may read it.
    Unsupported,
}

impl Error {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } | Self::Changed { .. } => ErrorKind::Io,
            Self::NotFound(_) | Self::NoPlatform { .. } => ErrorKind::NotFound,
            Self::WrongKind { .. }
            | Self::Ambiguous { .. }
            | Self::AlreadyRead { .. }
            | Self::WhiteoutName { .. }
            | Self::XattrName { .. }
            | Self::Injection { .. } => ErrorKind::Usage,
            Self::Malformed { .. } | Self::Verify { .. } => ErrorKind::Integrity,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
        }
    }

    /// For `map_err`: a missing file becomes [`Missing::Path`], the rest [`Error::Io`].
    pub(crate) fn io<E: Into<io::Error>>(operation: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |error| {
            let source = error.into();
            if source.kind() == io::ErrorKind::NotFound {
                return Missing::Path(path.to_owned()).into();
            }
            Self::Io { operation, path: path.to_owned(), source }
        }
    }

    /// For `map_err`.
    pub(crate) fn malformed(document: &str) -> impl FnOnce(Malformed) -> Self {
        move |problem| Self::Malformed { document: document.to_owned(), problem }
    }

    pub(crate) fn unsupported(what: &str, reason: Unsupported) -> Self {
        Self::Unsupported { what: what.to_owned(), reason }
    }
}

fn no_platform(wanted: &Platform, available: &[Platform]) -> String {
    match available {
        [] => format!("there is no image for {wanted}"),
        [only] => format!("the image is {only}, not {wanted}"),
        several => format!(
            "there is no image for {wanted}, only for {}",
            several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn listed(available: &[String]) -> String {
    match available {
        [] => "nor any other tag".to_owned(),
        tags => format!("only {}", tags.join(", ")),
    }
}

fn at_urls(urls: &[String]) -> String {
    match urls {
        [] => String::new(),
        urls => format!(", but said to be at {}", urls.join(", ")),
    }
}
