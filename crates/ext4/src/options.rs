use crate::Error;

/// What goes into a filesystem besides the tree. The same options and tree give the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The filesystem's UUID. Every metadata checksum starts from it.
    pub uuid: [u8; 16],
    /// What directory hashes start from: a secret only where names come from an adversary.
    pub hash_seed: [u8; 16],
    /// When the filesystem was made, and its own inodes: seconds since the epoch.
    pub created_seconds: u32,
    /// The volume's name.
    pub label: Label,
    /// How large.
    pub size: Size,
    /// Whether there is a journal.
    pub journal: bool,
}

/// How large the filesystem becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// As large as its contents and metadata need, and so much free space more.
    Automatic {
        /// Free space, in percent of what files and directories take.
        headroom_percent: u32,
        /// Free space at the least, in bytes.
        headroom_min_bytes: u64,
    },
    /// Of exactly so many bytes, rounded down to whole blocks of 4 KiB.
    Exact {
        /// The image's length in bytes.
        bytes: u64,
    },
}

impl Default for Size {
    /// A quarter more than the contents, 64 MiB at the least.
    fn default() -> Self {
        Self::Automatic { headroom_percent: 25, headroom_min_bytes: 64 << 20 }
    }
}

/// A volume's name: at most 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label([u8; Label::MAX_LEN]);

impl Label {
    /// The longest label, in bytes.
    pub const MAX_LEN: usize = 16;

    /// Takes a label; what is shorter than 16 bytes is padded with NUL bytes, as on disk.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        let mut label = [0; Self::MAX_LEN];
        label
            .get_mut(..bytes.len())
            .ok_or(Error::LabelTooLong { bytes: bytes.len() })?
            .copy_from_slice(bytes);
        Ok(Self(label))
    }

    /// The label as it is on disk.
    pub fn as_bytes(&self) -> &[u8; Self::MAX_LEN] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_sixteen_bytes() {
        assert_eq!(Label::new(b"root").unwrap().as_bytes(), b"root\0\0\0\0\0\0\0\0\0\0\0\0");
        assert!(Label::new(b"0123456789abcdef").is_ok());
        assert!(matches!(Label::new(b"0123456789abcdefg"), Err(Error::LabelTooLong { bytes: 17 })));
    }
}
