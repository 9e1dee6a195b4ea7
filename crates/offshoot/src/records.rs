//! The JSON records beside what they describe: `docs/store-format.md`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use offshoot_oci::ImageConfig;
use offshoot_store::{Digest, SessionId};
use offshoot_unpack::Ownership;
use serde::{Deserialize, Serialize};

use crate::file_digest::FileState;
use crate::{Derivation, FilesystemUuid, RangeChecksum, Strategy, TemplateId, TemplateName, VmId};

pub(crate) const TEMPLATE_RECORD: &str = "template.json";
pub(crate) const CLONE_RECORD: &str = "clone.json";
pub(crate) const DISK: &str = "rootfs.ext4";
pub(crate) const OVERLAY: &str = "rootfs.qcow2";
pub(crate) const DIRECTORY: &str = "rootfs";
pub(crate) const VERSION: u32 = 1;

/// What a reference stood for on a platform when it was last pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Of this form: 1.
    pub version: u32,
    /// The canonical name.
    pub reference: String,
    /// `os/architecture[/variant]`.
    pub platform: String,
    /// The manifest, kept as a blob.
    pub manifest_digest: Digest,
    /// The config, kept as a blob.
    pub config_digest: Digest,
    /// Lowest first.
    pub layers: Vec<LayerRecord>,
    /// Seconds since the epoch.
    pub pulled_at: u64,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Names the pack.
    pub diff_id: Digest,
    /// The blob it came as, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<Digest>,
    /// The blob's size in bytes, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob_bytes: Option<u64>,
}

/// What a template is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateRecord {
    /// Of this form: 1.
    pub version: u32,
    /// Of what it was built from: the digest of the derivation; imported: of its bytes; a snapshot's is drawn.
    pub id: TemplateId,
    /// How the template came to be.
    pub origin: Origin,
    /// The disk's size in bytes.
    pub size_bytes: u64,
    /// Of all that is not zero on the disk, ascending.
    pub checksums: Vec<RangeChecksum>,
    /// The image it was first built from, or the image of the clone that it is a snapshot of.
    pub image: Option<ImageIdentity>,
    /// Seconds since the epoch.
    pub created_at: u64,
}

/// How a template came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// From the packs of an image's layers.
    Built(Derivation),
    /// From a VM's clone as it was then.
    Snapshot {
        /// The VM.
        vm_id: VmId,
        /// What the clone had been made from.
        template: TemplateIdentity,
    },
    /// From a file that held a filesystem already.
    Imported,
}

impl TemplateRecord {
    /// What the template was built from, if it was.
    pub fn derivation(&self) -> Option<&Derivation> {
        match &self.origin {
            Origin::Built(derivation) => Some(derivation),
            Origin::Snapshot { .. } | Origin::Imported => None,
        }
    }
}

/// Which image a template or clone comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageIdentity {
    /// The canonical name.
    pub reference: String,
    /// The manifest.
    pub manifest_digest: Digest,
    /// What to run in it, and how.
    pub config: ImageConfig,
}

/// Which template a clone comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateIdentity {
    /// Its id.
    pub id: TemplateId,
    /// The name it was asked for by, if any.
    pub name: Option<TemplateName>,
}

/// What a template's name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NameRecord {
    pub(crate) version: u32,
    pub(crate) name: TemplateName,
    pub(crate) id: TemplateId,
}

/// What a clone is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CloneRecord {
    /// Of this form: 1.
    pub version: u32,
    /// Whose it is.
    pub vm_id: VmId,
    /// What the root filesystem lies in.
    pub format: DiskFormat,
    /// How it came to be.
    pub strategy: Strategy,
    /// The disk's size in bytes, as its VM sees it; the contents' of a directory.
    pub size_bytes: u64,
    /// The size in bytes that was asked for when the clone was made, if any was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_bytes: Option<u64>,
    /// The size in bytes to which the disk was being grown when this was written: it has that size or still the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growing_to_bytes: Option<u64>,
    /// Whether the disk must not be written.
    pub read_only: bool,
    /// Whether it was made without syncing, and may be lost in a power cut.
    pub ephemeral: bool,
    /// The filesystem's UUID, if it was to have one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<FilesystemUuid>,
    /// What became of owners and modes, in a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<DirectoryOwnership>,
    /// What its disk was built from, where it is not a copy of the template's: with files of its own, or larger than
    /// the template's filesystem can become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_from: Option<Derivation>,
    /// The session of an open store that it ends with; collected when its process is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Where it comes from.
    pub template: TemplateIdentity,
    /// The image behind the template, if one is known.
    pub image: Option<ImageIdentity>,
    /// Seconds since the epoch.
    pub created_at: u64,
}

/// What a clone's root filesystem lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// The disk's bytes, and nothing else.
    Raw,
    /// A qcow2 overlay on its template's disk.
    Qcow2,
    /// No disk but a directory, for virtiofs and libkrun.
    Dir,
}

impl DiskFormat {
    /// The disk's file within the clone's directory.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Raw => DISK,
            Self::Qcow2 => OVERLAY,
            Self::Dir => DIRECTORY,
        }
    }

    /// `raw` or `qcow2`, as VMMs call them, or `dir`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Dir => "dir",
        }
    }
}

/// What became of owners, modes and devices in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectoryOwnership {
    /// They are the image's.
    Native,
    /// Everything belongs to whoever made the clone; what the image says is kept in `user.containers.override_stat`.
    OverrideXattr,
}

impl From<Ownership> for DirectoryOwnership {
    fn from(ownership: Ownership) -> Self {
        match ownership {
            Ownership::Native => Self::Native,
            Ownership::OverrideXattr => Self::OverrideXattr,
        }
    }
}

/// What a file's bytes were, and which file and state of it that was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DigestRecord {
    pub(crate) version: u32,
    pub(crate) path: PathBuf,
    pub(crate) state: FileState,
    pub(crate) digest: Digest,
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
