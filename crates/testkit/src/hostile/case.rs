use std::fmt;
use std::path::Path;

use super::outcome::Outcome;
use super::{Family, Source};
use crate::layout::{Layer, Tar};
use crate::registry::Registry;

/// An image, and what becomes of it.
#[derive(Debug)]
pub struct Case {
    /// What is hostile about it; with the identifier of the advisory that it is from.
    pub name: String,
    /// What kind of thing that is.
    pub family: Family,
    /// The image.
    pub image: Image,
    /// What the commands make of it.
    pub outcome: Outcome,
    /// Where it is not brought from, though its kind can be: the reason stands where this is set.
    pub(super) not_from: Vec<Source>,
    /// Whether umoci makes the same tree of it.
    pub umoci_agrees: bool,
    /// Whether it takes so long that it is tried in the long form only.
    pub only_in_soak: bool,
}

/// Where the hostility lies, and with it the ways by which it can come.
pub enum Image {
    /// In the layers: any source can bring them.
    Layers(Vec<Layer>),
    /// In the documents of an OCI layout, whose tag `x` is written into a directory.
    Layout(Fill),
    /// In an OCI layout as a directory: an archive of it would be something else.
    LayoutDirectory(Fill),
    /// In the tar of an OCI layout.
    OciArchive(Vec<u8>),
    /// In a Docker archive.
    DockerArchive(Vec<u8>),
    /// In a directory of the host.
    Directory(Fill),
    /// In how a registry answers; its layout has the tag `x`.
    Registry(Fill, Box<dyn Fn(&Registry)>),
}

/// Writes something into a directory.
pub(super) type Fill = Box<dyn Fn(&Path)>;

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Layers(_) => "Layers",
            Self::Layout(_) => "Layout",
            Self::LayoutDirectory(_) => "LayoutDirectory",
            Self::OciArchive(_) => "OciArchive",
            Self::DockerArchive(_) => "DockerArchive",
            Self::Directory(_) => "Directory",
            Self::Registry(..) => "Registry",
        })
    }
}

impl Case {
    /// Where it can be brought from.
    pub fn sources(&self) -> Vec<Source> {
        let sources: &[Source] = match &self.image {
            Image::Layers(layers) if layers.len() == 1 => &Source::OF_LAYERS,
            Image::Layers(_) => Source::OF_SEVERAL_LAYERS,
            Image::Layout(_) => {
                &[Source::OciDirectory, Source::OciArchive, Source::OciStdin, Source::Registry]
            }
            Image::LayoutDirectory(_) => &[Source::OciDirectory],
            Image::OciArchive(_) => &[Source::OciArchive, Source::OciStdin],
            Image::DockerArchive(_) => {
                &[Source::DockerArchive, Source::DockerStdin, Source::ContainersStorage, Source::DockerDaemon]
            }
            Image::Directory(_) => &[Source::Directory],
            Image::Registry(..) => &[Source::Registry],
        };
        sources.iter().copied().filter(|source| !self.not_from.contains(source)).collect()
    }

    /// Not from there.
    pub(super) fn not_from(mut self, sources: &[Source]) -> Self {
        self.not_from.extend(sources);
        self
    }

    /// Takes too long for every day.
    pub(super) fn only_in_soak(mut self) -> Self {
        self.only_in_soak = true;
        self
    }

    /// umoci, which shares no code with us, makes the same tree.
    pub(super) fn like_umoci(mut self) -> Self {
        self.umoci_agrees = true;
        self
    }
}

/// A case before it knows its family.
pub(super) fn case(name: &str, image: Image, outcome: Outcome) -> Case {
    Case {
        name: name.to_owned(),
        family: Family::Paths,
        image,
        outcome,
        not_from: Vec::new(),
        umoci_agrees: false,
        only_in_soak: false,
    }
}

/// One layer.
pub(super) fn layer(name: &str, fill: impl FnOnce(&mut Tar) -> &mut Tar, outcome: Outcome) -> Case {
    blob(name, Layer::gzip(&tar(fill)), outcome)
}

/// One layer with a blob of its own making.
pub(super) fn blob(name: &str, layer: Layer, outcome: Outcome) -> Case {
    case(name, Image::Layers(vec![layer]), outcome)
}

/// Two layers, the lower first.
pub(super) fn two_layers(
    name: &str,
    lower: impl FnOnce(&mut Tar) -> &mut Tar,
    upper: impl FnOnce(&mut Tar) -> &mut Tar,
    outcome: Outcome,
) -> Case {
    case(name, Image::Layers(vec![Layer::gzip(&tar(lower)), Layer::gzip(&tar(upper))]), outcome)
}

/// A whole tar.
pub(super) fn tar(fill: impl FnOnce(&mut Tar) -> &mut Tar) -> Vec<u8> {
    fill(&mut Tar::new()).finish()
}
