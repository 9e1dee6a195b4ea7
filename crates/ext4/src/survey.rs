//! What a tree needs on ext4, whatever the filesystem's size: every inode checked and counted once.

use offshoot_tree::{Inode, InodeId, Leaf, Node, Tree};

use crate::contents::Contents;
use crate::dir_entry::FileType;
use crate::directory::{self, Entry, LOST_AND_FOUND_BLOCKS};
use crate::error::Problem;
use crate::geometry::{GROUP_BLOCKS, MAX_BLOCKS};
use crate::halves::{length, low32};
use crate::hash::NameHasher;
use crate::xattr::EncodedXattrs;
use crate::{Error, inode, path};

const LOST_AND_FOUND: &[u8] = b"lost+found";
/// Targets below this many bytes are in the inode.
pub(crate) const FAST_SYMLINK_BYTES: usize = 60;
const MAX_SYMLINK_BYTES: usize = 4095;
/// As many as the largest number of groups can have.
const MAX_INODES: u64 = MAX_BLOCKS / GROUP_BLOCKS * 32_752;

/// Which numbers the tree's inodes have: the root 2, the others from 11 or 12 on, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbering {
    /// Whether inode 11 is a `lost+found` that the tree does not have.
    pub(crate) makes_lost_and_found: bool,
    inodes: u32,
}

impl Numbering {
    fn new(tree: &Tree) -> Result<Self, Error> {
        let inodes = length(tree.len());
        if inodes.saturating_add(u64::from(inode::FIRST)) > MAX_INODES {
            return Err(Error::TooManyInodes { inodes, limit: MAX_INODES });
        }
        let root = tree.inode(Tree::ROOT).directory();
        let existing = root.and_then(|root| root.get(LOST_AND_FOUND)).copied();
        if let Some(id) = existing
            && tree.inode(id).directory().is_none()
        {
            return Err(path::error(tree, id, Problem::LostAndFound));
        }
        Ok(Self { makes_lost_and_found: existing.is_none(), inodes: low32(inodes) })
    }

    /// The number of an inode of the tree.
    pub(crate) fn number(self, id: InodeId) -> u32 {
        if id == Tree::ROOT {
            return inode::ROOT;
        }
        let before = inode::FIRST.saturating_sub(u32::from(!self.makes_lost_and_found));
        before.saturating_add(low32(length(id.index())))
    }

    /// The highest number in use.
    pub(crate) fn last(self) -> u32 {
        let own = self.inodes.saturating_sub(1);
        inode::FIRST.saturating_sub(u32::from(!self.makes_lost_and_found)).saturating_add(own)
    }
}

/// A directory and its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryBlocks {
    pub(crate) id: InodeId,
    /// The number of the directory that it is in; the root is in itself.
    pub(crate) parent: u32,
    /// Its first block among those of all directories.
    pub(crate) address: u64,
    pub(crate) blocks: u64,
}

/// What a tree needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) numbering: Numbering,
    /// In the order of the tree; the blocks of a made `lost+found` come before all of them.
    pub(crate) directories: Vec<DirectoryBlocks>,
    pub(crate) directory_blocks: u64,
    /// Inodes with a block for extended attributes, in the order of the tree.
    pub(crate) xattr_blocks: Vec<InodeId>,
    /// Symbolic links with a block for their target, in the order of the tree.
    pub(crate) symlinks: Vec<InodeId>,
    pub(crate) contents: Contents,
}

impl Survey {
    /// Checks and counts.
    pub(crate) fn new(tree: &Tree, hasher: NameHasher) -> Result<Self, Error> {
        let numbering = Numbering::new(tree)?;
        let mut survey = Self {
            numbering,
            directories: Vec::new(),
            directory_blocks: if numbering.makes_lost_and_found { LOST_AND_FOUND_BLOCKS } else { 0 },
            xattr_blocks: Vec::new(),
            symlinks: Vec::new(),
            contents: Contents::new(tree)?,
        };
        let mut parents = vec![inode::ROOT; tree.len()];
        for (id, inode) in tree.inodes() {
            survey
                .add(tree, id, inode, hasher, &mut parents)
                .map_err(|problem| path::error(tree, id, problem))?;
        }
        Ok(survey)
    }

    fn add(
        &mut self,
        tree: &Tree,
        id: InodeId,
        inode: &Inode,
        hasher: NameHasher,
        parents: &mut [u32],
    ) -> Result<(), Problem> {
        if EncodedXattrs::needs_block(&inode.metadata.xattrs)? {
            self.xattr_blocks.push(id);
        }
        match &inode.node {
            Node::Directory(children) => {
                for child in children.values() {
                    if let Some(parent) = parents.get_mut(child.index()) {
                        *parent = self.numbering.number(id);
                    }
                }
                let blocks = directory::block_count(&entries(tree, self.numbering, id), hasher)
                    .ok_or(Problem::DirectoryTooLarge { entries: children.len() })?;
                let parent = parents.get(id.index()).copied().unwrap_or(inode::ROOT);
                self.directories.push(DirectoryBlocks { id, parent, address: self.directory_blocks, blocks });
                self.directory_blocks = self.directory_blocks.saturating_add(blocks);
                return Ok(());
            }
            Node::Leaf(Leaf::Symlink(target)) => {
                if target.is_empty() || target.len() > MAX_SYMLINK_BYTES {
                    return Err(Problem::SymlinkLength { bytes: target.len(), limit: MAX_SYMLINK_BYTES });
                }
                if target.contains(&0) {
                    return Err(Problem::SymlinkNul);
                }
                if target.len() >= FAST_SYMLINK_BYTES {
                    self.symlinks.push(id);
                }
            }
            Node::Leaf(Leaf::CharDevice(device) | Leaf::BlockDevice(device)) => {
                let (major, minor) = (device.major, device.minor);
                inode::encode_device(*device).ok_or(Problem::DeviceNumber { major, minor })?;
            }
            Node::Leaf(Leaf::File(_) | Leaf::Fifo | Leaf::Socket) => {}
        }
        if inode.links > inode::LINK_MAX {
            return Err(Problem::TooManyLinks { links: inode.links, limit: inode::LINK_MAX });
        }
        Ok(())
    }
}

/// The entries of a directory, the dots apart, with a made `lost+found` in the root.
pub(crate) fn entries(
    tree: &Tree,
    numbering: Numbering,
    id: InodeId,
) -> impl Iterator<Item = Entry<'_>> + Clone {
    let own = tree.inode(id).directory().into_iter().flatten().map(move |(name, &child)| Entry {
        name: name.as_bytes(),
        number: numbering.number(child),
        file_type: file_type(&tree.inode(child).node),
    });
    let made = (id == Tree::ROOT && numbering.makes_lost_and_found).then_some(Entry {
        name: LOST_AND_FOUND,
        number: inode::FIRST,
        file_type: FileType::Directory,
    });
    own.chain(made)
}

fn file_type(node: &Node) -> FileType {
    match node {
        Node::Directory(_) => FileType::Directory,
        Node::Leaf(Leaf::File(_)) => FileType::Regular,
        Node::Leaf(Leaf::Symlink(_)) => FileType::Symlink,
        Node::Leaf(Leaf::CharDevice(_)) => FileType::CharDevice,
        Node::Leaf(Leaf::BlockDevice(_)) => FileType::BlockDevice,
        Node::Leaf(Leaf::Fifo) => FileType::Fifo,
        Node::Leaf(Leaf::Socket) => FileType::Socket,
    }
}
