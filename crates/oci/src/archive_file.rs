use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::archive_entries::ArchiveError;
use crate::spool::Spool;
use crate::tarball::{Compression, standard_input};
use crate::{Error, PathOrStdin, Unsupported};

/// The largest window of a zstd frame, as a power of two: 128 MiB, as the zstd program allows without being asked.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Opens an archive of images as an uncompressed tar in a file that can be read at any place: the file itself or,
/// where it comes from a stream or is compressed, a spooled one. `instead` is what is needed where there is a
/// directory.
pub(crate) fn open(name: &PathOrStdin, spool: &Spool, instead: &'static str) -> Result<File, Error> {
    let place = name.place();
    let mut file = match name {
        PathOrStdin::Path(path) => File::open(path).map_err(Error::io("open", path))?,
        PathOrStdin::Stdin => standard_input()?,
    };
    let kind = file.metadata().map_err(Error::io("read", place))?.file_type();
    if kind.is_dir() {
        return Err(Error::WrongKind { path: place.to_owned(), expected: instead, found: "a directory" });
    }
    let mut start = Vec::new();
    (&mut file).take(8).read_to_end(&mut start).map_err(Error::io("read", place))?;
    let compression = Compression::of(&start);
    // Standard input may be a file that somebody has read a part of: what is left counts.
    if compression.is_none() && kind.is_file() && matches!(name, PathOrStdin::Path(_)) {
        file.rewind().map_err(Error::io("read", place))?;
        return Ok(file);
    }
    let stream = BufReader::with_capacity(128 << 10, io::Cursor::new(start).chain(file));
    match compression {
        None => spool.take(stream, place),
        Some(Compression::Gzip) => spool.take(MultiGzDecoder::new(stream), place),
        Some(Compression::Zstd) => {
            let decoder = zstd::Decoder::with_buffer(stream).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Ok(decoder)
            });
            spool.take(decoder.map_err(Error::io("decompress", place))?, place)
        }
        Some(other) => {
            let reason = Unsupported::CompressedArchive(other.name());
            Err(Error::unsupported(&place.display().to_string(), reason))
        }
    }
}

/// The error of that archive.
pub(crate) fn named(error: ArchiveError, place: &Path) -> Error {
    match error {
        ArchiveError::Read(error) => Error::io("read", place)(error),
        ArchiveError::Malformed(problem) => Error::malformed(&place.display().to_string())(problem),
    }
}
