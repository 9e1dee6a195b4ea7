use crate::manifest::{Descriptor, RawDescriptor};
use crate::media_type;

/// Set by BuildKit on what describes another manifest: provenance, bills of materials.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// A list of images, usually one a platform; what is no image is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Manifests of images and further indexes, in the document's order.
    pub manifests: Vec<Descriptor>,
}

impl Index {
    /// Keeps what may be an image: other clients pass over attestations, artifacts and entries of types or
    /// digests that they do not know, and so an index may have them.
    pub(crate) fn of(manifests: Vec<RawDescriptor>) -> Self {
        let manifests = manifests.into_iter().filter(is_candidate).filter_map(|raw| raw.checked().ok());
        Self { manifests: manifests.collect() }
    }
}

fn is_candidate(raw: &RawDescriptor) -> bool {
    let media_type = raw.media_type.as_deref().unwrap_or_default();
    let known =
        media_type.is_empty() || media_type::is_manifest(media_type) || media_type::is_index(media_type);
    let artifact =
        raw.artifact_type.as_deref().is_some_and(|own| !own.is_empty() && !media_type::is_config(own));
    let unknown = raw.platform.as_ref().is_some_and(|platform| {
        [&platform.os, &platform.architecture].iter().any(|part| part.as_deref() == Some("unknown"))
    });
    let describes =
        raw.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(REFERENCE_TYPE));
    known && !artifact && !unknown && !describes
}
