use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use offshoot_store::Expected;
use rustix::fs::{Mode, OFlags, openat};

use crate::directory::{self, TarStream, Walk};
use crate::{Error, ImageSource, LayerSource, Missing, Platform, SourceImage, media_type};

/// A directory of the host: one layer of unknown digests, made while it is read.
#[derive(Debug)]
pub(crate) struct DirectorySource {
    directory: OwnedFd,
    path: PathBuf,
}

impl DirectorySource {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self { directory: directory::open_directory(path)?, path: path.to_owned() })
    }
}

impl ImageSource for DirectorySource {
    fn resolve(&self, _platform: &Platform) -> Result<SourceImage, Error> {
        let layer = LayerSource {
            media_type: Some(media_type::OCI_LAYER.to_owned()),
            expected: Expected::default(),
            diff_id: None,
        };
        Ok(SourceImage { manifest: None, config: None, layers: vec![layer] })
    }

    fn open_layer(&self, _image: &SourceImage, index: usize) -> Result<Box<dyn Read + Send>, Error> {
        if index > 0 {
            return Err(Missing::Layer(index).into());
        }
        // Opened anew, since a directory is read at a position that duplicates share.
        let directory =
            openat(&self.directory, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .map_err(Error::io("open", &self.path))?;
        Ok(Box::new(TarStream::new(Walk::new(directory, self.path.clone(), Vec::new(), true))))
    }
}
