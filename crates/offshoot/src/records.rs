//! The JSON records beside what they describe: `docs/store-format.md`.

use std::time::{SystemTime, UNIX_EPOCH};

use offshoot_oci::ImageConfig;
use offshoot_store::Digest;
use serde::{Deserialize, Serialize};

use crate::{Derivation, Strategy, TemplateId, TemplateName, VmId};

pub(crate) const TEMPLATE_RECORD: &str = "template.json";
pub(crate) const CLONE_RECORD: &str = "clone.json";
pub(crate) const DISK: &str = "rootfs.ext4";
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
    /// The digest of the derivation.
    pub id: TemplateId,
    /// What the template was made from.
    pub derivation: Derivation,
    /// The disk's size in bytes.
    pub size_bytes: u64,
    /// The image it was first built from.
    pub image: ImageIdentity,
    /// Seconds since the epoch.
    pub created_at: u64,
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
    /// `raw`.
    pub format: String,
    /// How it came to be.
    pub strategy: Strategy,
    /// The disk's size in bytes.
    pub size_bytes: u64,
    /// Whether the disk must not be written.
    pub read_only: bool,
    /// Whether it was made without syncing, and may be lost in a power cut.
    pub ephemeral: bool,
    /// Where it comes from.
    pub template: TemplateIdentity,
    /// The image behind the template.
    pub image: ImageIdentity,
    /// Seconds since the epoch.
    pub created_at: u64,
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
