use std::fmt::Write as _;

use offshoot_store::Digest;

use crate::{Document, Platform, media_type};

/// A layer whose digests were found out by packing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedLayer {
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The digest of the blob as it came.
    pub blob: Digest,
    /// The blob's size in bytes.
    pub blob_bytes: u64,
    /// What the blob is, as [`LayerSource::media_type`](crate::LayerSource::media_type) has it.
    pub media_type: String,
}

/// Manifest and config for an image that came without: from `dir:`, `tar:` or `scratch:`.
///
/// The same platform and layers give the same bytes, in every version: they name the image.
pub fn synthesize(platform: &Platform, layers: &[PackedLayer]) -> (Document, Document) {
    // Written out rather than serialized, so that no feature of the serializer can change the digests. Nothing
    // but the media type can need escaping: platforms, digests and numbers have no quotes.
    let mut config =
        format!("{{\"architecture\":\"{}\",\"os\":\"{}\"", platform.architecture(), platform.os());
    if let Some(variant) = platform.variant() {
        let _ = write!(config, ",\"variant\":\"{variant}\"");
    }
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("\"{}\"", layer.diff_id)).collect();
    let _ = write!(
        config,
        ",\"config\":{{}},\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[{}]}}}}",
        diff_ids.join(",")
    );
    let config = document(media_type::OCI_CONFIG, config);
    (manifest_of(&config, layers), config)
}

/// The manifest for a config and layers that came without one.
pub(crate) fn manifest_of(config: &Document, layers: &[PackedLayer]) -> Document {
    let blobs: Vec<String> =
        layers.iter().map(|layer| descriptor(&layer.media_type, layer.blob, layer.blob_bytes)).collect();
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{}\",\"config\":{},\"layers\":[{}]}}",
        media_type::OCI_MANIFEST,
        descriptor(&config.media_type, config.digest, config.bytes.len() as u64),
        blobs.join(",")
    );
    document(media_type::OCI_MANIFEST, manifest)
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> String {
    let media_type = serde_json::Value::from(media_type);
    format!("{{\"mediaType\":{media_type},\"digest\":\"{digest}\",\"size\":{size}}}")
}

fn document(media_type: &str, text: String) -> Document {
    let bytes = text.into_bytes();
    Document { digest: Digest::of(&bytes), media_type: media_type.to_owned(), bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageConfig, Manifest};

    #[test]
    fn what_is_made_up_can_be_read_and_never_changes() {
        let platform: Platform = "linux/arm/v6".parse().unwrap();
        let layer = PackedLayer {
            diff_id: Digest::of(b"tar"),
            blob: Digest::of(b"gzip"),
            blob_bytes: 4,
            media_type: media_type::OCI_LAYER_GZIP.to_owned(),
        };
        let (manifest, config) = synthesize(&platform, std::slice::from_ref(&layer));
        let Ok(Manifest::Image(parsed)) = Manifest::parse(&manifest.bytes, "m", Some(&manifest.media_type))
        else {
            panic!("{manifest:?}")
        };
        assert_eq!((parsed.config.digest, parsed.config.size), (config.digest, config.bytes.len() as u64));
        assert_eq!((parsed.layers[0].digest, parsed.layers[0].size), (layer.blob, 4));
        let parsed = ImageConfig::parse(&config.bytes).unwrap();
        assert_eq!((parsed.platform, parsed.diff_ids), (Some(platform), vec![layer.diff_id]));

        let (manifest, config) = synthesize(&"linux/amd64".parse().unwrap(), &[]);
        assert_eq!(
            str::from_utf8(&config.bytes).unwrap(),
            r#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#
        );
        assert_eq!(
            manifest.digest.to_string(),
            "sha256:c5c3090c78a69c23565353b874b43eda3ad7c4cfcb855e839f3908ac5a11a9e6"
        );
    }
}
