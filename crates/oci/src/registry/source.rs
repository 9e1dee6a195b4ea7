use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use offshoot_store::{Digest, Expected};

use super::blob::Blob;
use super::hosts;
use super::options::RegistryOptions;
use super::repository::{Fetched, Repository};
use crate::image_search::{Documents, Search};
use crate::{Descriptor, Error, ImageSource, Missing, Platform, Reference, SourceImage};

/// An image in a registry.
#[derive(Debug)]
pub(crate) struct RegistrySource {
    repository: Arc<Repository>,
    partials: Option<PathBuf>,
}

/// The documents of one image; the one that was asked for is at hand.
struct Found<'a> {
    repository: &'a Repository,
    root: &'a Fetched,
}

impl RegistrySource {
    /// Finds out which hosts have it; none is asked yet.
    pub(crate) fn open(reference: &Reference, options: &RegistryOptions) -> Result<Self, Error> {
        let repository = hosts::repository(reference, options)?;
        Ok(Self { repository: Arc::new(repository), partials: options.partials.clone() })
    }

    fn find(&self, platform: &Platform) -> Result<SourceImage, Error> {
        let reference = &self.repository.reference;
        let name = match reference.digest() {
            Some(digest) => self.repository.named(&format!("the manifest {digest}")),
            None => reference.to_string(),
        };
        let root = self.repository.manifest(&name, reference.digest(), None)?;
        let found = Found { repository: &self.repository, root: &root };
        let search = Search { documents: &found, platform };
        let resolved = search.root(&name, root.digest, &root.bytes, root.media_type.as_deref())?;
        Ok(resolved.into_image())
    }
}

impl ImageSource for RegistrySource {
    /// The tag is asked for once: all that follows goes by digest, so that a tag which moves meanwhile does not mix
    /// two images.
    fn resolve(&self, platform: &Platform) -> Result<SourceImage, Error> {
        self.find(platform).map_err(|error| self.repository.discreet(error))
    }

    fn open_layer(&self, image: &SourceImage, index: usize) -> Result<Box<dyn Read + Send>, Error> {
        let expected = image.layers.get(index).map(|layer| layer.expected).unwrap_or_default();
        let (Some(digest), Some(size)) = (expected.digest, expected.size) else {
            return Err(Missing::Layer(index).into());
        };
        let mut blob = Blob::new(Arc::clone(&self.repository), digest, size, self.partials.as_deref());
        blob.start().map_err(|error| self.repository.discreet(error))?;
        Ok(Box::new(blob))
    }
}

impl Documents for Found<'_> {
    fn place(&self) -> String {
        self.repository.reference.to_string()
    }

    fn manifest(&self, what: &str, digest: Digest, size: Option<u64>) -> Result<(String, Vec<u8>), Error> {
        let name = self.repository.named(&format!("{what} {digest}"));
        if digest == self.root.digest {
            return Ok((name, self.root.bytes.clone()));
        }
        let bytes = self.repository.manifest(&name, Some(digest), size)?.bytes;
        Ok((name, bytes))
    }

    fn config(&self, digest: Digest, size: u64) -> Result<(String, Vec<u8>), Error> {
        let name = self.repository.named(&format!("the config {digest}"));
        let bytes = self.repository.document(&name, Expected { digest: Some(digest), size: Some(size) })?;
        Ok((name, bytes))
    }

    fn ambiguous(&self, roots: &[&Descriptor]) -> Error {
        let available = roots.iter().map(|root| format!("@{}", root.digest)).collect();
        Error::Ambiguous { place: PathBuf::from(self.place()), available }
    }
}
