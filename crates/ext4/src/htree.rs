//! The hash tree of a large directory: `struct dx_root`, `dx_node` and `dx_entry` in `fs/ext4/namei.c`.

use std::mem::size_of;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::checksum::Checksum;
use crate::dir_entry::{CAPACITY, EntryBlock, EntryHeader, FileType, entry_size};
use crate::directory::Entry;
use crate::halves::{length, low32};
use crate::hash::NameHasher;

/// The first block of an indexed directory up to its index: to old kernels, a block with two entries.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RootHead {
    dot: EntryHeader,
    dot_name: [u8; 4],
    dotdot: EntryHeader,
    dotdot_name: [u8; 4],
    reserved_zero: U32,
    hash_version: u8,
    info_length: u8,
    indirect_levels: u8,
    unused_flags: u8,
}

/// `struct dx_entry`: names from that hash on are below that block of the directory.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct IndexEntry {
    hash: U32,
    block: U32,
}

/// `struct dx_countlimit`, in place of the first entry's hash, which would be zero.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct CountLimit {
    limit: U16,
    count: U16,
    block: U32,
}

const _: () = {
    assert!(size_of::<RootHead>() == 32);
    assert!(size_of::<IndexEntry>() == 8);
    assert!(size_of::<CountLimit>() == 8);
    assert!(size_of::<RootHead>() + 8 * ROOT_LIMIT == INDEX_END);
    assert!(size_of::<EntryHeader>() + 8 * NODE_LIMIT == INDEX_END);
};

/// Entries in the root, and in a node below it. The checksum takes the place of one.
const ROOT_LIMIT: usize = 507;
const NODE_LIMIT: usize = 510;
/// Where `struct dx_tail` starts.
const INDEX_END: usize = 4088;
/// Leaves and nodes are filled to three quarters where that is possible: room to grow without a split.
const COMFORTABLE: usize = CAPACITY / 4 * 3;
const COMFORTABLE_NODE: usize = NODE_LIMIT / 4 * 3;

struct Hashed<'a> {
    hash: u32,
    entry: Entry<'a>,
}

#[derive(Clone, Copy)]
struct Leaf {
    /// Its first entry.
    start: usize,
    /// That entry's hash; the lowest bit says that the leaf before has entries of the same hash.
    hash: u32,
}

/// A directory's entries in the order of their hashes, cut into leaves.
pub(crate) struct HashTree<'a> {
    entries: Vec<Hashed<'a>>,
    leaves: Vec<Leaf>,
    /// How many leaves a node between root and leaves has; `None` where there are no such nodes.
    leaves_per_node: Option<usize>,
}

impl<'a> HashTree<'a> {
    /// Sorts and cuts; `None` if two full levels of index are too few.
    pub(crate) fn new(entries: impl Iterator<Item = Entry<'a>>, hasher: NameHasher) -> Option<Self> {
        let mut entries: Vec<Hashed<'a>> =
            entries.map(|entry| Hashed { hash: hasher.hash(entry.name), entry }).collect();
        entries.sort_unstable_by(|a, b| a.hash.cmp(&b.hash).then_with(|| a.entry.name.cmp(b.entry.name)));
        for fill in [COMFORTABLE, CAPACITY] {
            let leaves = cut(&entries, fill);
            if leaves.len() <= ROOT_LIMIT {
                return Some(Self { entries, leaves, leaves_per_node: None });
            }
            for per_node in [COMFORTABLE_NODE, NODE_LIMIT] {
                if leaves.len().div_ceil(per_node) <= ROOT_LIMIT {
                    return Some(Self { entries, leaves, leaves_per_node: Some(per_node) });
                }
            }
        }
        None
    }

    fn node_count(&self) -> usize {
        self.leaves_per_node.map_or(0, |per_node| self.leaves.len().div_ceil(per_node))
    }

    /// How many blocks the directory has.
    pub(crate) fn block_count(&self) -> u64 {
        length(self.leaves.len().saturating_add(self.node_count()).saturating_add(1))
    }

    /// All blocks in order: root, nodes, leaves. `seed` is the inode's.
    pub(crate) fn blocks(
        &self,
        number: u32,
        parent: u32,
        seed: Checksum,
    ) -> impl Iterator<Item = Box<[u8; 4096]>> {
        let first_leaf = length(self.node_count().saturating_add(1));
        let leaves: Vec<(u32, u32)> =
            self.leaves.iter().zip(first_leaf..).map(|(leaf, block)| (leaf.hash, low32(block))).collect();
        let nodes: Vec<&[(u32, u32)]> =
            self.leaves_per_node.map(|per_node| leaves.chunks(per_node).collect()).unwrap_or_default();
        let node_blocks: Vec<Box<[u8; 4096]>> = nodes.iter().map(|children| node(children, seed)).collect();
        let children: Vec<(u32, u32)> = if nodes.is_empty() {
            leaves
        } else {
            let first = nodes.iter().map(|node| node.first().map_or(0, |&(hash, _)| hash));
            first.zip(1..).collect()
        };
        let root = root(&children, number, parent, !node_blocks.is_empty(), seed);
        let ends = self.leaves.iter().skip(1).map(|leaf| leaf.start).chain([self.entries.len()]);
        let leaf_blocks = self.leaves.iter().zip(ends).map(move |(leaf, end)| {
            let mut block = EntryBlock::new();
            for Hashed { entry, .. } in self.entries.get(leaf.start..end).unwrap_or_default() {
                block.push(entry.number, entry.name, entry.file_type);
            }
            block.finish(seed)
        });
        [root].into_iter().chain(node_blocks).chain(leaf_blocks)
    }
}

fn cut(entries: &[Hashed<'_>], fill: usize) -> Vec<Leaf> {
    let mut leaves: Vec<Leaf> = Vec::new();
    let mut used = usize::MAX;
    let mut previous = None;
    for (start, entry) in entries.iter().enumerate() {
        let size = entry_size(entry.entry.name);
        used = used.saturating_add(size);
        if used > fill {
            let continued = previous == Some(entry.hash);
            leaves.push(Leaf { start, hash: entry.hash | u32::from(continued) });
            used = size;
        }
        previous = Some(entry.hash);
    }
    leaves
}

fn root(children: &[(u32, u32)], number: u32, parent: u32, nodes: bool, seed: Checksum) -> Box<[u8; 4096]> {
    let directory = FileType::Directory.code();
    let head = RootHead {
        dot: EntryHeader { inode: number.into(), rec_len: 12.into(), name_len: 1, file_type: directory },
        dot_name: *b".\0\0\0",
        dotdot: EntryHeader { inode: parent.into(), rec_len: 4084.into(), name_len: 2, file_type: directory },
        dotdot_name: *b"..\0\0",
        reserved_zero: 0.into(),
        hash_version: NameHasher::VERSION,
        info_length: 8,
        indirect_levels: u8::from(nodes),
        unused_flags: 0,
    };
    index_block(head.as_bytes(), ROOT_LIMIT, children, seed)
}

/// A node between root and leaves: to old kernels, one unused entry.
fn node(children: &[(u32, u32)], seed: Checksum) -> Box<[u8; 4096]> {
    let head = EntryHeader { inode: 0.into(), rec_len: 4096.into(), name_len: 0, file_type: 0 };
    index_block(head.as_bytes(), NODE_LIMIT, children, seed)
}

/// Head, entries, and `struct dx_tail`: a reserved word and the checksum over what is in use.
fn index_block(head: &[u8], limit: usize, children: &[(u32, u32)], seed: Checksum) -> Box<[u8; 4096]> {
    let mut used = Vec::with_capacity(4096);
    used.extend_from_slice(head);
    let number = |value: usize| u16::try_from(value).unwrap_or(u16::MAX).into();
    for (position, &(hash, block)) in children.iter().enumerate() {
        if position == 0 {
            let first =
                CountLimit { limit: number(limit), count: number(children.len()), block: block.into() };
            used.extend_from_slice(first.as_bytes());
        } else {
            used.extend_from_slice(IndexEntry { hash: hash.into(), block: block.into() }.as_bytes());
        }
    }
    let checksum = seed.update(&used).update(&[0; 8]).value();
    let mut block = Box::new([0; 4096]);
    let (to, _) = block.split_at_mut(used.len());
    to.copy_from_slice(&used);
    if let Some(tail) = block.last_chunk_mut::<4>() {
        *tail = checksum.to_le_bytes();
    }
    block
}
