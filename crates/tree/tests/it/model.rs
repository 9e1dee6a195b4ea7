//! Random layers, merged by us and by the simplest program that could be right: a map from path to entry.

use std::collections::BTreeMap;

use offshoot_tree::{Change, Content, Leaf, Merge, Metadata, Node, SourceId, TreePath};
use proptest::prelude::*;

/// What is at a path: `None` for a directory, a number that tells files apart otherwise.
type Model = BTreeMap<Vec<u8>, Option<u64>>;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Directory,
    File,
    Whiteout,
    Opaque,
}

fn below(model: &Model, path: &[u8]) -> Vec<Vec<u8>> {
    let prefix = [path, b"/"].concat();
    model.keys().filter(|key| path.is_empty() || key.starts_with(&prefix)).cloned().collect()
}

fn remove(model: &mut Model, path: &[u8]) {
    for key in below(model, path) {
        model.remove(&key);
    }
    model.remove(path);
}

fn apply(model: &mut Model, layer: &[(Kind, TreePath, u64)]) {
    for (kind, path, _) in layer {
        match kind {
            Kind::Whiteout => remove(model, path.as_bytes()),
            Kind::Opaque => below(model, path.as_bytes()).iter().for_each(|key| {
                model.remove(key);
            }),
            _ => {}
        }
    }
    for (kind, path, stamp) in layer {
        if matches!(kind, Kind::Whiteout | Kind::Opaque) {
            continue;
        }
        let mut parent = path.split_last().map(|(parent, _)| parent);
        while let Some(ancestor) = parent.filter(|ancestor| !ancestor.is_root()) {
            let entry = model.entry(ancestor.as_bytes().to_vec()).or_default();
            *entry = None;
            parent = ancestor.split_last().map(|(parent, _)| parent);
        }
        if matches!(kind, Kind::File) {
            remove(model, path.as_bytes());
            model.insert(path.as_bytes().to_vec(), Some(*stamp));
        } else {
            model.insert(path.as_bytes().to_vec(), None);
        }
    }
}

fn entries() -> impl Strategy<Value = Vec<(Kind, TreePath, u64)>> {
    let kind = prop_oneof![
        3 => Just(Kind::File),
        2 => Just(Kind::Directory),
        1 => Just(Kind::Whiteout),
        1 => Just(Kind::Opaque),
    ];
    let path = prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..4)
        .prop_map(|names| TreePath::parse(names.join("/").as_bytes()).unwrap());
    prop::collection::vec((kind, path, 1..1000_u64), 0..12)
}

fn changes(layer: &[(Kind, TreePath, u64)]) -> Vec<Change> {
    let change = |(kind, path, stamp): &(Kind, TreePath, u64)| {
        let (path, metadata) = (path.clone(), Metadata::default());
        match kind {
            Kind::Directory => Change::Directory { path, metadata },
            Kind::File => {
                let leaf = Leaf::File(Content { size: *stamp, ..Content::default() });
                Change::Leaf { path, metadata, leaf }
            }
            Kind::Whiteout => Change::Whiteout { path },
            Kind::Opaque => Change::OpaqueWhiteout { path },
        }
    };
    layer.iter().map(change).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn merging_agrees_with_the_model(layers in prop::collection::vec(entries(), 1..4)) {
        let (mut merge, mut model) = (Merge::new(), Model::new());
        for layer in &layers {
            merge.apply(SourceId(0), changes(layer)).unwrap();
            apply(&mut model, layer);
        }
        let tree = merge.finish();
        let merged: Model = tree
            .walk()
            .skip(1)
            .map(|(path, id)| {
                let size = match &tree.inode(id).node {
                    Node::Leaf(Leaf::File(content)) => Some(content.size),
                    _ => None,
                };
                (path.as_bytes().to_vec(), size)
            })
            .collect();
        prop_assert_eq!(merged, model);
    }
}
