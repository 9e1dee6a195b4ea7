use std::collections::HashMap;
use std::fs::File;

use offshoot_store::Digest;

use crate::archive_entries::{self, ArchiveEntryKind, ArchiveError};

/// Where the files of an OCI image layout lie in a tar.
#[derive(Debug, Default)]
pub(crate) struct ArchiveIndex {
    /// `oci-layout` and `index.json`, if they are there: offset and size in bytes.
    pub(crate) files: HashMap<&'static str, (u64, u64)>,
    /// The blobs: offset and size in bytes.
    pub(crate) blobs: HashMap<Digest, (u64, u64)>,
}

impl ArchiveIndex {
    /// Reads all headers of a tar. Of several entries for one file the last counts; only regular files do.
    pub(crate) fn read(file: &File) -> Result<Self, ArchiveError> {
        let mut index = Self::default();
        archive_entries::visit(file, |entry| {
            if let ArchiveEntryKind::File { offset, size } = entry.kind {
                index.add(&entry.path, offset, size);
            }
            Ok(())
        })?;
        Ok(index)
    }

    fn add(&mut self, path: &[u8], offset: u64, size: u64) {
        let Ok(path) = std::str::from_utf8(path) else { return };
        let path = path.trim_start_matches("./");
        for name in ["oci-layout", "index.json"] {
            if path == name {
                self.files.insert(name, (offset, size));
            }
        }
        if let Some(Ok(digest)) = path.strip_prefix("blobs/sha256/").map(Digest::from_hex) {
            self.blobs.insert(digest, (offset, size));
        }
    }
}
