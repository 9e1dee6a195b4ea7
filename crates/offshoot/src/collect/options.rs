use std::time::Duration;

/// What a collection may be told.
///
/// ```
/// use offshoot::{CollectionOptions, KeepFree};
///
/// // What is garbage, and then so much of what can be made again that a fifth of the disk is free.
/// let options = CollectionOptions { keep_free: Some(KeepFree::Percent(20)), ..CollectionOptions::default() };
/// assert_eq!(options.grace.as_secs(), 3600);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionOptions {
    /// What was used less long ago stays: somebody may be about to use it again.
    pub grace: Duration,
    /// How much is to be free on the store's filesystem.
    pub keep_free: Option<KeepFree>,
    /// Also what is in quarantine, when it is older than the grace period.
    pub quarantine: bool,
}

impl Default for CollectionOptions {
    fn default() -> Self {
        Self { grace: Duration::from_secs(3600), keep_free: None, quarantine: false }
    }
}

/// How much is to be free on the store's filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepFree {
    /// So many bytes.
    Bytes(u64),
    /// So much of its size.
    Percent(u8),
}

impl KeepFree {
    /// Of a filesystem of that size, in bytes.
    pub(crate) fn bytes_of(self, size_bytes: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => size_bytes / 100 * u64::from(percent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_disk_is_in_bytes() {
        for (keep_free, bytes) in [
            (KeepFree::Bytes(7), 7),
            (KeepFree::Percent(0), 0),
            (KeepFree::Percent(15), 150_000),
            (KeepFree::Percent(100), 1_000_000),
        ] {
            assert_eq!(keep_free.bytes_of(1_000_000), bytes, "{keep_free:?}");
        }
    }
}
