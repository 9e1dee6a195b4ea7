use offshoot_store::Digest;
use serde::{Deserialize, Serialize};

use crate::{Error, TemplateId};

/// Everything that decides a template's bytes; its digest is the template's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derivation {
    /// [`offshoot_ext4::WRITER_VERSION`].
    pub writer_version: u32,
    /// The layers' `diff_id`s, lowest first; injected files are the last.
    pub layers: Vec<Digest>,
    /// The image's config.
    pub config_digest: Digest,
    /// How large the disk is to be.
    pub size: DiskSize,
    /// Whether the filesystem has a journal.
    pub journal: bool,
}

/// How large a disk is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskSize {
    /// Contents, metadata, and headroom of that many percent, or that many bytes where that is more.
    Automatic {
        /// Headroom in percent of the contents and metadata.
        headroom_percent: u32,
        /// The least headroom in bytes.
        headroom_min_bytes: u64,
    },
    /// That many bytes.
    Bytes(u64),
}

impl Default for DiskSize {
    fn default() -> Self {
        Self::Automatic { headroom_percent: 25, headroom_min_bytes: 64 << 20 }
    }
}

impl From<DiskSize> for offshoot_ext4::Size {
    fn from(size: DiskSize) -> Self {
        match size {
            DiskSize::Automatic { headroom_percent, headroom_min_bytes } => {
                Self::Automatic { headroom_percent, headroom_min_bytes }
            }
            DiskSize::Bytes(bytes) => Self::Exact { bytes },
        }
    }
}

impl Derivation {
    /// The id of the template that this makes: the SHA-256 of its compact JSON.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let store = Store::open(&directory.path().join("store"))?;
    /// # let template = store.build(&"scratch:".parse()?, &BuildOptions::default(), &Quiet)?;
    /// assert_eq!(template.record.derivation().unwrap().template_id()?, template.record.id);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn template_id(&self) -> Result<TemplateId, Error> {
        let json = serde_json::to_vec(self).map_err(Error::Encode)?;
        Ok(TemplateId::new(Digest::of(&json)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_derivation_makes_another_template() {
        let base = Derivation {
            writer_version: 1,
            layers: vec![Digest::of(b"a"), Digest::of(b"b")],
            config_digest: Digest::of(b"{}"),
            size: DiskSize::default(),
            journal: true,
        };
        let others = [
            Derivation { writer_version: 2, ..base.clone() },
            Derivation { layers: vec![Digest::of(b"b"), Digest::of(b"a")], ..base.clone() },
            Derivation { config_digest: Digest::of(b"[]"), ..base.clone() },
            Derivation { size: DiskSize::Bytes(1 << 30), ..base.clone() },
            Derivation { journal: false, ..base.clone() },
        ];
        for other in others {
            assert_ne!(base.template_id().unwrap(), other.template_id().unwrap(), "{other:?}");
        }
    }
}
