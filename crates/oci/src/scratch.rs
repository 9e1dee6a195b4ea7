use std::io::Read;

use crate::{Error, ImageSource, Missing, Platform, SourceImage};

/// The empty image, for any platform.
#[derive(Debug)]
pub(crate) struct Scratch;

impl ImageSource for Scratch {
    fn resolve(&self, _platform: &Platform) -> Result<SourceImage, Error> {
        Ok(SourceImage { manifest: None, config: None, layers: Vec::new() })
    }

    fn open_layer(&self, _image: &SourceImage, index: usize) -> Result<Box<dyn Read + Send>, Error> {
        Err(Missing::Layer(index).into())
    }
}
