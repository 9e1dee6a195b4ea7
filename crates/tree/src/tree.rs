use std::collections::BTreeMap;

use crate::{Leaf, Metadata, Name, TreePath};

/// A directory's entries in the order of their names' bytes.
pub type Directory = BTreeMap<Name, InodeId>;

/// The index of an inode in its [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub(crate) u32);

impl InodeId {
    /// The position in [`Tree::inodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One file, directory, link or device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Its attributes.
    pub metadata: Metadata,
    /// What it is.
    pub node: Node,
    /// `st_nlink`: names that lead here; for a directory, 2 and one for each subdirectory.
    pub links: u32,
}

/// What an inode is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory(Directory),
    /// Anything else.
    Leaf(Leaf),
}

impl Inode {
    /// The entries, if this is a directory.
    pub fn directory(&self) -> Option<&Directory> {
        match &self.node {
            Node::Directory(entries) => Some(entries),
            Node::Leaf(_) => None,
        }
    }
}

/// A whole filesystem in memory: the merged layers of an image.
///
/// Inodes are numbered without gaps in the order of a walk (parents before children, siblings by the
/// bytes of their names), so equal trees are numbered equally. The root is the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    pub(crate) inodes: Vec<Inode>,
}

impl Tree {
    /// The root directory.
    pub const ROOT: InodeId = InodeId(0);

    /// How many inodes there are, the root included.
    #[expect(clippy::len_without_is_empty, reason = "a tree always has its root")]
    pub fn len(&self) -> usize {
        self.inodes.len()
    }

    /// The inode of that id.
    ///
    /// # Panics
    ///
    /// If the id is another tree's and this one has fewer inodes.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.index()]
    }

    /// All inodes with their ids, parents before their children.
    pub fn inodes(&self) -> impl Iterator<Item = (InodeId, &Inode)> {
        (0..).map(InodeId).zip(&self.inodes)
    }

    /// The inode at exactly that path: no link is followed.
    pub fn lookup(&self, path: &TreePath) -> Option<InodeId> {
        let mut id = Self::ROOT;
        for component in path.components() {
            id = *self.inode(id).directory()?.get(component)?;
        }
        Some(id)
    }

    /// Every path with its inode, parents first, siblings by their names' bytes; hard links come up once
    /// a name. The root is the empty path.
    pub fn walk(&self) -> impl Iterator<Item = (TreePath, InodeId)> {
        let mut pending = vec![(TreePath::root(), Self::ROOT)];
        std::iter::from_fn(move || {
            let (path, id) = pending.pop()?;
            if let Some(entries) = self.inode(id).directory() {
                pending.extend(entries.iter().rev().map(|(name, &child)| (path.join(name), child)));
            }
            Some((path, id))
        })
    }
}
