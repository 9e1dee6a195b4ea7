use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Extended attributes: full name (`user.x`, `security.capability`) to value, both plain bytes.
pub type Xattrs = BTreeMap<ByteBuf, ByteBuf>;

/// What an inode says about itself, apart from what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Permission, setuid, setgid and sticky bits: the low 12 bits of `st_mode`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of the contents.
    pub mtime: Timestamp,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl Metadata {
    /// The 12 bits of `st_mode` that [`mode`](Self::mode) may have set.
    pub const MODE_MASK: u16 = 0o7777;
}

impl Default for Metadata {
    /// What a directory gets that no layer describes: 0755, root, the epoch, no attributes.
    fn default() -> Self {
        Self { mode: 0o755, uid: 0, gid: 0, mtime: Timestamp::default(), xattrs: Xattrs::new() }
    }
}

/// A point in time, before or after 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 00:00 UTC; negative before.
    pub seconds: i64,
    /// Nanoseconds after `seconds`: below 1,000,000,000, also when `seconds` is negative.
    pub nanoseconds: u32,
}

/// A device's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Major number: Linux keeps 12 bits.
    pub major: u32,
    /// Minor number: Linux keeps 20 bits.
    pub minor: u32,
}
