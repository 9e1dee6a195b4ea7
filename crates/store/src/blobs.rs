use std::fs;
use std::io;
use std::path::PathBuf;

use crate::durable::{self, Durability};
use crate::store_dir::list;
use crate::{Digest, Error, Expected, StoreDir, VerifyingReader};

impl StoreDir {
    fn blob_path(&self, digest: Digest) -> PathBuf {
        self.root().join("blobs/sha256").join(digest.hex())
    }

    /// Keeps a blob that is small enough to be in memory, synced; one that was damaged is replaced.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::of(bytes);
        let path = self.blob_path(digest);
        match fs::read(&path) {
            // Whoever wrote it may not have come to sync its directory.
            Ok(kept) if kept == bytes => Durability::Durable.sync_directory(durable::parent(&path))?,
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("read", &path)(error));
            }
            _ => {
                let staging = self.stage()?;
                let staged = staging.path().join("blob");
                durable::write_new(&staged, bytes, Durability::Durable)?;
                durable::rename(&staged, &path, Durability::Durable)?;
            }
        }
        Ok(digest)
    }

    /// All blobs and their sizes in bytes, in the order of their digests.
    pub fn blobs(&self) -> Result<Vec<(Digest, u64)>, Error> {
        let directory = self.root().join("blobs/sha256");
        let mut blobs = Vec::new();
        for name in list(&directory)? {
            let path = directory.join(&name);
            let Ok(digest) = Digest::from_hex(&name) else { continue };
            match fs::metadata(&path) {
                Ok(metadata) => blobs.push((digest, metadata.len())),
                // One may go while the list is read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("look at", &path)(error)),
            }
        }
        Ok(blobs)
    }

    /// Whether there is a blob of that name; it is not read.
    pub fn has_blob(&self, digest: Digest) -> Result<bool, Error> {
        let path = self.blob_path(digest);
        path.try_exists().map_err(Error::io("look for", &path))
    }

    /// Reads a blob of at most `limit` bytes and checks that it is what its name says; `None` where there is none.
    pub fn blob(&self, digest: Digest, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        use io::Read;
        let path = self.blob_path(digest);
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        let mut reader =
            VerifyingReader::new(file.take(limit), Expected { digest: Some(digest), size: None });
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
        match reader.finish().map_err(Error::io("read", &path))? {
            Ok(_) => Ok(Some(bytes)),
            Err(source) => Err(Error::Blob { path, source }),
        }
    }
}
