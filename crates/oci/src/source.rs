use std::io::Read;
use std::path::{Path, PathBuf};

use offshoot_store::{Digest, Expected};

use crate::directory_source::DirectorySource;
use crate::docker_archive::DockerArchive;
use crate::layout::Layout;
use crate::layout_archive::LayoutArchive;
use crate::layout_directory::LayoutDirectory;
use crate::layout_selection::Selection;
use crate::local_builder::{LocalOptions, LocalSource, Origin};
use crate::registry::{RegistryOptions, RegistrySource};
use crate::scratch::Scratch;
use crate::spool::{self, Spool};
use crate::tarball::Tarball;
use crate::{Document, Error, ImageName, Platform};

/// Where one image comes from.
pub trait ImageSource: Send + Sync {
    /// Finds the image for a platform.
    ///
    /// `Ok` promises that manifest and config, if there are any, are what their digests say, and that the config
    /// has a `diff_id` for each layer. An image that does not say what it is for fits any platform.
    fn resolve(&self, platform: &Platform) -> Result<SourceImage, Error>;

    /// The stream of one of the image's layers as it lies in the source, compressed or not; its bytes are not
    /// verified yet: whoever reads them holds them against [`LayerSource::expected`].
    ///
    /// Where the stream fails for another reason than the system's, its error's inner one is an [`Error`].
    fn open_layer(&self, image: &SourceImage, index: usize) -> Result<Box<dyn Read + Send>, Error>;
}

/// An image as its source has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceImage {
    /// The manifest, verified; none from `tar:`, `dir:` and `scratch:`.
    pub manifest: Option<Document>,
    /// The config, verified; there if and only if the manifest is.
    pub config: Option<Document>,
    /// Lowest first.
    pub layers: Vec<LayerSource>,
}

/// What is known of a layer before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSource {
    /// What the blob is; from the manifest, or told by its first bytes.
    pub media_type: Option<String>,
    /// The blob's digest and size in bytes, where they are known.
    pub expected: Expected,
    /// The digest of the uncompressed tar, where it is known.
    pub diff_id: Option<Digest>,
}

/// What a source may need.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// A private directory: an archive from standard input or a pipe is kept there, in a file without a name, for as
    /// long as the source is.
    pub spool: PathBuf,
    /// The most bytes of an archive that is kept there, decompressed. Default: 256 GiB.
    pub spool_bytes: u64,
    /// How registries are talked to.
    pub registry: RegistryOptions,
    /// How podman's, buildah's and Docker's programs are run.
    pub local: LocalOptions,
}

impl SourceOptions {
    /// With a directory to spool to, and what is usual otherwise.
    pub fn new(spool: &Path) -> Self {
        Self {
            spool: spool.to_owned(),
            spool_bytes: spool::DEFAULT_LIMIT,
            registry: RegistryOptions::default(),
            local: LocalOptions::default(),
        }
    }
}

/// Opens the source of a named image. No registry is asked and no program is run before the image is resolved.
pub fn open(name: &ImageName, options: &SourceOptions) -> Result<Box<dyn ImageSource>, Error> {
    let spool = &Spool { directory: options.spool.clone(), limit: options.spool_bytes };
    let local = |origin| Box::new(LocalSource::new(name.to_string(), origin, &options.local, spool));
    Ok(match name {
        ImageName::OciLayout { directory, tag, digest } => {
            Box::new(Layout::new(LayoutDirectory::open(directory)?, Selection::new(tag.as_deref(), *digest))?)
        }
        ImageName::OciArchive { file, tag, digest } => {
            Box::new(Layout::new(LayoutArchive::open(file, spool)?, Selection::new(tag.as_deref(), *digest))?)
        }
        ImageName::Directory(directory) => Box::new(DirectorySource::open(directory)?),
        ImageName::Tar(file) => Box::new(Tarball::open(file)?),
        ImageName::Scratch => Box::new(Scratch),
        ImageName::Registry(reference) => Box::new(RegistrySource::open(reference, &options.registry)?),
        ImageName::DockerArchive { file, tag } => Box::new(DockerArchive::open(file, tag.as_deref(), spool)?),
        ImageName::DockerDaemon(name) => local(Origin::DockerDaemon(name.clone())),
        ImageName::ContainersStorage(name) => local(Origin::ContainersStorage(name.clone())),
        ImageName::Dockerfile(directory) => local(Origin::Dockerfile(directory.clone())),
    })
}
