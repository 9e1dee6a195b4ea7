//! The blocks of a directory: their checksums, and which inodes they name.

#![expect(clippy::arithmetic_side_effects, reason = "positions in a block are below 2^17")]

use zerocopy::FromBytes;

use crate::checksum::Checksum;
use crate::dir_entry::EntryHeader;
use crate::inspect::InspectError;

/// Bytes of what stands before an entry's name.
const HEAD: usize = size_of::<EntryHeader>();
/// Bytes of `struct ext4_dir_entry_tail`, and of `struct dx_tail`.
const TAIL: usize = 12;
const INDEX_TAIL: usize = 8;
/// Where `struct dx_countlimit` is: behind `.`, `..` and the head of the root; behind an entry of nothing.
const ROOT_COUNT: usize = 32;
const NODE_COUNT: usize = 8;

/// The inodes that a block of a directory names; `seed` is the directory's.
pub(super) fn of(
    bytes: &[u8],
    indexed: bool,
    is_root: bool,
    seed: Checksum,
) -> Result<Vec<u32>, InspectError> {
    let first = header(bytes, 0)?;
    // The last entry of a leaf ends before the tail.
    let is_node = indexed && first.inode.get() == 0 && usize::from(first.rec_len.get()) == bytes.len();
    if is_root {
        check_index(bytes, ROOT_COUNT, seed)?;
        return named(bytes.get(..ROOT_COUNT - 8).ok_or_else(damaged)?, 2);
    }
    if is_node {
        return check_index(bytes, NODE_COUNT, seed).map(|()| Vec::new());
    }
    let (entries, tail) = bytes.split_at_checked(bytes.len() - TAIL).ok_or_else(damaged)?;
    let [0, 0, 0, 0, 12, 0, 0, 0xde, checksum @ ..] = tail else { return Err(damaged()) };
    if *checksum != seed.update(entries).value().to_le_bytes() {
        return Err(InspectError::damaged("the checksum of a directory's block"));
    }
    named(entries, usize::MAX)
}

fn damaged() -> InspectError {
    InspectError::damaged("a directory's block")
}

fn header(bytes: &[u8], at: usize) -> Result<&EntryHeader, InspectError> {
    let (header, _) =
        EntryHeader::ref_from_prefix(bytes.get(at..).unwrap_or_default()).map_err(|_| damaged())?;
    Ok(header)
}

/// The inodes of so many entries at the most. In a root the second one reaches to the block's end.
fn named(entries: &[u8], most: usize) -> Result<Vec<u32>, InspectError> {
    let mut inodes = Vec::new();
    let mut at = 0;
    for _ in 0..most {
        if at == entries.len() {
            break;
        }
        let header = header(entries, at)?;
        let length = usize::from(header.rec_len.get());
        let fits = at + length <= entries.len() || most != usize::MAX;
        if length < HEAD + 4 || length % 4 != 0 || !fits || usize::from(header.name_len) > length - HEAD {
            return Err(damaged());
        }
        let inode = header.inode.get();
        if inode != 0 {
            inodes.push(inode);
        }
        at += length;
    }
    Ok(inodes)
}

/// The checksum of a root or node of a hash tree (`ext4_dx_csum_verify`).
fn check_index(bytes: &[u8], at: usize, seed: Checksum) -> Result<(), InspectError> {
    let number = |at: usize| -> Result<usize, InspectError> {
        let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()).ok_or_else(damaged)?;
        Ok(usize::from(u16::from_le_bytes(*bytes)))
    };
    let (limit, count) = (number(at)?, number(at + 2)?);
    let tail_at = at + limit * 8;
    if count == 0 || count > limit || tail_at + INDEX_TAIL != bytes.len() {
        return Err(InspectError::damaged("a directory's index"));
    }
    let used = bytes.get(..at + count * 8).ok_or_else(damaged)?;
    let tail = bytes.get(tail_at..).ok_or_else(damaged)?;
    let (reserved, checksum) = tail.split_at_checked(4).ok_or_else(damaged)?;
    let expected = seed.update(used).update(reserved).update(&[0; 4]).value().to_le_bytes();
    if checksum == expected {
        Ok(())
    } else {
        Err(InspectError::damaged("the checksum of a directory's index"))
    }
}
