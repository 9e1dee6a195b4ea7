// The structures of the `oci-spec` crate are not used: they reject a whole index for one descriptor with a
// strange digest or platform, reject the `null` that Go writes for an empty list and the config `{}`, and take
// no notice of a document that is both a manifest and an index (CVE-2021-41190).

use std::collections::BTreeMap;

use offshoot_store::{Digest, DigestError};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::{Error, Malformed, Platform, Unsupported, media_type};

pub use crate::index::Index;

/// The most layers of an image that are read.
pub const MAX_LAYERS: usize = 1024;
/// The most manifests of an index that are read.
pub const MAX_MANIFESTS: usize = 10_000;

/// What a reference leads to: one image, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// One image.
    Image(ImageManifest),
    /// Images for several platforms.
    Index(Index),
}

/// The manifest of one image: its config and its layers, of media types that are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageManifest {
    /// Its media type: the document's own, or the descriptor's where that is silent.
    pub media_type: String,
    /// The image's configuration.
    pub config: Descriptor,
    /// Lowest first.
    pub layers: Vec<Descriptor>,
}

/// Names a blob and says what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What the blob is; empty in sloppy documents.
    pub media_type: String,
    /// The blob's digest.
    pub digest: Digest,
    /// The blob's size in bytes.
    pub size: u64,
    /// What the image is for, where it is said and makes sense.
    pub platform: Option<Platform>,
    /// Further facts, such as `org.opencontainers.image.ref.name`.
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads a manifest or index, OCI's or Docker's schema 2. `name` is how errors call it, `descriptor` the media
    /// type that whatever led here promised.
    ///
    /// Refused are documents whose own media type is another, that are both manifest and index, that are
    /// Docker's schema 1, artifacts, and images with layers that are not tars or not distributed.
    pub fn parse(bytes: &[u8], name: &str, descriptor: Option<&str>) -> Result<Self, Error> {
        let raw: RawManifest =
            serde_json::from_slice(bytes).map_err(Malformed::Json).map_err(Error::malformed(name))?;
        raw.check(name, descriptor)
    }
}

/// Every field of manifest and index. An absent list of layers and the `null` that Go writes are the same.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    /// Here `null` is an empty list, and tells an index.
    #[serde(default, deserialize_with = "present")]
    manifests: Option<Vec<RawDescriptor>>,
    fs_layers: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawDescriptor {
    pub(crate) media_type: Option<String>,
    digest: String,
    size: u64,
    urls: Option<Vec<String>>,
    pub(crate) platform: Option<RawPlatform>,
    pub(crate) artifact_type: Option<String>,
    pub(crate) annotations: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Deserialize)]
pub(crate) struct RawPlatform {
    pub(crate) os: Option<String>,
    pub(crate) architecture: Option<String>,
    pub(crate) variant: Option<String>,
}

impl RawManifest {
    fn check(self, name: &str, descriptor: Option<&str>) -> Result<Manifest, Error> {
        let own = self.media_type.as_deref().filter(|own| !own.is_empty());
        let descriptor = descriptor.filter(|descriptor| !descriptor.is_empty());
        if self.schema_version == Some(1)
            || self.fs_layers.is_some()
            || own.or(descriptor).is_some_and(media_type::is_schema_1)
        {
            return Err(Error::unsupported(name, Unsupported::Schema1));
        }
        if let (Some(document), Some(descriptor)) = (own, descriptor)
            && document != descriptor
        {
            let (document, descriptor) = (document.to_owned(), descriptor.to_owned());
            return Err(Error::malformed(name)(Malformed::MediaType { document, descriptor }));
        }
        let media_type = own.or(descriptor).map(str::to_owned);
        if let Some(other) = &media_type
            && !media_type::is_index(other)
            && !media_type::is_manifest(other)
        {
            return Err(Error::unsupported(name, Unsupported::ManifestMediaType(other.clone())));
        }
        if self.schema_version != Some(2) {
            return Err(Error::malformed(name)(Malformed::SchemaVersion(self.schema_version)));
        }
        let of_image = self.config.is_some() || self.layers.is_some();
        if of_image && self.manifests.is_some() {
            return Err(Error::malformed(name)(Malformed::Ambiguous));
        }
        if media_type.as_deref().map_or(!of_image, media_type::is_index) {
            let manifests =
                self.manifests.ok_or(Malformed::Field("manifests")).map_err(Error::malformed(name))?;
            check_count("manifests", manifests.len(), MAX_MANIFESTS).map_err(Error::malformed(name))?;
            return Ok(Manifest::Index(Index::of(manifests)));
        }
        self.image(name, media_type.unwrap_or_else(|| media_type::OCI_MANIFEST.to_owned()))
            .map(Manifest::Image)
    }

    fn image(self, name: &str, media_type: String) -> Result<ImageManifest, Error> {
        let config =
            self.config.ok_or(Malformed::Field("config")).map_err(Error::malformed(name))?.parse(name)?;
        if !config.media_type.is_empty() && !media_type::is_config(&config.media_type) {
            let artifact = self.artifact_type.filter(|own| !own.is_empty()).unwrap_or(config.media_type);
            return Err(Error::unsupported(name, Unsupported::Artifact(artifact)));
        }
        let layers = self.layers.unwrap_or_default();
        check_count("layers", layers.len(), MAX_LAYERS).map_err(Error::malformed(name))?;
        let layers =
            layers.into_iter().map(|layer| layer.parse_layer(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(ImageManifest { media_type, config, layers })
    }
}

impl RawDescriptor {
    /// The descriptor, if its digest is one that can be verified.
    pub(crate) fn checked(self) -> Result<Descriptor, DigestError> {
        Ok(Descriptor {
            digest: self.digest.parse()?,
            media_type: self.media_type.unwrap_or_default(),
            size: self.size,
            platform: self.platform.and_then(RawPlatform::checked),
            annotations: self
                .annotations
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value)| (key, value.unwrap_or_default()))
                .collect(),
        })
    }

    fn parse(self, name: &str) -> Result<Descriptor, Error> {
        self.checked().map_err(|error| match error {
            DigestError::Algorithm(_) => Error::unsupported(name, Unsupported::Digest(error)),
            error => Error::malformed(name)(Malformed::Digest(error)),
        })
    }

    fn parse_layer(mut self, name: &str) -> Result<Descriptor, Error> {
        let media_type = self.media_type.as_deref().unwrap_or_default();
        if media_type::is_foreign_layer(media_type) {
            let urls = self.urls.take().unwrap_or_default();
            return Err(Error::unsupported(name, Unsupported::ForeignLayer { digest: self.digest, urls }));
        }
        if !media_type::is_layer(media_type) {
            return Err(Error::unsupported(name, Unsupported::LayerMediaType(media_type.to_owned())));
        }
        self.parse(name)
    }
}

impl RawPlatform {
    fn checked(self) -> Option<Platform> {
        Platform::new(&self.os?, &self.architecture?, self.variant.as_deref()).ok()
    }
}

/// For a field that is there, be it `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Some(Option::<T>::deserialize(deserializer)?.unwrap_or_default()))
}

fn check_count(what: &'static str, count: usize, limit: usize) -> Result<(), Malformed> {
    if count > limit {
        return Err(Malformed::TooMany { what, count, limit });
    }
    Ok(())
}
