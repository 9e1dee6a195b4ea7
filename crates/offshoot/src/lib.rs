//! OCI images in, microVM disks out.
//!
//! A [`Store`] keeps everything: it pulls an image into packs, builds a template from them, and gives each
//! VM a clone of the template.
//!
//! ```
//! use offshoot::{BuildOptions, CloneOptions, Quiet, Store, VmId};
//!
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path().join("store");
//! let store = Store::open(&directory)?;
//! let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
//! let vm: VmId = "vm-1".parse()?;
//! let clone = store.clone_template(&template, &vm, &CloneOptions::default())?;
//! assert!(clone.path.ends_with("clones/vm-1/rootfs.ext4"));
//! store.release(&vm)?;
//! assert!(store.clones()?.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod build;
mod clone;
mod derivation;
mod disk;
mod error;
mod export;
mod ids;
mod inspect;
mod progress;
mod pull;
mod records;
mod store;

pub use build::{BuildOptions, Template};
pub use clone::{Clone, CloneOptions, Strategy};
pub use derivation::{Derivation, DiskSize};
pub use error::{Error, ErrorKind};
pub use ids::{IdError, TemplateId, TemplateName, VmId};
pub use inspect::Inspection;
pub use offshoot_ext4::Summary as DiskSummary;
pub use offshoot_layer::Limits;
pub use offshoot_oci::{ImageConfig, ImageName, ImageNameError, Injection, Platform, Reference};
pub use offshoot_store::Digest;
pub use progress::{Event, Progress, Quiet};
pub use pull::PullOptions;
pub use records::{CloneRecord, ImageIdentity, ImageRecord, LayerRecord, TemplateIdentity, TemplateRecord};
pub use store::Store;
