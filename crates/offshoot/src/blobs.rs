use offshoot_store::Digest;

use crate::{Error, Store};

/// The largest blob that is kept or read whole, in bytes: manifests and configs are no larger.
pub(crate) const MAX_BLOB_BYTES: u64 = 4 << 20;

/// A blob in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its name, and what its bytes are.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
}

impl Store {
    /// All blobs, manifests and configs of images, in the order of their digests. Each is there once, whoever has it.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let digest = store.put_blob(Digest::of(b"{}"), b"{}")?;
    /// assert_eq!(store.blobs()?, [Blob { digest, size_bytes: 2 }]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn blobs(&self) -> Result<Vec<Blob>, Error> {
        let blobs = self.directory.blobs()?.into_iter();
        Ok(blobs.map(|(digest, size_bytes)| Blob { digest, size_bytes }).collect())
    }

    /// Whether there is a blob of that digest; it is not read.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// assert!(!store.has_blob(Digest::of(b"{}"))?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn has_blob(&self, digest: Digest) -> Result<bool, Error> {
        Ok(self.directory.has_blob(digest)?)
    }

    /// A blob's bytes, which are what its digest says; `None` where there is none.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let image = store.pull(&"scratch:".parse()?, &PullOptions::default(), &Quiet)?;
    /// let manifest = store.blob(image.manifest_digest)?.unwrap();
    /// assert_eq!(Digest::of(&manifest), image.manifest_digest);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.directory.blob(digest, MAX_BLOB_BYTES)?)
    }

    /// Keeps a blob, synced, if it is what the digest says, and small enough for a manifest or config. One that no
    /// image has is collected when the grace period is over.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let error = store.put_blob(Digest::of(b"{}"), b"[]").unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Integrity);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn put_blob(&self, digest: Digest, bytes: &[u8]) -> Result<Digest, Error> {
        let actual = Digest::of(bytes);
        if actual != digest {
            return Err(Error::NotTheBlob { expected: digest, actual });
        }
        if bytes.len() as u64 > MAX_BLOB_BYTES {
            return Err(Error::LargeBlob { bytes: bytes.len() });
        }
        Ok(self.directory.put_blob(bytes)?.0)
    }
}
