//! What is checked and found out before anything is made.

use offshoot_tree::{BLOCK_SIZE, Content, Device, Inode, InodeId, Leaf, Name, Node, Tree, TreePath};

use crate::packs::Packs;
use crate::{Error, Problem};

/// Linux's `PATH_MAX`, without the NUL.
const SYMLINK_MAX: usize = 4095;
const MAJOR_MAX: u32 = 0xfff;
const MINOR_MAX: u32 = 0xf_ffff;
/// Offsets in files are positive `off_t`s.
const MAX_BLOCKS: u64 = 1 << 51;

/// Where each inode is made, and what has to wait until all of them are.
pub(crate) struct Survey<'t> {
    pub(crate) tree: &'t Tree,
    /// By inode: its first name; the root has none.
    places: Vec<Option<Place<'t>>>,
    /// All further names, in the order of their directories.
    pub(crate) links: Vec<Link<'t>>,
    /// By inode: whether its attributes are set last of all.
    late: Vec<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'t> {
    pub(crate) parent: InodeId,
    pub(crate) name: &'t Name,
}

/// One more name for an inode.
pub(crate) struct Link<'t> {
    pub(crate) place: Place<'t>,
    pub(crate) target: InodeId,
}

impl<'t> Survey<'t> {
    /// Checks all of the tree, so that nothing is begun that cannot be ended.
    pub(crate) fn new(tree: &'t Tree, packs: &Packs<'_>) -> Result<Self, Error> {
        let mut survey =
            Self { tree, places: vec![None; tree.len()], links: Vec::new(), late: vec![false; tree.len()] };
        for (id, inode) in tree.inodes() {
            for (name, &child) in inode.directory().into_iter().flatten() {
                let place = Place { parent: id, name };
                if survey.places[child.index()].is_none() {
                    survey.places[child.index()] = Some(place);
                } else {
                    survey.links.push(Link { place, target: child });
                    // The new name would change the time again.
                    survey.late[id.index()] = true;
                }
            }
            if inode.directory().is_some() && inode.metadata.mode & 0o700 != 0o700 {
                // Its owner could not go down into it.
                survey.late[id.index()] = true;
            }
        }
        // Nobody else enters before all is done.
        survey.late[Tree::ROOT.index()] = true;
        for (id, inode) in tree.inodes() {
            let checked = check(inode, packs).and_then(|()| check_names(inode));
            checked.map_err(|problem| Error::Unrepresentable { path: survey.path(id), problem })?;
        }
        Ok(survey)
    }

    /// Whether this name is the one that the inode is made by.
    pub(crate) fn is_first(&self, child: InodeId, place: Place<'t>) -> bool {
        self.places[child.index()] == Some(place)
    }

    pub(crate) fn place(&self, id: InodeId) -> Option<Place<'t>> {
        self.places[id.index()]
    }

    pub(crate) fn is_late(&self, id: InodeId) -> bool {
        self.late[id.index()]
    }

    /// The directories whose attributes are set last, children before their parents.
    pub(crate) fn late_directories(&self) -> impl Iterator<Item = InodeId> {
        let late: Vec<InodeId> =
            self.tree.inodes().map(|(id, _)| id).filter(|&id| self.is_late(id)).collect();
        late.into_iter().rev()
    }

    /// The names from the root down, by way of first names.
    pub(crate) fn names(&self, id: InodeId) -> Vec<&'t Name> {
        let mut names = Vec::new();
        let mut next = self.place(id);
        while let Some(Place { parent, name }) = next {
            names.push(name);
            next = self.place(parent);
        }
        names.reverse();
        names
    }

    /// The path for a message.
    pub(crate) fn path(&self, id: InodeId) -> TreePath {
        let names: Vec<&[u8]> = self.names(id).into_iter().map(Name::as_bytes).collect();
        TreePath::parse(&names.join(&b'/')).unwrap_or_default()
    }

    pub(crate) fn path_of(&self, place: Place<'_>) -> TreePath {
        self.path(place.parent).join(place.name)
    }
}

fn check_names(inode: &Inode) -> Result<(), Problem> {
    let mut names = inode.directory().into_iter().flatten().map(|(name, _)| name.as_bytes());
    // Names are that by their type; this is the last place that could tell.
    if names
        .any(|name| matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, 0 | b'/')))
    {
        return Err(Problem::Name);
    }
    Ok(())
}

fn check(inode: &Inode, packs: &Packs<'_>) -> Result<(), Problem> {
    let metadata = &inode.metadata;
    if metadata.uid == u32::MAX || metadata.gid == u32::MAX {
        return Err(Problem::Owner { uid: metadata.uid, gid: metadata.gid });
    }
    // Beyond lie `UTIME_NOW` and `UTIME_OMIT`.
    if metadata.mtime.nanoseconds >= 1_000_000_000 {
        return Err(Problem::Nanoseconds { nanoseconds: metadata.mtime.nanoseconds });
    }
    match &inode.node {
        Node::Leaf(Leaf::File(content)) => check_content(content, packs),
        Node::Leaf(Leaf::Symlink(target)) if target.is_empty() || target.len() > SYMLINK_MAX => {
            Err(Problem::SymlinkLength { bytes: target.len(), limit: SYMLINK_MAX })
        }
        Node::Leaf(Leaf::Symlink(target)) if target.contains(&0) => Err(Problem::SymlinkNul),
        Node::Leaf(Leaf::CharDevice(device) | Leaf::BlockDevice(device)) => {
            let Device { major, minor } = *device;
            if major > MAJOR_MAX || minor > MINOR_MAX {
                return Err(Problem::DeviceNumber { major, minor });
            }
            Ok(())
        }
        Node::Directory(_) | Node::Leaf(Leaf::Symlink(_) | Leaf::Fifo | Leaf::Socket) => Ok(()),
    }
}

/// After this, every offset in bytes is below 2⁶³, and all that is read lies in its pack.
fn check_content(content: &Content, packs: &Packs<'_>) -> Result<(), Problem> {
    if i64::try_from(content.size).is_err() {
        return Err(Problem::FileTooLarge { bytes: content.size });
    }
    let blocks = content.size.div_ceil(BLOCK_SIZE);
    let mut next = 0;
    for extent in &content.extents {
        let logical_block = extent.logical_block;
        let end = logical_block.checked_add(extent.block_count);
        let source_end = extent.source_block.checked_add(extent.block_count);
        let (Some(end), Some(source_end)) = (end, source_end) else {
            return Err(Problem::BadExtent { logical_block });
        };
        if extent.block_count == 0 || logical_block < next || end > blocks || source_end > MAX_BLOCKS {
            return Err(Problem::BadExtent { logical_block });
        }
        let pack = content.source.0;
        let length = packs.get(content.source).map_or(0, |pack| pack.length);
        if source_end * BLOCK_SIZE > length {
            return Err(Problem::NotInPack { logical_block, pack });
        }
        next = end;
    }
    Ok(())
}
