use std::path::PathBuf;

use offshoot_store::Digest;

/// What is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// A file or directory of the host.
    #[error("{} does not exist", .0.display())]
    Path(PathBuf),
    /// The directory or archive lacks `oci-layout` or `index.json`.
    #[error("{} is not an OCI image layout: it has no {file}", place.display())]
    Layout {
        /// The directory or archive.
        place: PathBuf,
        /// The file that is missing.
        file: &'static str,
    },
    /// No image has that tag.
    #[error("{} has no image tagged {tag:?}, {}", place.display(), listed(available))]
    Tag {
        /// The layout or archive.
        place: PathBuf,
        /// What was asked for.
        tag: String,
        /// The tags it has.
        available: Vec<String>,
    },
    /// The layout is empty.
    #[error("{} has no image", .0.display())]
    Image(PathBuf),
    /// A blob that something names.
    #[error("{} has no blob {digest}", place.display())]
    Blob {
        /// The layout or archive.
        place: PathBuf,
        /// Which.
        digest: Digest,
    },
    /// What should be a Docker archive lacks `manifest.json`.
    #[error("{} is not a Docker archive: it has no manifest.json{}", place.display(), layout_hint(*is_layout))]
    DockerArchive {
        /// The archive.
        place: PathBuf,
        /// Whether it is an OCI image layout instead.
        is_layout: bool,
    },
    /// A file that a Docker archive's `manifest.json` names.
    #[error("{} has no file {name:?}, which its manifest.json names", place.display())]
    Member {
        /// The archive.
        place: PathBuf,
        /// Which.
        name: String,
    },
    /// An image that a program of this host does not have.
    #[error("{program} has no image {name}")]
    LocalImage {
        /// The program that was asked.
        program: &'static str,
        /// The image's name or id.
        name: String,
    },
    /// The directory has nothing to build it by.
    #[error("{} has neither a Containerfile nor a Dockerfile", .0.display())]
    Dockerfile(PathBuf),
    /// The image has fewer layers.
    #[error("the image has no layer {0}")]
    Layer(usize),
}

fn layout_hint(is_layout: bool) -> &'static str {
    if is_layout { "; it is an OCI image layout, which oci-archive: reads" } else { "" }
}

fn listed(available: &[String]) -> String {
    match available {
        [] => "nor any other tag".to_owned(),
        tags => format!("only {}", tags.join(", ")),
    }
}
