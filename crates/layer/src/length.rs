//! Lengths in memory are `usize`, lengths in files `u64`; between the two without a cast that could cut.

/// A length in memory, as a length in a file. Lossless on every platform Rust has.
pub(crate) fn in_file(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A length in a file as far as memory can hold it: for bounding a buffer, never for a position.
pub(crate) fn in_memory(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
