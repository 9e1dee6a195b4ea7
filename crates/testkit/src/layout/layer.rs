use std::io::Write;

use crate::sha256;

const PREFIX: &str = "application/vnd.oci.image.layer.v1.tar";

/// One layer's blob, and what is claimed about it, which need not be true.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The blob as it lies in the layout; none for one that is missing.
    pub blob: Option<Vec<u8>>,
    /// What its descriptor says of it.
    pub media_type: String,
    /// `sha256:…`, under which it lies and which its descriptor names.
    pub digest: String,
    /// Its size in bytes, says its descriptor.
    pub size: u64,
    /// What the configuration calls the digest of its tar.
    pub diff_id: String,
}

impl Layer {
    /// An uncompressed tar.
    pub fn plain(tar: &[u8]) -> Self {
        Self::of(tar.to_owned(), PREFIX.to_owned(), digest(tar))
    }

    /// A tar, compressed with gzip.
    pub fn gzip(tar: &[u8]) -> Self {
        Self::of(gzip(tar), format!("{PREFIX}+gzip"), digest(tar))
    }

    /// A tar, compressed with gzip in several members, as parallel compressors write it.
    pub fn gzip_members(tar: &[u8], member: usize) -> Self {
        let blob = tar.chunks(member).flat_map(gzip).collect();
        Self::of(blob, format!("{PREFIX}+gzip"), digest(tar))
    }

    /// A tar, compressed with zstd.
    pub fn zstd(tar: &[u8]) -> Self {
        let blob = zstd::encode_all(tar, 3).unwrap_or_else(|error| panic!("cannot compress: {error}"));
        Self::of(blob, format!("{PREFIX}+zstd"), digest(tar))
    }

    fn of(blob: Vec<u8>, media_type: String, diff_id: String) -> Self {
        Self { digest: digest(&blob), size: blob.len() as u64, blob: Some(blob), media_type, diff_id }
    }

    /// The descriptor and the blob's name keep a digest that is not the blob's: its last byte is another.
    pub fn with_wrong_digest(mut self) -> Self {
        if let Some(last) = self.blob.as_mut().and_then(|blob| blob.last_mut()) {
            *last ^= 1;
        }
        self
    }

    /// The configuration names a tar that this is not.
    pub fn with_wrong_diff_id(mut self) -> Self {
        self.diff_id = digest(self.diff_id.as_bytes());
        self
    }

    /// Only so much of the blob is there; digest and size are still those of the whole.
    pub fn truncated(mut self, length: usize) -> Self {
        if let Some(blob) = &mut self.blob {
            blob.truncate(length);
        }
        self
    }

    /// The blob ends early, and its digest and size are right: it was broken before it was named.
    pub fn cut_short(mut self, length: usize) -> Self {
        let blob = self.blob.unwrap_or_default();
        let blob = blob[..length.min(blob.len())].to_vec();
        self.digest = digest(&blob);
        self.size = blob.len() as u64;
        self.blob = Some(blob);
        self
    }

    /// The blob is not in the layout.
    pub fn missing(mut self) -> Self {
        self.blob = None;
        self
    }

    /// Another media type.
    pub fn with_media_type(mut self, media_type: &str) -> Self {
        media_type.clone_into(&mut self.media_type);
        self
    }
}

/// `sha256:` and the digest of the bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .unwrap_or_else(|error| panic!("cannot compress: {error}"))
}
