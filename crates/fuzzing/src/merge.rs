mod model;

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Result, Unstructured};
use offshoot_tree::{
    Change, Content, Device, Leaf, Merge, Metadata, Node, SourceId, Timestamp, Tree, TreePath,
};

use crate::noise::noise;
use model::{Kind, Model};

/// Names that meet often.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "..x", "\u{e9}"];
const TARGETS: [&str; 14] =
    ["a", "b", "c", "/", "/a", "/b/c", "..", "../a", "../../b", ".", "./c/", "a/../b", "//d//a", "..x/a"];

/// Layers of any changes, merged by us and by a program so simple that it could not be wrong: a map from path to
/// entry. Links in the way, hard links and errors included.
pub fn merge(input: &[u8]) {
    let Ok(layers) = layers(&mut Unstructured::new(input)) else { return };
    let (mut merge, mut model) = (Merge::new(), Model::new());
    for (number, layer) in (0..).zip(&layers) {
        let merged = merge.apply(SourceId(number), layer.clone());
        let modelled = model.apply(layer);
        assert_eq!(merged.is_ok(), modelled.is_some(), "{merged:?}\n{layers:#?}");
        if merged.is_err() {
            return;
        }
    }
    let tree = merge.finish();
    check_tree(&tree);
    assert_eq!(listed(&tree), model.listed(), "{layers:#?}");
}

/// What holds of every tree.
pub(crate) fn check_tree(tree: &Tree) {
    let mut names: BTreeMap<usize, u32> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (path, id) in tree.walk() {
        assert!(tree.lookup(&path) == Some(id), "{path}");
        *names.entry(id.index()).or_default() += 1;
        // Numbered without gaps in the order of the walk.
        if seen.insert(id.index()) {
            assert_eq!(id.index(), seen.len() - 1, "{path}");
        }
    }
    assert_eq!(seen.len(), tree.len(), "an inode that nothing leads to");
    for (id, inode) in tree.inodes() {
        let subdirectories = |entries: &offshoot_tree::Directory| {
            entries.values().filter(|child| tree.inode(**child).directory().is_some()).count()
        };
        let expected = match inode.directory() {
            Some(entries) => 2 + u32::try_from(subdirectories(entries)).unwrap(),
            None => names[&id.index()],
        };
        assert_eq!(inode.links, expected, "inode {}", id.index());
    }
}

/// Every path, what is there, and which of the paths that share an inode comes first.
fn listed(tree: &Tree) -> BTreeMap<Vec<u8>, (Kind, Vec<u8>)> {
    let mut first = BTreeMap::new();
    tree.walk()
        .map(|(path, id)| {
            let path = path.as_bytes().to_vec();
            let inode = tree.inode(id);
            let kind = match &inode.node {
                Node::Directory(_) => Kind::Directory(inode.metadata.mtime.seconds),
                Node::Leaf(Leaf::File(content)) => Kind::File(content.size, content.source.0),
                Node::Leaf(Leaf::Symlink(target)) => Kind::Symlink(target.to_vec()),
                Node::Leaf(_) => Kind::Other,
            };
            let first = first.entry(id).or_insert_with(|| path.clone());
            (path, (kind, first.clone()))
        })
        .collect()
}

fn layers(input: &mut Unstructured<'_>) -> Result<Vec<Vec<Change>>> {
    (0..input.int_in_range(1..=4)?)
        .map(|_| (0..input.int_in_range(0..=12)?).map(|_| change(input)).collect())
        .collect()
}

fn change(input: &mut Unstructured<'_>) -> Result<Change> {
    let path = path(input)?;
    let kind = input.int_in_range(0..=15)?;
    let metadata = Metadata {
        mtime: Timestamp { seconds: input.int_in_range(1..=255)?, nanoseconds: 0 },
        ..Metadata::default()
    };
    let leaf = |leaf| Change::Leaf { path: path.clone(), metadata: metadata.clone(), leaf };
    Ok(match kind {
        0..=3 => Change::Directory { path, metadata },
        4..=6 => leaf(Leaf::File(Content { size: input.int_in_range(0..=255)?, ..Content::default() })),
        7..=9 => leaf(Leaf::Symlink(target(input)?.into())),
        10 => leaf(Leaf::CharDevice(Device { major: 1, minor: 3 })),
        11 => Change::HardLink { path, target: self::path(input)? },
        12 => Change::HardLink { path, target: self::path(input)? },
        13 => Change::OpaqueWhiteout { path },
        _ => Change::Whiteout { path },
    })
}

fn path(input: &mut Unstructured<'_>) -> Result<TreePath> {
    // The root now and then, and deep paths seldom.
    let depth = input.choose(&[1, 1, 2, 2, 2, 3, 4, 0])?;
    let names = (0..*depth).map(|_| input.choose(&NAMES).copied()).collect::<Result<Vec<_>>>()?;
    Ok(TreePath::parse(names.join("/").as_bytes()).unwrap())
}

fn target(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    // A name that no directory can have, in a link that a path leads through.
    if input.ratio(1, 40)? {
        return Ok(vec![b'x'; 256]);
    }
    Ok(input.choose(&TARGETS)?.as_bytes().to_vec())
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..32).map(|seed| noise(seed, 40 + 12 * usize::try_from(seed).unwrap_or(0))).collect()
}
