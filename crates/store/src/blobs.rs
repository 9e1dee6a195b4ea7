use std::fs;
use std::io;
use std::path::PathBuf;

use crate::durable::{self, Durability};
use crate::store_dir::list;
use crate::{
    Digest, Error, Expected, KeyLock, Lease, Staging, StoreDir, VerifyingReader, lease, open_own_file,
    read_own_file,
};

const BLOB: &str = "blob";

impl StoreDir {
    /// Where all blobs are.
    pub fn blobs_directory(&self) -> PathBuf {
        self.root().join("blobs/sha256")
    }

    /// Where a blob is, or would be.
    pub fn blob_path(&self, digest: Digest) -> PathBuf {
        self.blobs_directory().join(digest.hex())
    }

    /// Keeps a blob that is small enough to be in memory, synced; one that was damaged is replaced. It stays for as
    /// long as the lease lives, and then for as long as a record names it; it was used now, also where it was there.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<(Digest, Lease), Error> {
        let digest = Digest::of(bytes);
        let path = self.blob_path(digest);
        let mut replacing = None;
        loop {
            if let Some(found) = Lease::on(&path)? {
                let there = match read_own_file(&path) {
                    Err(Error::NotAFile { .. }) => None,
                    read => read?,
                };
                if there.is_some_and(|there| there == bytes) {
                    found.mark_used();
                    // Whoever wrote it may not have come to sync its directory.
                    Durability::Durable.sync_directory(durable::parent(&path))?;
                    return Ok((digest, found));
                }
                // Of two who find it damaged, the second looks at what the first put in its place. Nobody removes it
                // meanwhile: that would take the new one.
                if replacing.is_none() {
                    let key = self.root().join("locks").join(format!("blobs-{}", digest.hex()));
                    replacing = Some(KeyLock::wait(key)?);
                    continue;
                }
                let (staging, lease) = self.stage_blob(bytes)?;
                durable::rename(&staging.path().join(BLOB), &path, Durability::Durable)?;
                return Ok((digest, lease));
            }
            let (staging, lease) = self.stage_blob(bytes)?;
            match fs::hard_link(staging.path().join(BLOB), &path) {
                Ok(()) => {
                    Durability::Durable.sync_directory(durable::parent(&path))?;
                    return Ok((digest, lease));
                }
                // Somebody else's is there, and may be named already: it is not replaced.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("link to", &path)(error)),
            }
        }
    }

    fn stage_blob(&self, bytes: &[u8]) -> Result<(Staging<'_>, Lease), Error> {
        let staging = self.stage()?;
        let staged = staging.path().join(BLOB);
        durable::write_new(&staged, bytes, Durability::Durable)?;
        let lease = lease::of_private(&staged)?;
        Ok((staging, lease))
    }

    /// All blobs and their sizes in bytes, in the order of their digests.
    pub fn blobs(&self) -> Result<Vec<(Digest, u64)>, Error> {
        let directory = self.blobs_directory();
        let mut blobs = Vec::new();
        for name in list(&directory)? {
            let path = directory.join(&name);
            let Ok(digest) = Digest::from_hex(&name) else { continue };
            match fs::symlink_metadata(&path) {
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
        let file = match open_own_file(&path) {
            Ok(file) => file,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
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
