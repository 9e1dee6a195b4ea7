use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use offshoot_store::{Digest, DigestError};

use crate::{Reference, ReferenceError};

/// What a person names an image by: a reference, or a transport and what it needs (`oci:DIR:TAG`).
///
/// A text that starts with a transport's name and a colon is that transport; `docker://` forces a reference.
/// The first colon after a transport ends its path, as skopeo has it, so such a path has none.
/// [`Display`](fmt::Display) gives a text that parses to the same name, if its path is UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ImageName {
    /// `alpine`, `docker://alpine`: in a registry.
    Registry(Reference),
    /// `oci:DIR[:TAG][@DIGEST]`: in an OCI image layout.
    OciLayout {
        /// The layout.
        directory: PathBuf,
        /// Which image of it.
        tag: Option<String>,
        /// Which manifest or index of it; decides, whatever the tag is.
        digest: Option<Digest>,
    },
    /// `oci-archive:FILE[:TAG][@DIGEST]`: in a tar of an OCI image layout.
    OciArchive {
        /// The archive.
        file: PathOrStdin,
        /// Which image of it.
        tag: Option<String>,
        /// Which manifest or index of it; decides, whatever the tag is.
        digest: Option<Digest>,
    },
    /// `docker-archive:FILE[:TAG]`: what `docker save` writes.
    DockerArchive {
        /// The archive.
        file: PathOrStdin,
        /// Which image of it.
        tag: Option<String>,
    },
    /// `docker-daemon:NAME`: in a local Docker.
    DockerDaemon(String),
    /// `containers-storage:NAME`: where podman and buildah keep images.
    ContainersStorage(String),
    /// `dockerfile:DIR`: yet to be built from that directory.
    Dockerfile(PathBuf),
    /// `dir:DIR`: a directory of the host, as one layer.
    Directory(PathBuf),
    /// `tar:FILE`: a tarball of a root filesystem, as one layer.
    Tar(PathOrStdin),
    /// `scratch:`: nothing.
    Scratch,
}

/// A file, or standard input, written `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathOrStdin {
    /// A file; one called `-` is `./-`.
    Path(PathBuf),
    /// Standard input.
    Stdin,
}

/// A text that is not an [`ImageName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} does not name an image")]
pub struct ImageNameError {
    /// The text.
    pub name: String,
    /// What is wrong with it.
    #[source]
    pub problem: ImageNameProblem,
}

/// What an [`ImageNameError`] is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageNameProblem {
    /// A transport alone.
    #[error("it must be {0}")]
    Form(&'static str),
    /// A path with a NUL byte, which no system call takes.
    #[error("its path has a NUL byte")]
    Nul,
    /// `oci:DIR:`.
    #[error("its tag is empty")]
    EmptyTag,
    /// `@` and what is not a digest.
    #[error("its digest cannot be used")]
    Digest(#[source] DigestError),
    /// No transport, and not a reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

impl ImageName {
    /// The one text for whatever this names, wherever the process stands: paths are absolute, without `.`, `..`
    /// and symbolic links as far as they exist.
    ///
    /// Fails where the path is not UTF-8, has a colon before a place for a tag, or is relative to a directory that
    /// the process cannot name.
    pub fn canonical(&self) -> io::Result<String> {
        let canonical = match self {
            Self::OciLayout { directory, tag, digest } => Self::OciLayout {
                directory: absolute_without_colon(directory)?,
                tag: tag.clone(),
                digest: *digest,
            },
            Self::OciArchive { file: PathOrStdin::Path(file), tag, digest } => Self::OciArchive {
                file: PathOrStdin::Path(absolute_without_colon(file)?),
                tag: tag.clone(),
                digest: *digest,
            },
            Self::DockerArchive { file: PathOrStdin::Path(file), tag } => Self::DockerArchive {
                file: PathOrStdin::Path(absolute_without_colon(file)?),
                tag: tag.clone(),
            },
            Self::Dockerfile(directory) => Self::Dockerfile(absolute(directory)?),
            Self::Directory(directory) => Self::Directory(absolute(directory)?),
            Self::Tar(PathOrStdin::Path(file)) => Self::Tar(PathOrStdin::Path(absolute(file)?)),
            other => other.clone(),
        };
        Ok(canonical.to_string())
    }

    fn parse(text: &str) -> Result<Self, ImageNameProblem> {
        if let Some(reference) = text.strip_prefix("docker://") {
            return Ok(Self::Registry(reference.parse()?));
        }
        let Some((transport, rest)) = text.split_once(':') else {
            return Ok(Self::Registry(text.parse()?));
        };
        if rest.contains('\0') {
            return Err(ImageNameProblem::Nul);
        }
        let some = |form: &'static str| match rest {
            "" => Err(ImageNameProblem::Form(form)),
            rest => Ok(rest),
        };
        Ok(match transport {
            "oci" => {
                let (directory, tag, digest) = split_layout(rest, "oci:DIR[:TAG][@DIGEST]")?;
                Self::OciLayout { directory: directory.into(), tag, digest }
            }
            "oci-archive" => {
                let (file, tag, digest) = split_layout(rest, "oci-archive:FILE[:TAG][@DIGEST]")?;
                Self::OciArchive { file: file.into(), tag, digest }
            }
            "docker-archive" => {
                let (file, tag) = split_tag(rest, "docker-archive:FILE[:TAG]")?;
                Self::DockerArchive { file: file.into(), tag }
            }
            "docker-daemon" => Self::DockerDaemon(some("docker-daemon:NAME")?.to_owned()),
            "containers-storage" => Self::ContainersStorage(some("containers-storage:NAME")?.to_owned()),
            "dockerfile" => Self::Dockerfile(some("dockerfile:DIR")?.into()),
            "dir" => Self::Directory(some("dir:DIR")?.into()),
            "tar" => Self::Tar(some("tar:FILE")?.into()),
            "scratch" if rest.is_empty() => Self::Scratch,
            "scratch" => return Err(ImageNameProblem::Form("scratch: alone")),
            _ => Self::Registry(text.parse()?),
        })
    }
}

type LayoutParts<'a> = (&'a str, Option<String>, Option<Digest>);

fn split_layout<'a>(rest: &'a str, form: &'static str) -> Result<LayoutParts<'a>, ImageNameProblem> {
    // Only what looks like a digest is one: tags and directories may have an at sign.
    let (rest, digest) = match rest.rsplit_once('@') {
        Some((rest, digest)) if digest.contains(':') && !digest.contains('/') => {
            (rest, Some(digest.parse().map_err(ImageNameProblem::Digest)?))
        }
        _ => (rest, None),
    };
    let (path, tag) = split_tag(rest, form)?;
    Ok((path, tag, digest))
}

fn split_tag<'a>(rest: &'a str, form: &'static str) -> Result<(&'a str, Option<String>), ImageNameProblem> {
    let (path, tag) = match rest.split_once(':') {
        Some((_, "")) => return Err(ImageNameProblem::EmptyTag),
        Some((path, tag)) => (path, Some(tag.to_owned())),
        None => (rest, None),
    };
    if path.is_empty() {
        return Err(ImageNameProblem::Form(form));
    }
    Ok((path, tag))
}

fn absolute(path: &Path) -> io::Result<PathBuf> {
    // What is wrong with the path is said better by whoever opens it.
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(_) => std::path::absolute(path)?,
    };
    if path.to_str().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8"));
    }
    Ok(path)
}

fn absolute_without_colon(path: &Path) -> io::Result<PathBuf> {
    let path = absolute(path)?;
    if path.to_string_lossy().contains(':') {
        let message = "the path has a colon, which would start a tag";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(path)
}

impl FromStr for ImageName {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, ImageNameError> {
        Self::parse(text).map_err(|problem| ImageNameError { name: text.to_owned(), problem })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => {
                // A registry called `oci:5000` must not turn into a directory.
                let text = reference.to_string();
                let plain = Self::parse(&text).as_ref() == Ok(self);
                write!(f, "{}{text}", if plain { "" } else { "docker://" })
            }
            Self::OciLayout { directory, tag, digest } => {
                write!(f, "oci:{}", directory.display())?;
                write_selection(f, tag.as_deref(), *digest)
            }
            Self::OciArchive { file, tag, digest } => {
                write!(f, "oci-archive:{file}")?;
                write_selection(f, tag.as_deref(), *digest)
            }
            Self::DockerArchive { file, tag } => {
                write!(f, "docker-archive:{file}")?;
                write_selection(f, tag.as_deref(), None)
            }
            Self::DockerDaemon(name) => write!(f, "docker-daemon:{name}"),
            Self::ContainersStorage(name) => write!(f, "containers-storage:{name}"),
            Self::Dockerfile(directory) => write!(f, "dockerfile:{}", directory.display()),
            Self::Directory(directory) => write!(f, "dir:{}", directory.display()),
            Self::Tar(file) => write!(f, "tar:{file}"),
            Self::Scratch => f.write_str("scratch:"),
        }
    }
}

fn write_selection(f: &mut fmt::Formatter<'_>, tag: Option<&str>, digest: Option<Digest>) -> fmt::Result {
    if let Some(tag) = tag {
        write!(f, ":{tag}")?;
    }
    match digest {
        Some(digest) => write!(f, "@{digest}"),
        None => Ok(()),
    }
}

impl From<&str> for PathOrStdin {
    fn from(text: &str) -> Self {
        match text {
            "-" => Self::Stdin,
            path => Self::Path(path.into()),
        }
    }
}

impl fmt::Display for PathOrStdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) if path.as_os_str() == "-" => f.write_str("./-"),
            Self::Path(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("-"),
        }
    }
}

impl PathOrStdin {
    /// How errors call it.
    pub(crate) fn place(&self) -> &Path {
        match self {
            Self::Path(path) => path,
            Self::Stdin => Path::new("standard input"),
        }
    }
}
