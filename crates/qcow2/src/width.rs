//! `usize` and `u64`, which have the same width wherever this runs.

/// Saturates where `usize` is smaller; what it then sizes is refused as too large.
pub(crate) fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A length in memory, as a number of bytes.
pub(crate) fn to_u64(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
