//! What `docker save` writes, and what skopeo, podman and buildah call `docker-archive`: a tar with a `manifest.json`
//! that lists images by the files of their configs and layers.

mod listing;
mod members;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use offshoot_store::{Digest, Expected, VerifyingReader};

use crate::file_section::FileSection;
use crate::spool::Spool;
use crate::synthesize::manifest_of;
use crate::tarball::Compression;
use crate::{
    Document, Error, ImageConfig, ImageSource, LayerSource, Malformed, Missing, PackedLayer, PathOrStdin,
    Platform, SourceImage, Unsupported, archive_file, document, media_type,
};
use listing::Listed;
use members::Members;

/// Where Docker puts blobs since version 25, as in an OCI layout.
const BLOBS: &str = "blobs/sha256/";

/// One image of a Docker archive.
#[derive(Debug)]
pub(crate) struct DockerArchive {
    image: SourceImage,
    /// What the image is for, where it says so.
    platform: Option<Platform>,
    layers: Vec<FileSection>,
}

/// An archive's files.
struct Archive<'a> {
    file: Arc<File>,
    members: Members,
    place: &'a Path,
}

impl DockerArchive {
    /// Of a file or of standard input; `wanted` is the image's name, tag or place (`@0`).
    pub(crate) fn open(name: &PathOrStdin, wanted: Option<&str>, spool: &Spool) -> Result<Self, Error> {
        let file = archive_file::open(name, spool, "an archive that docker save has written")?;
        Self::read(file, wanted, name.place())
    }

    /// Of an uncompressed tar.
    pub(crate) fn read(file: File, wanted: Option<&str>, place: &Path) -> Result<Self, Error> {
        let members = Members::read(&file).map_err(|error| archive_file::named(error, place))?;
        let archive = Archive { file: Arc::new(file), members, place };
        let images = archive.images()?;
        archive.image(listing::select(&images, wanted, place)?)
    }
}

impl Archive<'_> {
    fn find(&self, name: &str) -> Result<Option<FileSection>, Error> {
        let found = self.members.find(name).map_err(Error::malformed(&self.place.display().to_string()))?;
        Ok(found.map(|(offset, size)| FileSection::new(Arc::clone(&self.file), offset, size)))
    }

    /// A file that `manifest.json` names.
    fn listed(&self, name: &str) -> Result<FileSection, Error> {
        let missing = || Missing::Member { place: self.place.to_owned(), name: name.to_owned() };
        Ok(self.find(name)?.ok_or_else(missing)?)
    }

    /// What `manifest.json` lists.
    fn images(&self) -> Result<Vec<Listed>, Error> {
        let name = format!("manifest.json of {}", self.place.display());
        let Some(section) = self.find("manifest.json")? else {
            if self.find("repositories")?.is_some() {
                let what = self.place.display().to_string();
                return Err(Error::unsupported(&what, Unsupported::AncientDockerArchive));
            }
            let is_layout = self.find("oci-layout")?.is_some();
            return Err(Missing::DockerArchive { place: self.place.to_owned(), is_layout }.into());
        };
        let (_, bytes) =
            document::read(section, Expected::default()).map_err(|error| error.named(&name, self.place))?;
        listing::parse(&bytes, &name)
    }

    fn image(&self, listed: &Listed) -> Result<DockerArchive, Error> {
        let name = format!("the config {}", listed.config);
        // A config that is called by its digest must have it.
        let digest = digest_in(listed.config.trim_end_matches(".json"));
        let (digest, bytes) = document::read(self.listed(&listed.config)?, Expected { digest, size: None })
            .map_err(|error| error.named(&name, self.place))?;
        let parsed = ImageConfig::parse_named(&bytes, &name)?;
        let config = Document { digest, media_type: media_type::OCI_CONFIG.to_owned(), bytes };
        let (files, diff_ids) = (listed.layers(), parsed.diff_ids);
        if files.len() != diff_ids.len() {
            let problem = Malformed::LayerCount { layers: files.len(), diff_ids: diff_ids.len() };
            return Err(Error::malformed(&format!("the image {digest}"))(problem));
        }
        let mut layers = Vec::new();
        let mut packed = Vec::new();
        let mut hashed = HashMap::new();
        for (file, diff_id) in files.iter().zip(diff_ids) {
            let section = self.listed(file)?;
            packed.push(self.layer(file, &section, diff_id, &mut hashed)?);
            layers.push(section);
        }
        let manifest = manifest_of(&config, &packed);
        let sources = packed.into_iter().map(|layer| LayerSource {
            media_type: Some(layer.media_type),
            expected: Expected { digest: Some(layer.blob), size: Some(layer.blob_bytes) },
            diff_id: Some(layer.diff_id),
        });
        let image = SourceImage { manifest: Some(manifest), config: Some(config), layers: sources.collect() };
        Ok(DockerArchive { image, platform: parsed.platform, layers })
    }

    /// What a layer's blob must be. The config promises what it inflates to; of a plain tar that is the blob itself,
    /// and a blob among blobs is called by its digest. Nothing else says what a compressed one is but its bytes.
    ///
    /// Each place is hashed once, however many layers lie there.
    fn layer(
        &self,
        file: &str,
        section: &FileSection,
        diff_id: Digest,
        hashed: &mut HashMap<u64, Digest>,
    ) -> Result<PackedLayer, Error> {
        let mut start = Vec::new();
        section.clone().take(8).read_to_end(&mut start).map_err(Error::io("read", self.place))?;
        let media_type = match Compression::of(&start) {
            None => media_type::OCI_LAYER,
            Some(Compression::Gzip) => media_type::OCI_LAYER_GZIP,
            Some(Compression::Zstd) => media_type::OCI_LAYER_ZSTD,
            Some(other) => {
                let reason = Unsupported::Compression(other.name());
                return Err(Error::unsupported(&format!("the layer {file}"), reason));
            }
        };
        let blob = match file.strip_prefix(BLOBS).and_then(digest_in) {
            Some(digest) => digest,
            None if media_type == media_type::OCI_LAYER => diff_id,
            None => match hashed.get(&section.offset()) {
                Some(&digest) => digest,
                None => {
                    let reader = VerifyingReader::new(section.clone(), Expected::default());
                    let verdict = reader.finish().map_err(Error::io("read", self.place))?;
                    let what = format!("the layer {file}");
                    let (digest, _) = verdict.map_err(|source| Error::Verify { what, source })?;
                    hashed.insert(section.offset(), digest);
                    digest
                }
            },
        };
        Ok(PackedLayer { diff_id, blob, blob_bytes: section.size(), media_type: media_type.to_owned() })
    }
}

/// The digest that a file is called by, if it is.
fn digest_in(name: &str) -> Option<Digest> {
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    Digest::from_hex(name).ok()
}

impl ImageSource for DockerArchive {
    fn resolve(&self, platform: &Platform) -> Result<SourceImage, Error> {
        match &self.platform {
            Some(own) if !platform.accepts(own) => {
                Err(Error::NoPlatform { wanted: platform.clone(), available: vec![own.clone()] })
            }
            _ => Ok(self.image.clone()),
        }
    }

    fn open_layer(&self, _image: &SourceImage, index: usize) -> Result<Box<dyn Read + Send>, Error> {
        let section = self.layers.get(index).ok_or(Missing::Layer(index))?;
        Ok(Box::new(section.clone()))
    }
}
