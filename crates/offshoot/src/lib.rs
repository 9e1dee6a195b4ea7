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

mod blobs;
mod build;
mod checksums;
mod clone;
mod collect;
mod derivation;
mod disk;
mod disk_copy;
mod doctor;
mod emit;
mod error;
mod error_kind;
mod export;
mod file_digest;
mod grow;
mod growth;
mod ids;
mod import;
mod inspect;
mod progress;
mod pull;
mod records;
mod remove;
mod reset;
mod resize2fs;
mod snapshot;
mod store;
mod template;
mod unpack;
mod usage;
mod uuid;
mod verify;
mod volume;

pub use blobs::Blob;
pub use build::BuildOptions;
pub use checksums::RangeChecksum;
pub use clone::{Clone, CloneGuard, CloneOptions, Damage, Strategy, UnknownStrategy};
pub use collect::{
    Collectable, Collected, Collection, CollectionEntry, CollectionOptions, CollectionOutcome,
    CollectionPlan, CollectionReason, KeepFree, Kept, KeptReason, Room,
};
pub use derivation::{Derivation, DiskSize};
pub use doctor::{Diagnosis, Probe, ProbeState, diagnose};
pub use error::Error;
pub use error_kind::ErrorKind;
pub use ids::{IdError, TemplateId, TemplateName, VmId};
pub use inspect::Inspection;
pub use offshoot_ext4::Summary as DiskSummary;
pub use offshoot_layer::Limits;
pub use offshoot_oci::{
    Credentials, CredentialsFormError, Environment, ImageConfig, ImageName, ImageNameError, Injection,
    KeptIn, LocalOptions, Notice, Platform, Reference, RegistryHost, RegistryHostError, RegistryLimits,
    RegistryOptions, Secret, Unwatched, Watch, login, logout,
};
pub use offshoot_store::{Digest, Part, SessionId, with_causes};
pub use offshoot_unpack::{RefusedXattr, Summary as UnpackSummary};
pub use progress::{Event, Progress, Quiet};
pub use pull::{PullOptions, PullPolicy, UnknownPolicy};
pub use records::{
    CloneRecord, DirectoryOwnership, DiskFormat, ImageIdentity, ImageRecord, LayerRecord, Origin,
    TemplateIdentity, TemplateRecord,
};
pub use resize2fs::Resize2fsError;
pub use store::Store;
pub use template::Template;
pub use usage::{ItemUsage, PartUsage, Usage, UsedBytes};
pub use uuid::{FilesystemUuid, UuidError};
pub use verify::{Depth, Finding, Mended, Outcome, Problem, Report, Subject, VerifyOptions};
