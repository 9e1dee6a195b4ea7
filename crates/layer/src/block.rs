//! The 4 KiB block of file contents, as memory measures it.

use offshoot_tree::BLOCK_SIZE;

use crate::length;

/// [`offshoot_tree::BLOCK_SIZE`] as a length in memory.
pub(crate) const BLOCK_LEN: usize = 4096;

const _: () = assert!(BLOCK_SIZE == 4096);

/// How many blocks that many bytes touch.
pub(crate) const fn count(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_SIZE)
}

/// Where a block begins, in bytes; saturates far beyond any file.
pub(crate) const fn start(block: u64) -> u64 {
    block.saturating_mul(BLOCK_SIZE)
}

/// How many whole blocks lie in a buffer.
pub(crate) fn whole(bytes: usize) -> u64 {
    length::in_file(bytes.wrapping_div(BLOCK_LEN))
}

/// Whether every byte is zero. Most blocks that are not, say so in their first bytes.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|word| word.iter().fold(0, |any, byte| any | byte) == 0)
        && rest.iter().all(|&byte| byte == 0)
}
