use std::io;
use std::path::{Path, PathBuf};

use offshoot_store::VerifyError;
use offshoot_tree::TreePath;

use crate::{
    CertificateProblem, HostsProblem, InjectionRefusal, Malformed, Missing, Platform, ProgramProblem,
    ReferenceError, RegistryProblem, Unsupported, UrlProblem,
};

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
    /// A registry does not give it.
    #[error("cannot get {what} from {host}{}", after(mirrors))]
    Registry {
        /// The reference, or a manifest, config or layer of its.
        what: String,
        /// Host and port of the last one that was asked.
        host: String,
        /// The mirrors that were asked before, and why they did not help.
        mirrors: Vec<String>,
        /// Why not.
        #[source]
        problem: Box<RegistryProblem>,
    },
    /// A registry's host that is not one.
    #[error("{host:?} cannot be asked")]
    Host {
        /// As it was named.
        host: String,
        /// Why not.
        #[source]
        problem: UrlProblem,
    },
    /// A file of certificates that is of no use.
    #[error("cannot use the certificates in {}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        problem: CertificateProblem,
    },
    /// A `hosts.toml` that is of no use.
    #[error("cannot use {}", path.display())]
    HostsFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        problem: HostsProblem,
    },
    /// Any other of these errors, whose text or fields had in them a secret that a registry was told and has repeated.
    #[error("{text}")]
    Withheld {
        /// What it said, and what its causes said, without the secret.
        text: String,
        /// What it was.
        kind: ErrorKind,
    },
    /// What is not the name of an image, where one must be.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A program of this host does not do its part.
    #[error("{program} cannot {operation} {what}")]
    Program {
        /// Which: `buildah`, `podman`, `skopeo`, `docker`.
        program: &'static str,
        /// `give`, `build`.
        operation: &'static str,
        /// The image, as it was named.
        what: String,
        /// Why not.
        #[source]
        problem: ProgramProblem,
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
    /// Credentials are missing, wrong, or do not suffice.
    Authentication,
    /// The network or a registry does not answer as it should; it may later.
    Unavailable,
    /// Whoever watches said so.
    Interrupted,
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
            Self::Registry { problem, .. } => problem.kind(),
            Self::Program { problem, .. } => problem.kind(),
            Self::Withheld { kind, .. } => *kind,
            Self::Reference(_) => ErrorKind::Usage,
            Self::Host { .. } | Self::Certificate { .. } | Self::HostsFile { .. } => ErrorKind::Usage,
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

fn after(mirrors: &[String]) -> String {
    match mirrors {
        [] => String::new(),
        several => format!(" ({})", several.join("; ")),
    }
}
