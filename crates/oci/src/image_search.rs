use std::collections::HashSet;

use offshoot_store::{Digest, Expected};

use crate::{
    Descriptor, Document, Error, ImageConfig, ImageManifest, LayerSource, MAX_MANIFESTS, Malformed, Manifest,
    Platform, SourceImage, media_type,
};

/// An index may hold indexes; no tool nests them deeper than twice.
const MAX_DEPTH: usize = 4;
/// How many images that their index does not describe are looked into for their platform.
const MAX_UNDESCRIBED: usize = 64;

/// Where manifests and configs are had from: a layout's blobs, or a registry.
pub(crate) trait Documents {
    /// The directory, archive or repository, for errors.
    fn place(&self) -> String;
    /// A manifest or index, verified, and how errors call it; `what` is `the manifest` or `the index`.
    fn manifest(&self, what: &str, digest: Digest, size: Option<u64>) -> Result<(String, Vec<u8>), Error>;
    /// A config, verified, and how errors call it.
    fn config(&self, digest: Digest, size: u64) -> Result<(String, Vec<u8>), Error>;
    /// The error for several of the roots that fit.
    fn ambiguous(&self, roots: &[&Descriptor]) -> Error;
}

/// Finds images among what indexes lead to.
pub(crate) struct Search<'a, D> {
    pub(crate) documents: &'a D,
    pub(crate) platform: &'a Platform,
}

/// An image that an index leads to.
struct Candidate {
    descriptor: Descriptor,
    /// Which root led here.
    root: usize,
}

/// A manifest and its config, both read and verified.
pub(crate) struct Resolved {
    manifest: Document,
    parsed: ImageManifest,
    config: Document,
    image_config: ImageConfig,
}

impl Resolved {
    /// What a source gives of it.
    pub(crate) fn into_image(self) -> SourceImage {
        let layers = self
            .parsed
            .layers
            .into_iter()
            .zip(self.image_config.diff_ids)
            .map(|(layer, diff_id)| LayerSource {
                media_type: Some(layer.media_type),
                expected: Expected { digest: Some(layer.digest), size: Some(layer.size) },
                diff_id: Some(diff_id),
            })
            .collect();
        SourceImage { manifest: Some(self.manifest), config: Some(self.config), layers }
    }
}

impl<D: Documents> Search<'_, D> {
    /// All images below some roots, in order. Each index is read once, so that indexes
    /// that name each other over and over cost no more than their blobs.
    fn candidates(&self, roots: &[&Descriptor]) -> Result<Vec<Candidate>, Error> {
        let mut seen = HashSet::new();
        let mut candidates = Vec::new();
        let mut pending: Vec<(Candidate, usize)> = roots
            .iter()
            .enumerate()
            .map(|(root, descriptor)| (Candidate { descriptor: (*descriptor).clone(), root }, 0))
            .rev()
            .collect();
        while let Some((candidate, depth)) = pending.pop() {
            let Candidate { descriptor, root } = &candidate;
            if media_type::is_manifest(&descriptor.media_type) {
                candidates.push(candidate);
            } else if seen.insert(descriptor.digest) {
                let (name, bytes) =
                    self.documents.manifest("the index", descriptor.digest, Some(descriptor.size))?;
                if depth == MAX_DEPTH {
                    return Err(Error::malformed(&name)(Malformed::Nested(MAX_DEPTH)));
                }
                match Manifest::parse(&bytes, &name, Some(&descriptor.media_type))? {
                    Manifest::Image(_) => candidates.push(candidate),
                    Manifest::Index(index) => {
                        let inherited = &descriptor.platform;
                        pending.extend(index.manifests.into_iter().rev().map(|mut child| {
                            child.platform = child.platform.or_else(|| inherited.clone());
                            (Candidate { descriptor: child, root: *root }, depth + 1)
                        }));
                    }
                }
            }
            let count = candidates.len() + pending.len();
            if count > MAX_MANIFESTS {
                let problem = Malformed::TooMany { what: "manifests", count, limit: MAX_MANIFESTS };
                return Err(Error::malformed(&self.documents.place())(problem));
            }
        }
        Ok(candidates)
    }

    /// The image for the platform among all below some roots.
    ///
    /// What an index says of a platform counts; only images of which it says nothing are asked themselves.
    pub(crate) fn select(&self, roots: &[&Descriptor]) -> Result<Resolved, Error> {
        let candidates = self.candidates(roots)?;
        let mut available: Vec<Platform> = Vec::new();
        let mut fitting: Vec<(u32, &Candidate)> = Vec::new();
        let mut undescribed: Vec<&Candidate> = Vec::new();
        let mut unsupported = None;
        for candidate in &candidates {
            match &candidate.descriptor.platform {
                Some(own) => {
                    fitting.extend(self.platform.distance(own).map(|distance| (distance, candidate)));
                    available.push(own.clone());
                }
                None => undescribed.push(candidate),
            }
        }
        // The nearest of the images that had to be read: it is not read again.
        let mut nearest: Option<(u32, Resolved)> = None;
        if fitting.is_empty() {
            let mut seen = HashSet::new();
            undescribed.retain(|candidate| seen.insert(candidate.descriptor.digest));
            for candidate in undescribed.into_iter().take(MAX_UNDESCRIBED) {
                let image = match self.image(&candidate.descriptor) {
                    Ok(image) => image,
                    // A signature may lie beside the image that it is of.
                    Err(error @ Error::Unsupported { .. }) => {
                        unsupported.get_or_insert(error);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let distance = match &image.image_config.platform {
                    Some(own) => {
                        available.push(own.clone());
                        self.platform.distance(own)
                    }
                    None => Some(u32::MAX),
                };
                if let Some(distance) = distance {
                    fitting.push((distance, candidate));
                    if nearest.as_ref().is_none_or(|(own, _)| distance < *own) {
                        nearest = Some((distance, image));
                    }
                }
            }
        }
        let Some(&(best, chosen)) = fitting.iter().min_by_key(|(distance, _)| *distance) else {
            if let (Some(error), true) = (unsupported, available.is_empty()) {
                return Err(error);
            }
            available.sort();
            available.dedup();
            return Err(Error::NoPlatform { wanted: self.platform.clone(), available });
        };
        let rivals: Vec<&Descriptor> = fitting
            .iter()
            .filter(|(distance, rival)| {
                *distance == best && rival.descriptor.digest != chosen.descriptor.digest
            })
            .filter(|(_, rival)| rival.root != chosen.root)
            .map(|(_, rival)| roots[rival.root])
            .collect();
        if !rivals.is_empty() {
            let all: Vec<_> = std::iter::once(roots[chosen.root]).chain(rivals).collect();
            return Err(self.documents.ambiguous(&all));
        }
        match nearest {
            Some((_, image)) => Ok(image),
            None => self.image(&chosen.descriptor),
        }
    }

    /// What a document leads to that nothing but its own words describe: an image, which must be for the platform
    /// if it says what it is for, or an index. `media_type` is what its server called it, where that is known.
    pub(crate) fn root(
        &self,
        name: &str,
        digest: Digest,
        bytes: &[u8],
        media_type: Option<&str>,
    ) -> Result<Resolved, Error> {
        let descriptor = Descriptor {
            media_type: match Manifest::parse(bytes, name, media_type)? {
                Manifest::Image(image) => image.media_type,
                Manifest::Index(_) => String::new(),
            },
            digest,
            size: bytes.len() as u64,
            platform: None,
            annotations: Default::default(),
        };
        self.select(&[&descriptor])
    }

    fn image(&self, descriptor: &Descriptor) -> Result<Resolved, Error> {
        let (name, bytes) =
            self.documents.manifest("the manifest", descriptor.digest, Some(descriptor.size))?;
        let Manifest::Image(parsed) = Manifest::parse(&bytes, &name, Some(&descriptor.media_type))? else {
            return Err(Error::malformed(&name)(Malformed::Field("config")));
        };
        let manifest = Document { digest: descriptor.digest, media_type: parsed.media_type.clone(), bytes };
        let (name, bytes) = self.documents.config(parsed.config.digest, parsed.config.size)?;
        let image_config = ImageConfig::parse_named(&bytes, &name)?;
        let media_type = match parsed.config.media_type.as_str() {
            "" => media_type::OCI_CONFIG.to_owned(),
            known => known.to_owned(),
        };
        let config = Document { digest: parsed.config.digest, media_type, bytes };
        let (layers, diff_ids) = (parsed.layers.len(), image_config.diff_ids.len());
        if layers != diff_ids {
            let image = format!("the image {}", manifest.digest);
            return Err(Error::malformed(&image)(Malformed::LayerCount { layers, diff_ids }));
        }
        Ok(Resolved { manifest, parsed, config, image_config })
    }
}
