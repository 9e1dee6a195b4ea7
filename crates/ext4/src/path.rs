//! Names for error messages: found only when there is an error.

use offshoot_tree::{InodeId, Name, Tree, TreePath};

use crate::Error;
use crate::error::Problem;

/// An error about that inode.
pub(crate) fn error(tree: &Tree, id: InodeId, problem: Problem) -> Error {
    Error::Unrepresentable { path: of(tree, id), problem }
}

/// A path of that inode: of several names the first in the order of the tree.
fn of(tree: &Tree, id: InodeId) -> TreePath {
    let mut parents: Vec<Option<(InodeId, &Name)>> = vec![None; tree.len()];
    for (parent, inode) in tree.inodes() {
        for (name, child) in inode.directory().into_iter().flatten() {
            if let Some(slot) = parents.get_mut(child.index()) {
                slot.get_or_insert((parent, name));
            }
        }
    }
    let mut names = Vec::new();
    let mut here = id;
    while let Some(Some((parent, name))) = parents.get(here.index()) {
        names.push(name.as_bytes());
        here = *parent;
    }
    names.reverse();
    TreePath::parse(&names.join(&b'/')).unwrap_or_default()
}
