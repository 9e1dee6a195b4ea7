use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use offshoot_store::{Digest, Expected, VerifyError};

use crate::file_section::FileSection;
use crate::layout_selection::{self, Selection};
use crate::{
    Descriptor, Document, Error, ImageConfig, ImageManifest, ImageSource, Index, LayerSource, MAX_MANIFESTS,
    Malformed, Manifest, Missing, Platform, SourceImage, document, media_type,
};

/// An index may hold indexes; no tool nests them deeper than twice.
const MAX_DEPTH: usize = 4;
/// How many images that their index does not describe are looked into for their platform.
const MAX_UNDESCRIBED: usize = 64;

/// Where the files of an OCI image layout are: a directory or an archive.
pub(crate) trait LayoutFiles: Send + Sync {
    /// The directory or archive, for errors.
    fn place(&self) -> &Path;
    /// `oci-layout` or `index.json`.
    fn file(&self, name: &'static str) -> Result<FileSection, Error>;
    /// A blob, not verified.
    fn blob(&self, digest: Digest) -> Result<FileSection, Error>;
}

/// An OCI image layout (image-spec, `image-layout.md`), and which image of it is meant.
#[derive(Debug)]
pub(crate) struct Layout<F> {
    files: F,
    index: Index,
    selection: Selection,
}

/// An image that an index leads to.
struct Candidate {
    descriptor: Descriptor,
    /// Which entry of the layout's index led here.
    root: usize,
}

/// A manifest and its config, both read and verified.
struct Resolved {
    manifest: Document,
    parsed: ImageManifest,
    config: Document,
    image_config: ImageConfig,
}

impl<F: LayoutFiles> Layout<F> {
    /// Checks that it is a layout, and reads its index.
    pub(crate) fn new(files: F, selection: Selection) -> Result<Self, Error> {
        let read = |file: &'static str| {
            let name = format!("{} of {}", file, files.place().display());
            let (_, bytes) = document::read(files.file(file)?, Expected::default())
                .map_err(|error| error.named(&name, files.place()))?;
            Ok::<_, Error>((name, bytes))
        };
        let (name, bytes) = read("oci-layout")?;
        check_version(&bytes).map_err(Error::malformed(&name))?;
        let (name, bytes) = read("index.json")?;
        let Manifest::Index(index) = Manifest::parse(&bytes, &name, None)? else {
            return Err(Error::malformed(&name)(Malformed::Field("manifests")));
        };
        Ok(Self { files, index, selection })
    }

    fn place(&self) -> &Path {
        self.files.place()
    }

    /// A verified blob of the bounded size of documents.
    fn document(&self, what: &str, digest: Digest, size: Option<u64>) -> Result<(String, Vec<u8>), Error> {
        let name = format!("{what} {digest}");
        let section = self.files.blob(digest)?;
        let (_, bytes) = document::read(section, Expected { digest: Some(digest), size })
            .map_err(|error| error.named(&name, self.place()))?;
        Ok((name, bytes))
    }

    /// All images below some entries of the layout's index, in order. Each index is read once, so that indexes
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
                let (name, bytes) = self.document("the index", descriptor.digest, Some(descriptor.size))?;
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
                return Err(Error::malformed(&self.place().display().to_string())(problem));
            }
        }
        Ok(candidates)
    }

    /// The image for the platform among all below some entries of the layout's index.
    ///
    /// What an index says of a platform counts; only images of which it says nothing are asked themselves.
    fn select(&self, roots: &[&Descriptor], platform: &Platform) -> Result<Resolved, Error> {
        let candidates = self.candidates(roots)?;
        let mut available: Vec<Platform> = Vec::new();
        let mut fitting: Vec<(u32, &Candidate)> = Vec::new();
        let mut undescribed: Vec<&Candidate> = Vec::new();
        let mut unsupported = None;
        for candidate in &candidates {
            match &candidate.descriptor.platform {
                Some(own) => {
                    fitting.extend(platform.distance(own).map(|distance| (distance, candidate)));
                    available.push(own.clone());
                }
                None => undescribed.push(candidate),
            }
        }
        if fitting.is_empty() {
            let mut seen = HashSet::new();
            undescribed.retain(|candidate| seen.insert(candidate.descriptor.digest));
            for candidate in undescribed.into_iter().take(MAX_UNDESCRIBED) {
                let own = match self.image(&candidate.descriptor) {
                    Ok(image) => image.image_config.platform,
                    // A signature may lie beside the image that it is of.
                    Err(error @ Error::Unsupported { .. }) => {
                        unsupported.get_or_insert(error);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                match own {
                    Some(own) => {
                        fitting.extend(platform.distance(&own).map(|distance| (distance, candidate)));
                        available.push(own);
                    }
                    None => fitting.push((u32::MAX, candidate)),
                }
            }
        }
        let Some(&(best, chosen)) = fitting.iter().min_by_key(|(distance, _)| *distance) else {
            if let (Some(error), true) = (unsupported, available.is_empty()) {
                return Err(error);
            }
            available.sort();
            available.dedup();
            return Err(Error::NoPlatform { wanted: platform.clone(), available });
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
            return Err(layout_selection::ambiguous(&all, self.place()));
        }
        self.image(&chosen.descriptor)
    }

    /// Whatever has that digest: an image, which must be for the platform if it says what it is for, or an index.
    fn by_digest(&self, digest: Digest, platform: &Platform) -> Result<Resolved, Error> {
        let (name, bytes) = self.document("the manifest", digest, None)?;
        let descriptor = Descriptor {
            media_type: match Manifest::parse(&bytes, &name, None)? {
                Manifest::Image(image) => image.media_type,
                Manifest::Index(_) => String::new(),
            },
            digest,
            size: bytes.len() as u64,
            platform: None,
            annotations: Default::default(),
        };
        self.select(&[&descriptor], platform)
    }

    fn image(&self, descriptor: &Descriptor) -> Result<Resolved, Error> {
        let (name, bytes) = self.document("the manifest", descriptor.digest, Some(descriptor.size))?;
        let Manifest::Image(parsed) = Manifest::parse(&bytes, &name, Some(&descriptor.media_type))? else {
            return Err(Error::malformed(&name)(Malformed::Field("config")));
        };
        let manifest = Document { digest: descriptor.digest, media_type: parsed.media_type.clone(), bytes };
        let (name, bytes) = self.document("the config", parsed.config.digest, Some(parsed.config.size))?;
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

impl<F: LayoutFiles> ImageSource for Layout<F> {
    fn resolve(&self, platform: &Platform) -> Result<SourceImage, Error> {
        let resolved = match &self.selection {
            Selection::Digest(digest) => self.by_digest(*digest, platform)?,
            Selection::Tag(tag) => {
                self.select(&layout_selection::tagged(&self.index, tag, self.place())?, platform)?
            }
            Selection::Only => self.select(&layout_selection::only(&self.index, self.place())?, platform)?,
        };
        let layers = resolved
            .parsed
            .layers
            .into_iter()
            .zip(resolved.image_config.diff_ids)
            .map(|(layer, diff_id)| LayerSource {
                media_type: Some(layer.media_type),
                expected: Expected { digest: Some(layer.digest), size: Some(layer.size) },
                diff_id: Some(diff_id),
            })
            .collect();
        Ok(SourceImage { manifest: Some(resolved.manifest), config: Some(resolved.config), layers })
    }

    fn open_layer(&self, image: &SourceImage, index: usize) -> Result<Box<dyn Read + Send>, Error> {
        let expected = image.layers.get(index).map(|layer| layer.expected).unwrap_or_default();
        let digest = expected.digest.ok_or(Missing::Layer(index))?;
        let section = self.files.blob(digest)?;
        // Known before a byte is read, and clearer than what a decoder says of half a blob.
        match expected.size {
            Some(expected) if expected != section.size() => Err(Error::Verify {
                what: format!("the layer {digest}"),
                source: VerifyError::Size { expected, actual: section.size() },
            }),
            _ => Ok(Box::new(section)),
        }
    }
}

/// `{"imageLayoutVersion": "1.0.0"}`, or another version that promises to be compatible.
fn check_version(bytes: &[u8]) -> Result<(), Malformed> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OciLayout {
        image_layout_version: String,
    }
    let layout: OciLayout = serde_json::from_slice(bytes).map_err(Malformed::Json)?;
    if !layout.image_layout_version.starts_with("1.") {
        return Err(Malformed::LayoutVersion(layout.image_layout_version));
    }
    Ok(())
}
