//! OCI references, platforms, manifests and the sources images come from.
//!
//! A person's word for an image is parsed once, into an [`ImageName`]; [`open`] gives its [`ImageSource`].
//! A source [resolves](ImageSource::resolve) to the documents of one image, verified, and to the layers it
//! has, lowest first; each layer is then a stream that its reader verifies.
//!
//! ```
//! use offshoot_oci::{ImageName, Platform, SourceOptions};
//!
//! let name: ImageName = "alpine".parse()?;
//! assert_eq!(name.to_string(), "docker.io/library/alpine:latest");
//!
//! let options = SourceOptions::new(&std::env::temp_dir());
//! let empty = offshoot_oci::open(&"scratch:".parse()?, &options)?;
//! assert!(empty.resolve(&Platform::host())?.layers.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod archive_entries;
mod archive_file;
mod archive_index;
mod bounded_file;
mod bounded_run;
mod child_group;
mod config;
mod credentials;
mod directory;
mod directory_source;
mod docker_archive;
mod document;
mod error;
mod exposed_port;
mod file_section;
mod image_name;
mod image_search;
mod index;
mod injection;
mod layout;
mod layout_archive;
mod layout_directory;
mod layout_selection;
mod local_builder;
mod malformed;
mod manifest;
pub mod media_type;
mod missing;
mod platform;
mod reference;
mod registry;
mod scratch;
mod source;
mod spool;
mod synthesize;
mod tarball;
mod unsupported;

pub use bounded_run::{RunBounds, RunProblem, run_bounded};
pub use config::ImageConfig;
pub use credentials::{Credentials, CredentialsError, CredentialsFormError, Environment, KeptIn, Secret};
pub use directory::directory_tar;
pub use document::{Document, MAX_DOCUMENT_SIZE};
pub use error::{Error, ErrorKind};
pub use exposed_port::{ExposedPort, ExposedPortError, Protocol};
pub use image_name::{ImageName, ImageNameError, ImageNameProblem, PathOrStdin};
pub use injection::{Injection, InjectionError, InjectionProblem, InjectionRefusal, injection_tar};
pub use local_builder::{LocalOptions, ProgramProblem};
pub use malformed::Malformed;
pub use manifest::{Descriptor, ImageManifest, Index, MAX_LAYERS, MAX_MANIFESTS, Manifest};
pub use missing::Missing;
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError, ReferenceProblem};
pub use registry::{
    CertificateProblem, HostsProblem, Notice, RealmProblem, RegistryHost, RegistryHostError, RegistryLimits,
    RegistryOptions, RegistryProblem, TransportError, Unwatched, UrlProblem, Watch, login, logout,
};
pub use source::{ImageSource, LayerSource, SourceImage, SourceOptions, open};
pub use synthesize::{PackedLayer, synthesize};
pub use unsupported::Unsupported;
