use std::collections::{BTreeMap, HashMap, HashSet};

use crate::tree::{Directory, Inode, InodeId, Node, Tree};
use crate::{Change, Leaf, MergeError, MergeProblem, Metadata, Name, SourceId, TreePath};

/// The kernel's `MAXSYMLINKS`.
const MAX_SYMLINKS: u32 = 40;
/// The most names of links' targets that are walked for all entries together. An image whose directories are links takes
/// a few for each of its files; what takes more was made to take long.
const MAX_LINK_STEPS: u64 = 16 << 20;

/// Layers being merged by the rules of the OCI image specification, `layer.md`.
///
/// - A layer's whiteouts hide what *lower* layers have, wherever they stand in the tar: all of a layer's
///   whiteouts are applied before any of its entries.
/// - Of several entries for one path in a layer, the last wins. A directory over a directory changes its
///   attributes and keeps its contents; any other pair replaces.
/// - Parents that nothing describes come into being as [`Metadata::default`] says.
/// - A parent that is a symbolic link is followed inside the image, as containerd and umoci do; the last
///   component never is.
#[derive(Debug)]
pub struct Merge {
    nodes: Vec<(Metadata, Node)>,
    /// How many names of links' targets may still be walked.
    link_steps: u64,
}

impl Default for Merge {
    fn default() -> Self {
        Self::new()
    }
}

impl Merge {
    /// An empty filesystem: the root directory alone.
    pub fn new() -> Self {
        let root = (Metadata::default(), Node::Directory(Directory::new()));
        Self { nodes: vec![root], link_steps: MAX_LINK_STEPS }
    }

    /// Applies one layer, whose file contents all lie in `source`.
    ///
    /// On error the merge is of no more use.
    pub fn apply(&mut self, source: SourceId, changes: Vec<Change>) -> Result<(), MergeError> {
        let mut replaced = ReplacedPaths::new(&changes);
        for change in changes.iter().filter(|change| change.is_whiteout()) {
            self.hide(change, &mut replaced).map_err(|problem| at(change.path(), problem))?;
        }
        for change in changes {
            if change.is_whiteout() {
                continue;
            }
            let path = change.path().clone();
            self.put(source, change).map_err(|problem| at(&path, problem))?;
        }
        Ok(())
    }

    /// The merged filesystem.
    pub fn finish(mut self) -> Tree {
        let mut inodes: Vec<Inode> = Vec::new();
        let mut renumbered: HashMap<InodeId, InodeId> = HashMap::new();
        // Each name waits with its parent's new number; the root is its own parent.
        let mut pending: Vec<(InodeId, Option<Name>, InodeId)> = vec![(Tree::ROOT, None, Tree::ROOT)];
        while let Some((parent, name, old)) = pending.pop() {
            let id = match renumbered.get(&old) {
                Some(&id) => id,
                None => {
                    let id = id_of(inodes.len());
                    renumbered.insert(old, id);
                    let (metadata, node) = std::mem::replace(
                        &mut self.nodes[old.index()],
                        (Metadata::default(), Node::Leaf(Leaf::Fifo)),
                    );
                    let (node, links) = match node {
                        Node::Directory(entries) => {
                            pending.extend(
                                entries.into_iter().rev().map(|(name, child)| (id, Some(name), child)),
                            );
                            (Node::Directory(Directory::new()), 2)
                        }
                        leaf @ Node::Leaf(_) => (leaf, 0),
                    };
                    inodes.push(Inode { metadata, node, links });
                    id
                }
            };
            let Some(name) = name else { continue };
            if matches!(inodes[id.index()].node, Node::Directory(_)) {
                inodes[parent.index()].links += 1;
            } else {
                inodes[id.index()].links += 1;
            }
            if let Node::Directory(entries) = &mut inodes[parent.index()].node {
                entries.insert(name, id);
            }
        }
        Tree { inodes }
    }

    fn hide(&mut self, change: &Change, replaced: &mut ReplacedPaths<'_>) -> Result<(), MergeProblem> {
        match change {
            Change::Whiteout { path } => {
                let Some((parent, name)) = path.split_last() else { return Ok(()) };
                if let Some(parent) = self.find_lower(&parent, replaced)? {
                    self.entries(parent).remove(name);
                }
            }
            Change::OpaqueWhiteout { path } => {
                if let Some(directory) = self.find_lower(path, replaced)? {
                    self.entries(directory).clear();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn put(&mut self, source: SourceId, change: Change) -> Result<(), MergeProblem> {
        match change {
            Change::Directory { path, metadata } => {
                let Some((parent, name)) = path.split_last() else {
                    self.nodes[Tree::ROOT.index()].0 = metadata;
                    return Ok(());
                };
                let parent = self.make_directories(&parent)?;
                match self.entries(parent).get(name).copied() {
                    Some(id) if self.is_directory(id) => self.nodes[id.index()].0 = metadata,
                    _ => {
                        let id = self.add(metadata, Node::Directory(Directory::new()));
                        self.entries(parent).insert(component(name), id);
                    }
                }
            }
            Change::Leaf { path, metadata, mut leaf } => {
                let (parent, name) = path.split_last().ok_or(MergeProblem::RootNotDirectory)?;
                let parent = self.make_directories(&parent)?;
                if let Leaf::File(content) = &mut leaf {
                    content.source = source;
                }
                let id = self.add(metadata, Node::Leaf(leaf));
                self.entries(parent).insert(component(name), id);
            }
            Change::HardLink { path, target } => {
                let (parent, name) = path.split_last().ok_or(MergeProblem::RootNotDirectory)?;
                if path == target {
                    return Err(MergeProblem::LinkToSelf);
                }
                let missing = || MergeProblem::LinkTargetMissing(target.clone());
                let (target_parent, target_name) =
                    target.split_last().ok_or_else(|| MergeProblem::LinkToDirectory(target.clone()))?;
                let target_parent = self.find(&target_parent, |_| Step::Follow)?.ok_or_else(missing)?;
                let id = *self.entries(target_parent).get(target_name).ok_or_else(missing)?;
                if self.is_directory(id) {
                    return Err(MergeProblem::LinkToDirectory(target));
                }
                let parent = self.make_directories(&parent)?;
                self.entries(parent).insert(component(name), id);
            }
            Change::Whiteout { .. } | Change::OpaqueWhiteout { .. } => {}
        }
        Ok(())
    }

    fn add(&mut self, metadata: Metadata, node: Node) -> InodeId {
        let id = id_of(self.nodes.len());
        self.nodes.push((metadata, node));
        id
    }

    fn is_directory(&self, id: InodeId) -> bool {
        matches!(self.nodes[id.index()].1, Node::Directory(_))
    }

    /// The entries of what is known to be a directory.
    fn entries(&mut self, id: InodeId) -> &mut BTreeMap<Name, InodeId> {
        match &mut self.nodes[id.index()].1 {
            Node::Directory(entries) => entries,
            Node::Leaf(_) => unreachable!("a leaf was taken for a directory"),
        }
    }

    /// The directory at `path` as the lower layers have it, or `None` where there is none, or where this
    /// layer puts something of its own in place of a symbolic link on the way.
    fn find_lower(
        &mut self,
        path: &TreePath,
        replaced: &mut ReplacedPaths<'_>,
    ) -> Result<Option<InodeId>, MergeProblem> {
        self.find(path, |link| if replaced.contains(link) { Step::Stop } else { Step::Follow })
    }

    /// The directory at `path`, links followed; `on_link` is asked about each link that the path names.
    fn find(
        &mut self,
        path: &TreePath,
        on_link: impl FnMut(&[u8]) -> Step,
    ) -> Result<Option<InodeId>, MergeProblem> {
        let mut walk = Walk::new(path, self.link_steps);
        let found = self.descend(&mut walk, on_link);
        self.link_steps = walk.link_steps;
        found
    }

    fn descend(
        &self,
        walk: &mut Walk<'_>,
        mut on_link: impl FnMut(&[u8]) -> Step,
    ) -> Result<Option<InodeId>, MergeProblem> {
        while let Some(name) = walk.next() {
            let Node::Directory(entries) = &self.nodes[walk.here().index()].1 else {
                return Ok(None);
            };
            let Some(&id) = entries.get(name.as_slice()) else { return Ok(None) };
            match &self.nodes[id.index()].1 {
                Node::Directory(_) => walk.enter(id),
                Node::Leaf(Leaf::Symlink(target)) => {
                    if let Some(literal) = walk.literal()
                        && matches!(on_link(literal), Step::Stop)
                    {
                        return Ok(None);
                    }
                    walk.follow(target)?;
                }
                Node::Leaf(_) => return Ok(None),
            }
        }
        Ok(Some(walk.here()))
    }

    /// The directory at `path`, links followed, whatever is missing made; what is neither directory nor
    /// link gives way.
    fn make_directories(&mut self, path: &TreePath) -> Result<InodeId, MergeProblem> {
        let mut walk = Walk::new(path, self.link_steps);
        while let Some(name) = walk.next() {
            let parent = walk.here();
            let existing = self.entries(parent).get(name.as_slice()).copied();
            match existing.map(|id| (id, &self.nodes[id.index()].1)) {
                Some((id, Node::Directory(_))) => walk.enter(id),
                Some((_, Node::Leaf(Leaf::Symlink(target)))) => walk.follow(target)?,
                Some((_, Node::Leaf(_))) | None => {
                    let name = Name::new(&name).map_err(MergeProblem::SymlinkTarget)?;
                    let id = self.add(Metadata::default(), Node::Directory(Directory::new()));
                    self.entries(parent).insert(name, id);
                    walk.enter(id);
                }
            }
        }
        self.link_steps = walk.link_steps;
        Ok(walk.here())
    }
}

enum Step {
    Follow,
    Stop,
}

/// A walk down a path inside the image, like the kernel's in a chroot: `..` stops at the root.
struct Walk<'a> {
    /// The directories from the root to here.
    stack: Vec<InodeId>,
    /// Names still to go, the next one last; those of the path itself with their ends in it.
    pending: Vec<(Vec<u8>, Option<usize>)>,
    links: u32,
    /// How many names of links' targets may still be walked.
    link_steps: u64,
    path: &'a TreePath,
    /// Where in `path` the name taken last ends; `None` if a link's target gave it.
    taken: Option<usize>,
}

impl<'a> Walk<'a> {
    fn new(path: &'a TreePath, link_steps: u64) -> Self {
        let mut end = 0;
        let mut pending: Vec<_> = path
            .components()
            .map(|name| {
                end += name.len() + usize::from(end > 0);
                (name.to_vec(), Some(end))
            })
            .collect();
        pending.reverse();
        Self { stack: vec![Tree::ROOT], pending, links: 0, link_steps, path, taken: None }
    }

    fn here(&self) -> InodeId {
        self.stack.last().copied().unwrap_or(Tree::ROOT)
    }

    /// The next name that is to be looked up in [`here`](Self::here).
    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let (name, end) = self.pending.pop()?;
            match name.as_slice() {
                b"" | b"." => {}
                b".." => {
                    if self.stack.len() > 1 {
                        self.stack.pop();
                    }
                }
                _ => {
                    self.taken = end;
                    return Some(name);
                }
            }
        }
    }

    fn enter(&mut self, directory: InodeId) {
        self.stack.push(directory);
    }

    /// The path so far as its author wrote it, unless a link's target gave the last name.
    fn literal(&self) -> Option<&'a [u8]> {
        self.taken.map(|taken| &self.path.as_bytes()[..taken])
    }

    fn follow(&mut self, target: &[u8]) -> Result<(), MergeProblem> {
        self.links += 1;
        if self.links > MAX_SYMLINKS {
            return Err(MergeProblem::SymlinkLoop);
        }
        if target.starts_with(b"/") {
            self.stack.truncate(1);
        }
        for name in target.rsplit(|&byte| byte == b'/') {
            self.link_steps = self.link_steps.checked_sub(1).ok_or(MergeProblem::TooManyLinkSteps)?;
            self.pending.push((name.to_vec(), None));
        }
        Ok(())
    }
}

/// The paths that a layer puts something at, collected when first asked for.
struct ReplacedPaths<'a> {
    changes: &'a [Change],
    paths: Option<HashSet<&'a [u8]>>,
}

impl<'a> ReplacedPaths<'a> {
    fn new(changes: &'a [Change]) -> Self {
        Self { changes, paths: None }
    }

    fn contains(&mut self, path: &[u8]) -> bool {
        self.paths
            .get_or_insert_with(|| {
                let puts = self.changes.iter().filter(|change| !change.is_whiteout());
                puts.map(|change| change.path().as_bytes()).collect()
            })
            .contains(path)
    }
}

fn at(path: &TreePath, problem: MergeProblem) -> MergeError {
    MergeError { path: path.clone(), problem }
}

/// A component of a path that was parsed already.
fn component(name: &[u8]) -> Name {
    Name::new(name).unwrap_or_else(|_| unreachable!("a tree path has only names"))
}

fn id_of(index: usize) -> InodeId {
    InodeId(u32::try_from(index).unwrap_or_else(|_| unreachable!("a layer's limits are below 2^32 entries")))
}
