//! What a tree's inodes become: one record each, made in the order of the tree.

use offshoot_tree::{Inode, InodeId, Leaf, Node, Timestamp, Tree};

use crate::error::Error;
use crate::extent::{ExtentTree, Mapping};
use crate::halves::{length, low16};
use crate::inode::{self, InodeFlags, InodeRecord, file_type};
use crate::placement::{DeepTree, Owner};
use crate::plan::Plan;
use crate::survey::FAST_SYMLINK_BYTES;
use crate::xattr::EncodedXattrs;
use crate::{BLOCK_BYTES, path, resize_inode};

/// The extent tree of a file or directory of the plan, and how to find its blocks.
pub(crate) fn extent_tree<'p>(
    plan: &'p Plan<'_>,
    deep: Option<&DeepTree>,
    mappings: &[Mapping],
) -> (ExtentTree, impl Fn(u64) -> u64 + use<'p>) {
    let first = deep.map_or(0, |deep| deep.address);
    let region = &plan.placement.layout.extent_blocks;
    (ExtentTree::new(mappings), move |block| region.physical(first.saturating_add(block)))
}

/// A record for something that these mappings are the blocks of.
fn mapped(plan: &Plan<'_>, mode: u16, deep: Option<&DeepTree>, mappings: &[Mapping]) -> InodeRecord {
    let (tree, address) = extent_tree(plan, deep, mappings);
    let data = mappings.iter().fold(0, |sum: u64, mapping| sum.saturating_add(mapping.blocks));
    InodeRecord {
        block: tree.root(address),
        blocks: data.saturating_add(tree.block_count()),
        flags: InodeFlags::EXTENTS,
        ..own(plan, mode)
    }
}

/// A record of the filesystem's own: root's, of the time it was made.
fn own(plan: &Plan<'_>, mode: u16) -> InodeRecord {
    let created = Timestamp { seconds: i64::from(plan.options.created_seconds), nanoseconds: 0 };
    InodeRecord {
        mode,
        uid: 0,
        gid: 0,
        mtime: created,
        links: 1,
        size: 0,
        blocks: 0,
        flags: InodeFlags::empty(),
        block: [0; 60],
        xattr_block: 0,
        body: [0; inode::BODY_SIZE],
    }
}

/// The resize inode.
pub(crate) fn resize(plan: &Plan<'_>) -> InodeRecord {
    let layout = &plan.placement.layout;
    InodeRecord {
        size: resize_inode::FILE_BYTES,
        blocks: resize_inode::block_count(&layout.geometry),
        block: resize_inode::root(layout.double_indirect),
        ..own(plan, file_type::REGULAR | 0o600)
    }
}

/// The journal's inode, if there is a journal.
pub(crate) fn journal(plan: &Plan<'_>) -> Option<InodeRecord> {
    let blocks = plan.placement.layout.geometry.journal_blocks;
    if blocks == 0 {
        return None;
    }
    let mut mappings = Vec::new();
    plan.placement.map_journal(&mut mappings);
    let deep = plan.placement.deep_trees.first().filter(|deep| deep.owner == Owner::Journal);
    let record = mapped(plan, file_type::REGULAR | 0o600, deep, &mappings);
    Some(InodeRecord { size: blocks.saturating_mul(BLOCK_BYTES), ..record })
}

/// The inode of a `lost+found` that the tree does not have.
pub(crate) fn lost_and_found(plan: &Plan<'_>) -> InodeRecord {
    let mut mappings = Vec::new();
    plan.placement.map_lost_and_found(&mut mappings);
    let record = mapped(plan, file_type::DIRECTORY | 0o700, None, &mappings);
    InodeRecord { links: 2, size: record.blocks.saturating_mul(BLOCK_BYTES), ..record }
}

/// Makes records of a tree's inodes, which must come in the order of the tree.
pub(crate) struct Records<'p, 'a> {
    plan: &'p Plan<'a>,
    /// How many of each kind came before.
    directories: usize,
    places: usize,
    xattr_blocks: u64,
    symlinks: u64,
    deep_directories: std::iter::Peekable<std::slice::Iter<'p, DeepTree>>,
    deep_files: std::iter::Peekable<std::slice::Iter<'p, DeepTree>>,
    mappings: Vec<Mapping>,
}

impl<'p, 'a> Records<'p, 'a> {
    pub(crate) fn new(plan: &'p Plan<'a>) -> Self {
        let deep = &plan.placement.deep_trees;
        let journal = deep.partition_point(|deep| deep.owner == Owner::Journal);
        let files = deep.partition_point(|deep| !matches!(deep.owner, Owner::File { .. }));
        Self {
            plan,
            directories: 0,
            places: 0,
            xattr_blocks: 0,
            symlinks: 0,
            deep_directories: deep.get(journal..files).unwrap_or_default().iter().peekable(),
            deep_files: deep.get(files..).unwrap_or_default().iter().peekable(),
            mappings: Vec::new(),
        }
    }

    /// The record of the next inode.
    pub(crate) fn make(&mut self, id: InodeId, inode: &Inode) -> Result<InodeRecord, Error> {
        let Inode { metadata, node, links } = inode;
        let record = match node {
            Node::Directory(_) => self.directory(id, *links),
            Node::Leaf(leaf) => self.leaf(leaf, *links),
        };
        let mut record = InodeRecord {
            mode: record.mode | metadata.mode & offshoot_tree::Metadata::MODE_MASK,
            uid: metadata.uid,
            gid: metadata.gid,
            mtime: metadata.mtime,
            ..record
        };
        if !metadata.xattrs.is_empty() {
            let encoded = EncodedXattrs::new(&metadata.xattrs)
                .map_err(|problem| path::error(self.plan.tree, id, problem))?;
            record.body = encoded.body;
            if encoded.has_block() {
                record.xattr_block = self.plan.placement.layout.xattr_blocks.physical(self.xattr_blocks);
                record.blocks = record.blocks.saturating_add(1);
                self.xattr_blocks = self.xattr_blocks.saturating_add(1);
            }
        }
        Ok(record)
    }

    fn directory(&mut self, id: InodeId, links: u32) -> InodeRecord {
        let position = self.directories;
        self.directories = self.directories.saturating_add(1);
        self.mappings.clear();
        let mut blocks = 0;
        if let Some(directory) = self.plan.survey.directories.get(position) {
            self.plan.placement.map_directory(directory, &mut self.mappings);
            blocks = directory.blocks;
        }
        let deep = self.deep_directories.next_if(|deep| deep.owner == Owner::Directory(position));
        let mut record = mapped(self.plan, file_type::DIRECTORY, deep, &self.mappings);
        record.size = blocks.saturating_mul(BLOCK_BYTES);
        if blocks > 1 {
            record.flags |= InodeFlags::INDEX;
        }
        let made = id == Tree::ROOT && self.plan.survey.numbering.makes_lost_and_found;
        let links = links.saturating_add(u32::from(made));
        // One stands for more than can be counted (`dir_nlink`).
        record.links = if links > inode::LINK_MAX { 1 } else { low16(links) };
        record
    }

    fn leaf(&mut self, leaf: &Leaf, links: u32) -> InodeRecord {
        let plan = self.plan;
        self.mappings.clear();
        let device = |device| inode::encode_device(device).unwrap_or([0; 60]);
        let record = match leaf {
            Leaf::File(content) => {
                let first_place = self.places;
                self.places = self.places.saturating_add(content.extents.len());
                plan.placement.map_file(&plan.survey, content, first_place, &mut self.mappings);
                let deep = self.deep_files.next_if(|deep| {
                    matches!(deep.owner, Owner::File { first_place: place, .. } if place == first_place)
                        && !content.extents.is_empty()
                });
                let record = mapped(plan, file_type::REGULAR, deep, &self.mappings);
                InodeRecord { size: content.size, ..record }
            }
            Leaf::Symlink(target) => {
                let mut record = own(plan, file_type::SYMLINK);
                if target.len() < FAST_SYMLINK_BYTES {
                    let (start, _) = record.block.split_at_mut(target.len());
                    start.copy_from_slice(target);
                } else {
                    plan.placement.layout.symlinks.map(self.symlinks, 1, 0, &mut self.mappings);
                    self.symlinks = self.symlinks.saturating_add(1);
                    record = mapped(plan, file_type::SYMLINK, None, &self.mappings);
                }
                record.size = length(target.len());
                record
            }
            Leaf::CharDevice(number) => {
                InodeRecord { block: device(*number), ..own(plan, file_type::CHAR_DEVICE) }
            }
            Leaf::BlockDevice(number) => {
                InodeRecord { block: device(*number), ..own(plan, file_type::BLOCK_DEVICE) }
            }
            Leaf::Fifo => own(plan, file_type::FIFO),
            Leaf::Socket => own(plan, file_type::SOCKET),
        };
        InodeRecord { links: low16(links), ..record }
    }
}
