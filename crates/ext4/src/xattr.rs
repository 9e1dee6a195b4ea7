//! Extended attributes, `fs/ext4/xattr.h`: in the inode's body first, then in one block.

use std::borrow::Cow;
use std::mem::{offset_of, size_of};

use offshoot_tree::Xattrs;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::acl;
use crate::checksum::Checksum;
use crate::error::Problem;
use crate::halves::{length, low32};
use crate::inode::BODY_SIZE;

/// `EXT4_XATTR_MAGIC`.
const MAGIC: u32 = 0xea02_0000;

/// The head of a block of attributes, `struct ext4_xattr_header`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct BlockHeader {
    h_magic: U32,
    h_refcount: U32,
    h_blocks: U32,
    h_hash: U32,
    h_checksum: U32,
    h_reserved: [U32; 3],
}

/// The head of an entry, `struct ext4_xattr_entry`; its name follows.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct EntryHeader {
    e_name_len: u8,
    e_name_index: u8,
    e_value_offs: U16,
    e_value_inum: U32,
    e_value_size: U32,
    e_hash: U32,
}

const _: () = {
    assert!(size_of::<BlockHeader>() == 32);
    assert!(offset_of!(BlockHeader, h_checksum) == 16);
    assert!(size_of::<EntryHeader>() == 16);
};

/// What the inode's body has after its magic number, and a block after its head.
const BODY_SPACE: usize = BODY_SIZE - 4;
const BLOCK_SPACE: usize = 4096 - size_of::<BlockHeader>();
/// The longest name, its namespace included (`XATTR_NAME_MAX`).
const MAX_NAME_BYTES: usize = 255;
/// Four zero bytes end the entries.
const END: usize = 4;

/// An attribute as ext4 sees it. In the kernel's order (`ext4_xattr_find_entry`): namespace, the name's
/// length, name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute<'a> {
    index: u8,
    name_len: u8,
    name: &'a [u8],
    value: Cow<'a, [u8]>,
}

impl<'a> Attribute<'a> {
    fn new(full_name: &'a [u8], value: &'a [u8]) -> Result<Self, Problem> {
        if full_name.len() > MAX_NAME_BYTES {
            return Err(Problem::XattrNameTooLong { bytes: full_name.len() });
        }
        let (index, name) = match full_name {
            b"system.posix_acl_access" => (2, &b""[..]),
            b"system.posix_acl_default" => (3, &b""[..]),
            // The kernel keeps the contents of small files there.
            b"system.data" => return Err(Problem::XattrNamespace { name: full_name.to_vec() }),
            _ => [(1, &b"user."[..]), (4, b"trusted."), (6, b"security."), (7, b"system.")]
                .into_iter()
                .find_map(|(index, prefix)| Some((index, full_name.strip_prefix(prefix)?)))
                .filter(|(_, name)| !name.is_empty())
                .ok_or_else(|| Problem::XattrNamespace { name: full_name.to_vec() })?,
        };
        let name_len = u8::try_from(name.len()).unwrap_or(u8::MAX);
        let value = match index {
            2 | 3 => {
                Cow::Owned(acl::to_disk(value).ok_or_else(|| Problem::Acl { name: full_name.to_vec() })?)
            }
            _ => Cow::Borrowed(value),
        };
        Ok(Self { index, name_len, name, value })
    }

    /// Bytes of head and name, and of the value.
    fn sizes(&self) -> (usize, usize) {
        let entry = self.name.len().next_multiple_of(4).saturating_add(size_of::<EntryHeader>());
        (entry, self.value.len().div_ceil(4).saturating_mul(4))
    }

    /// Bytes altogether.
    fn size(&self) -> usize {
        let (entry, value) = self.sizes();
        entry.saturating_add(value)
    }

    /// `ext4_xattr_hash_entry`.
    fn hash(&self) -> u32 {
        let name = self.name.iter().fold(0, |hash: u32, &byte| hash.rotate_left(5) ^ u32::from(byte));
        self.value.chunks(4).fold(name, |hash, chunk| {
            let mut word = [0; 4];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            hash.rotate_left(16) ^ u32::from_le_bytes(word)
        })
    }
}

/// A file's attributes, divided between inode and block.
#[derive(Debug)]
pub(crate) struct EncodedXattrs {
    /// What follows the inode's fields.
    pub(crate) body: [u8; BODY_SIZE],
    block: Option<Box<[u8; 4096]>>,
}

impl EncodedXattrs {
    /// Divides and encodes: what fits goes into the inode, in the kernel's order.
    pub(crate) fn new(xattrs: &Xattrs) -> Result<Self, Problem> {
        let mut body = [0; BODY_SIZE];
        if xattrs.is_empty() {
            return Ok(Self { body, block: None });
        }
        let (in_body, in_block) = divide(xattrs)?;
        if !in_body.is_empty() {
            let (magic, space) = body.split_at_mut(size_of::<U32>());
            magic.copy_from_slice(&MAGIC.to_le_bytes());
            write_entries(&in_body, 0, space);
        }
        let block = (!in_block.is_empty()).then(|| {
            let mut block = Box::new([0; 4096]);
            let (head, space) = block.split_at_mut(size_of::<BlockHeader>());
            write_entries(&in_block, size_of::<BlockHeader>(), space);
            let hash = in_block.iter().fold(0, |hash: u32, entry| hash.rotate_left(16) ^ entry.hash());
            let header = BlockHeader {
                h_magic: MAGIC.into(),
                h_refcount: 1.into(),
                h_blocks: 1.into(),
                h_hash: hash.into(),
                h_checksum: 0.into(),
                h_reserved: [0.into(); 3],
            };
            head.copy_from_slice(header.as_bytes());
            block
        });
        Ok(Self { body, block })
    }

    /// Whether a file with these attributes needs a block for them; the error is the one of [`new`](Self::new).
    pub(crate) fn needs_block(xattrs: &Xattrs) -> Result<bool, Problem> {
        Ok(!xattrs.is_empty() && !divide(xattrs)?.1.is_empty())
    }

    /// Whether there is a block.
    pub(crate) fn has_block(&self) -> bool {
        self.block.is_some()
    }

    /// The block's bytes, if there is one, sealed for its place; `seed` is the filesystem's.
    pub(crate) fn into_block(self, number: u64, seed: Checksum) -> Option<Box<[u8; 4096]>> {
        let mut block = self.block?;
        // Its own field is zero while the checksum is reckoned.
        let checksum = seed.update(&number.to_le_bytes()).update(block.as_slice()).value();
        let at = offset_of!(BlockHeader, h_checksum);
        if let Some(field) = block.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()) {
            *field = checksum.to_le_bytes();
        }
        Some(block)
    }
}

type Divided<'a> = (Vec<Attribute<'a>>, Vec<Attribute<'a>>);

fn divide(xattrs: &Xattrs) -> Result<Divided<'_>, Problem> {
    let mut all = xattrs
        .iter()
        .map(|(name, value)| Attribute::new(name, value))
        .collect::<Result<Vec<_>, Problem>>()?;
    all.sort_unstable();
    let (mut in_body, mut in_block) = (Vec::new(), Vec::new());
    let (mut body_used, mut block_used) = (END, END);
    for attribute in all {
        let used = body_used.saturating_add(attribute.size());
        if used <= BODY_SPACE {
            body_used = used;
            in_body.push(attribute);
        } else {
            block_used = block_used.saturating_add(attribute.size());
            in_block.push(attribute);
        }
    }
    if block_used > BLOCK_SPACE {
        return Err(Problem::XattrsTooLarge { bytes: block_used, limit: BLOCK_SPACE });
    }
    Ok((in_body, in_block))
}

/// Entries from the front, values from the back. Values' offsets count from `base` bytes before `space`.
fn write_entries(attributes: &[Attribute<'_>], base: usize, space: &mut [u8]) {
    let mut value_end = space.len().saturating_add(base);
    let mut rest = space;
    for attribute in attributes {
        let (entry_size, value_size) = attribute.sizes();
        value_end = value_end.saturating_sub(value_size);
        let offset =
            if attribute.value.is_empty() { 0 } else { u16::try_from(value_end).unwrap_or_default() };
        let header = EntryHeader {
            e_name_len: attribute.name_len,
            e_name_index: attribute.index,
            e_value_offs: offset.into(),
            e_value_inum: 0.into(),
            e_value_size: low32(length(attribute.value.len())).into(),
            e_hash: attribute.hash().into(),
        };
        let (entry, after) = rest.split_at_mut(entry_size);
        for (to, from) in entry.iter_mut().zip(header.as_bytes().iter().chain(attribute.name)) {
            *to = *from;
        }
        let (between, value) = after.split_at_mut(after.len().saturating_sub(value_size));
        for (to, from) in value.iter_mut().zip(attribute.value.iter()) {
            *to = *from;
        }
        rest = between;
    }
}
