use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offshoot_store::Digest;

use crate::archive_file;
use crate::archive_index::ArchiveIndex;
use crate::file_section::FileSection;
use crate::layout::LayoutFiles;
use crate::spool::Spool;
use crate::{Error, Missing, PathOrStdin};

/// An OCI image layout in a tar: its headers are read once, and blobs then by their place.
#[derive(Debug)]
pub(crate) struct LayoutArchive {
    file: Arc<File>,
    place: PathBuf,
    index: ArchiveIndex,
}

impl LayoutArchive {
    pub(crate) fn open(name: &PathOrStdin, spool: &Spool) -> Result<Self, Error> {
        let instead = "an archive (for an image layout in a directory there is oci:)";
        let file = archive_file::open(name, spool, instead)?;
        let place = name.place();
        let index = ArchiveIndex::read(&file).map_err(|error| archive_file::named(error, place))?;
        Ok(Self { file: Arc::new(file), place: place.to_owned(), index })
    }

    fn section(&self, (offset, size): (u64, u64)) -> FileSection {
        FileSection::new(Arc::clone(&self.file), offset, size)
    }
}

impl LayoutFiles for LayoutArchive {
    fn place(&self) -> &Path {
        &self.place
    }

    fn file(&self, name: &'static str) -> Result<FileSection, Error> {
        let found = self.index.files.get(name).copied();
        let missing = || Missing::Layout { place: self.place.clone(), file: name };
        Ok(self.section(found.ok_or_else(missing)?))
    }

    fn blob(&self, digest: Digest) -> Result<FileSection, Error> {
        let found = self.index.blobs.get(&digest).copied();
        let missing = || Missing::Blob { place: self.place.clone(), digest };
        Ok(self.section(found.ok_or_else(missing)?))
    }
}
