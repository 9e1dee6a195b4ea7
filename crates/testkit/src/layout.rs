//! Layers and OCI image layouts made to order: well-formed ones, and ones that lie.
//!
//! ```
//! use offshoot_testkit::layout::{Image, Layer, Layout, Tar};
//!
//! let directory = tempfile::tempdir()?;
//! let mut tar = Tar::new();
//! tar.directory("etc", 0o755);
//! tar.file("etc/hostname", 0o644, b"vm\n");
//! Layout::create(directory.path()).add("latest", &Image::new().layer(Layer::gzip(&tar.finish())));
//! // offshoot build oci:DIRECTORY:latest
//! # Ok::<(), std::io::Error>(())
//! ```

mod header;
mod image;
mod layer;
mod tar;

pub(crate) use header::extension;
pub use header::{Style, TarEntry, checksum};
pub use image::{Image, Layout, architecture};
pub use layer::Layer;
pub(crate) use layer::digest;
pub use tar::{SparseFormat, Tar};

/// The media type of an OCI image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an OCI image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of an OCI image configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
