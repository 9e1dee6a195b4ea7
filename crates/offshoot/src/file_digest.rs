use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use offshoot_store::{Digest, EntryName, Hasher, RecordArea};
use serde::{Deserialize, Serialize};

use crate::records::{self, DigestRecord};
use crate::{Error, Store};

/// A file that was changed so shortly ago may be changed again without its times showing it.
const RACY: Duration = Duration::from_secs(2);

/// Which file, and in which state: two reads that find the same state find the same bytes, unless somebody sets the
/// clock or writes to the disk under the filesystem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileState {
    device: u64,
    inode: u64,
    size_bytes: u64,
    /// Seconds and nanoseconds since the epoch.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileState {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Where the digest of such a file is kept.
    pub(crate) fn entry(&self) -> EntryName {
        EntryName::encode(&format!("{:x}-{:x}", self.device, self.inode))
    }

    /// Whether the file of that path has another state now, or is gone; where that cannot be seen, it is not said.
    pub(crate) fn is_over(&self, path: &Path) -> bool {
        match path.metadata() {
            Ok(metadata) => Self::of(&metadata) != *self,
            Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }

    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let newest = self.modified.max(self.changed).0;
        u64::try_from(newest).is_ok_and(|newest| now.as_secs() > newest.saturating_add(RACY.as_secs()))
    }
}

impl Store {
    /// The SHA-256 of a file's bytes: streamed, and kept in the store, so that it is read again only after a change.
    ///
    /// A change is told by the file's device, inode, size, and times of modification and change. For templates, and
    /// for what belongs to a disk without being part of it, such as a VM's memory snapshot.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let snapshot = directory.path().join("memory.snapshot");
    /// std::fs::write(&snapshot, b"a VM's memory")?;
    /// let digest = store.file_digest(&snapshot)?;
    /// assert_eq!(digest, Digest::of(b"a VM's memory"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn file_digest(&self, path: &Path) -> Result<Digest, Error> {
        let path = path.canonicalize().map_err(Error::io("find", path))?;
        let mut file = File::open(&path).map_err(Error::io("open", &path))?;
        let before = FileState::of(&file.metadata().map_err(Error::io("look at", &path))?);
        let name = before.entry();
        if let Some(known) = self.directory.record::<DigestRecord>(RecordArea::Digests, &name)?
            && known.state == before
        {
            return Ok(known.digest);
        }
        let digest = digest(&mut file).map_err(Error::io("read", &path))?;
        let after = FileState::of(&file.metadata().map_err(Error::io("look at", &path))?);
        if after != before {
            return Err(Error::FileChanged { path });
        }
        if after.is_settled() {
            let record = DigestRecord { version: records::VERSION, path, state: after, digest };
            self.directory.put_record(RecordArea::Digests, &name, &record)?;
        }
        Ok(digest)
    }
}

/// The digest of all that is read.
pub(crate) fn digest(input: &mut impl Read) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
