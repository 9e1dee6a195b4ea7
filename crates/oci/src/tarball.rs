use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use offshoot_store::Expected;

use crate::file_section::FileSection;
use crate::{
    Error, ImageSource, LayerSource, Missing, PathOrStdin, Platform, SourceImage, Unsupported, media_type,
};

/// A tarball of a root filesystem, plain or compressed with gzip or zstd: one layer of unknown digests.
#[derive(Debug)]
pub(crate) struct Tarball {
    place: PathBuf,
    media_type: &'static str,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Can be read again and again.
    File(FileSection),
    /// Standard input or a pipe: read once. The first bytes were looked at.
    Stream(Mutex<Option<(Vec<u8>, File)>>),
}

impl Tarball {
    pub(crate) fn open(name: &PathOrStdin) -> Result<Self, Error> {
        let place = name.place();
        let mut file = match name {
            PathOrStdin::Path(path) => File::open(path).map_err(Error::io("open", path))?,
            PathOrStdin::Stdin => standard_input()?,
        };
        let metadata = file.metadata().map_err(Error::io("read", place))?;
        if metadata.is_dir() {
            return Err(Error::WrongKind {
                path: place.to_owned(),
                expected: "a tarball (for a directory there is dir:)",
                found: "a directory",
            });
        }
        let mut start = Vec::new();
        (&mut file).take(8).read_to_end(&mut start).map_err(Error::io("read", place))?;
        let media_type = match Compression::of(&start) {
            None => media_type::OCI_LAYER,
            Some(Compression::Gzip) => media_type::OCI_LAYER_GZIP,
            Some(Compression::Zstd) => media_type::OCI_LAYER_ZSTD,
            Some(other) => {
                let reason = Unsupported::Compression(other.name());
                return Err(Error::unsupported(&place.display().to_string(), reason));
            }
        };
        let body = match name {
            PathOrStdin::Path(_) if metadata.is_file() => {
                Body::File(FileSection::new(Arc::new(file), 0, metadata.len()))
            }
            _ => Body::Stream(Mutex::new(Some((start, file)))),
        };
        Ok(Self { place: place.to_owned(), media_type, body })
    }
}

impl ImageSource for Tarball {
    fn resolve(&self, _platform: &Platform) -> Result<SourceImage, Error> {
        let size = match &self.body {
            Body::File(section) => Some(section.size()),
            Body::Stream(_) => None,
        };
        let layer = LayerSource {
            media_type: Some(self.media_type.to_owned()),
            expected: Expected { digest: None, size },
            diff_id: None,
        };
        Ok(SourceImage { manifest: None, config: None, layers: vec![layer] })
    }

    fn open_layer(&self, _image: &SourceImage, index: usize) -> Result<Box<dyn Read + Send>, Error> {
        if index > 0 {
            return Err(Missing::Layer(index).into());
        }
        match &self.body {
            Body::File(section) => Ok(Box::new(section.clone())),
            Body::Stream(stream) => {
                let taken = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
                let (start, file) = taken.ok_or_else(|| Error::AlreadyRead { path: self.place.clone() })?;
                Ok(Box::new(Cursor::new(start).chain(file)))
            }
        }
    }
}

/// Standard input as a file, past the standard library's buffer.
pub(crate) fn standard_input() -> Result<File, Error> {
    let place = PathOrStdin::Stdin;
    let duplicate = io::stdin().as_fd().try_clone_to_owned().map_err(Error::io("open", place.place()))?;
    Ok(File::from(duplicate))
}

/// How a tar is compressed, told by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

impl Compression {
    /// `None` for what may be a plain tar.
    pub(crate) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            // A tar starts with a file's name: only the first block's magic number tells them apart.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..] => Some(Self::Bzip2),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }
}
