use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offshoot_store::Digest;

use crate::archive_index::{ArchiveError, ArchiveIndex};
use crate::file_section::FileSection;
use crate::layout::LayoutFiles;
use crate::tarball::{Compression, standard_input};
use crate::{Error, Missing, PathOrStdin, Unsupported};

/// An OCI image layout in an uncompressed tar: its headers are read once, and blobs then by their place.
#[derive(Debug)]
pub(crate) struct LayoutArchive {
    file: Arc<File>,
    place: PathBuf,
    index: ArchiveIndex,
}

impl LayoutArchive {
    pub(crate) fn open(name: &PathOrStdin, spool: &Path) -> Result<Self, Error> {
        let place = name.place();
        let file = match name {
            PathOrStdin::Path(path) => File::open(path).map_err(Error::io("open", path))?,
            PathOrStdin::Stdin => standard_input()?,
        };
        let kind = file.metadata().map_err(Error::io("read", place))?.file_type();
        if kind.is_dir() {
            return Err(Error::WrongKind {
                path: place.to_owned(),
                expected: "an archive (for an image layout in a directory there is oci:)",
                found: "a directory",
            });
        }
        // Standard input may be a file that somebody has read a part of: what is left counts.
        let file = match name {
            PathOrStdin::Path(_) if kind.is_file() => file,
            _ => spooled(file, place, spool)?,
        };
        let mut start = [0; 8];
        let read = file.read_at(&mut start, 0).map_err(Error::io("read", place))?;
        if let Some(compression) = Compression::of(&start[..read]) {
            let reason = Unsupported::CompressedArchive(compression.name());
            return Err(Error::unsupported(&place.display().to_string(), reason));
        }
        let index = ArchiveIndex::read(&file).map_err(|error| match error {
            ArchiveError::Read(error) => Error::io("read", place)(error),
            ArchiveError::Malformed(problem) => Error::malformed(&place.display().to_string())(problem),
        })?;
        Ok(Self { file: Arc::new(file), place: place.to_owned(), index })
    }

    fn section(&self, (offset, size): (u64, u64)) -> FileSection {
        FileSection::new(Arc::clone(&self.file), offset, size)
    }
}

/// Copies a stream into a file without a name.
fn spooled(mut stream: File, place: &Path, spool: &Path) -> Result<File, Error> {
    let mut file = tempfile::tempfile_in(spool).map_err(Error::io("make a file in", spool))?;
    io::copy(&mut stream, &mut file).and_then(|_| file.flush()).map_err(Error::io("spool", place))?;
    Ok(file)
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
