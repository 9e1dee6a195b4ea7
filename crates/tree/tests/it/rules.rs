//! Each rule of the image specification's `layer.md`, one row each.

use offshoot_tree::{
    Change, Content, Inode, Leaf, Merge, MergeProblem, Metadata, Node, SourceId, Tree, TreePath,
};

fn path(text: &str) -> TreePath {
    TreePath::parse(text.as_bytes()).unwrap()
}

/// One word a change: `d:PATH` directory, `f:PATH` file (its size tells which layer and place it is from),
/// `l:PATH>TARGET` symbolic link, `h:PATH>TARGET` hard link, `w:PATH` whiteout, `o:PATH` opaque whiteout.
fn changes(layer: u64, text: &str) -> Vec<Change> {
    let change = |(place, word): (usize, &str)| {
        let (kind, rest) = word.split_once(':').unwrap();
        let (name, target) = rest.split_once('>').unwrap_or((rest, ""));
        let path = path(name);
        let stamp = layer * 100 + place as u64;
        let metadata = Metadata { uid: u32::try_from(stamp).unwrap(), ..Metadata::default() };
        match kind {
            "d" => Change::Directory { path, metadata },
            "f" => {
                let leaf = Leaf::File(Content { size: stamp, ..Content::default() });
                Change::Leaf { path, metadata, leaf }
            }
            "l" => Change::Leaf { path, metadata, leaf: Leaf::Symlink(target.as_bytes().into()) },
            "h" => Change::HardLink { path, target: self::path(target) },
            "w" => Change::Whiteout { path },
            "o" => Change::OpaqueWhiteout { path },
            _ => panic!("{word}"),
        }
    };
    text.split_whitespace().enumerate().map(change).collect()
}

fn merge(layers: &[&str]) -> Result<Tree, MergeProblem> {
    let mut merge = Merge::new();
    for (index, text) in layers.iter().enumerate() {
        let source = SourceId(u32::try_from(index).unwrap());
        merge.apply(source, changes(index as u64, text)).map_err(|error| error.problem)?;
    }
    Ok(merge.finish())
}

/// `PATH` alone for an implied directory, with `=UID` for what an entry described, `*LINKS` above one link.
fn listing(tree: &Tree) -> String {
    let line = |(path, id)| {
        let Inode { metadata, node, links }: &Inode = tree.inode(id);
        let path: TreePath = path;
        let mut line = String::from_utf8(path.as_bytes().to_vec()).unwrap();
        match node {
            Node::Directory(_) => line.push('/'),
            Node::Leaf(Leaf::Symlink(_)) => line.push('@'),
            Node::Leaf(_) => {}
        }
        if metadata.uid > 0 {
            line.push_str(&format!("={}", metadata.uid));
        }
        if matches!(node, Node::Leaf(_)) && *links > 1 {
            line.push_str(&format!("*{links}"));
        }
        line
    };
    tree.walk().skip(1).map(line).collect::<Vec<_>>().join(" ")
}

#[test]
fn layers_merge_as_the_specification_says() {
    for (rule, layers, expected) in [
        ("nothing", &["", ""][..], ""),
        ("parents come into being", &["", "f:a/b/c"], "a/ a/b/ a/b/c=100"),
        ("a parent may be described after its child", &["", "f:a/b d:a"], "a/=101 a/b=100"),
        ("a file replaces a file", &["", "f:a", "f:a"], "a=200"),
        (
            "a directory over a directory keeps what is in it",
            &["", "d:a f:a/x", "d:a f:a/y"],
            "a/=200 a/x=101 a/y=201",
        ),
        ("a file over a directory", &["", "d:a f:a/x", "f:a"], "a=200"),
        ("a directory over a file", &["", "f:a", "d:a f:a/x"], "a/=200 a/x=201"),
        ("a directory over a link to a directory", &["", "d:b f:b/x l:a>b", "d:a"], "a/=200 b/=100 b/x=101"),
        ("an implied directory over a file", &["", "f:a", "f:a/x"], "a/ a/x=200"),
        ("the last of duplicates wins", &["", "f:a d:a f:a/x f:a"], "a=103"),
        ("duplicates of a directory add up", &["", "d:a f:a/x d:a f:a/y"], "a/=102 a/x=101 a/y=103"),
        ("a whiteout", &["", "f:a f:b", "w:a"], "b=101"),
        ("a whiteout of a directory", &["", "d:a f:a/b/c f:d", "w:a"], "d=102"),
        ("a whiteout of nothing", &["", "f:a", "w:b w:c/d"], "a=100"),
        ("a whiteout makes no parents", &["", "", "w:a/b"], ""),
        ("a whiteout before its own layer's file", &["", "f:a", "w:a f:a"], "a=201"),
        ("a whiteout after its own layer's file", &["", "f:a", "f:a w:a"], "a=200"),
        ("a whiteout and a new directory", &["", "d:a f:a/x", "d:a w:a f:a/y"], "a/=200 a/y=202"),
        ("opaque, first in its layer", &["", "d:a f:a/x f:a/s/z", "o:a f:a/y"], "a/=100 a/y=201"),
        ("opaque, last in its layer", &["", "d:a f:a/x f:a/s/z", "f:a/y o:a"], "a/=100 a/y=200"),
        ("opaque leaves no lower subdirectory", &["", "f:a/s/x", "f:a/s/y o:a"], "a/ a/s/ a/s/y=200"),
        ("opaque root", &["", "f:a f:b/c", "o:. f:d"], "d=201"),
        ("opaque over nothing", &["", "", "o:a"], ""),
        ("opaque twice", &["", "f:a/x", "o:a f:a/y", "o:a f:a/z"], "a/ a/z=301"),
        ("whiteouts hide lower layers for good", &["", "f:a", "w:a", "f:b"], "b=300"),
        ("a hard link in its layer", &["", "f:a h:b>a"], "a=100*2 b=100*2"),
        ("a hard link to a lower layer", &["", "f:a", "h:b>a"], "a=100*2 b=100*2"),
        ("a hard link outlives its target's replacement", &["", "f:a h:b>a", "f:a"], "a=200 b=100"),
        ("a hard link outlives its target's whiteout", &["", "f:a h:b>a", "w:a"], "b=100"),
        ("a hard link to what this layer replaced", &["", "f:a", "f:a h:b>a"], "a=200*2 b=200*2"),
        ("a hard link to what this layer replaces later", &["", "f:a", "h:b>a f:a"], "a=201 b=100"),
        ("a hard link over a directory", &["", "d:b f:b/x f:a", "h:b>a"], "a=102*2 b=102*2"),
        ("a hard link to a symbolic link", &["", "l:a>x h:b>a"], "a@=100*2 b@=100*2"),
        (
            "a parent that is a link is followed",
            &["", "d:usr/lib l:lib>usr/lib", "f:lib/x"],
            "lib@=101 usr/ usr/lib/=100 usr/lib/x=200",
        ),
        ("an absolute link stays in the image", &["", "l:a>/b/c", "f:a/x"], "a@=100 b/ b/c/ b/c/x=200"),
        (
            "an absolute link starts at the image's root",
            &["", "l:p/a>/b", "f:p/a/x"],
            "b/ b/x=200 p/ p/a@=100",
        ),
        ("a link cannot climb out", &["", "l:a>../../../b", "f:a/x"], "a@=100 b/ b/x=200"),
        (
            "a link up and down again",
            &["", "d:p/q l:p/q/r>../s", "f:p/q/r/x"],
            "p/ p/q/=100 p/q/r@=101 p/s/ p/s/x=200",
        ),
        ("the last component is not followed", &["", "d:b l:a>b", "f:a"], "a=200 b/=100"),
        ("a whiteout through a link", &["", "f:b/x l:a>b", "w:a/x"], "a@=101 b/"),
        (
            "not through a link that the layer replaces",
            &["", "f:b/x l:a>b", "d:a w:a/x"],
            "a/=200 b/ b/x=100",
        ),
        (
            "nor behind another link",
            &["", "f:d/x l:b/c>../d l:a>b", "d:a/c w:a/c/x"],
            "a@=102 b/ b/c/=200 d/ d/x=100",
        ),
        (
            "a link's target is not taken for the layer's",
            &["", "f:d/x l:a>b l:b>d", "f:b/y w:a/x"],
            "a@=101 b@=102 d/ d/y=200",
        ),
        ("an opaque whiteout through a link", &["", "f:b/x l:a>b", "o:a f:a/y"], "a@=101 b/ b/y=201"),
        (
            "a hard link's target through a link",
            &["", "f:b/x l:a>b", "h:c>a/x"],
            "a@=101 b/ b/x=100*2 c=100*2",
        ),
        ("a whiteout removes the link, not its target", &["", "f:b/x l:a>b", "w:a"], "b/ b/x=100"),
    ] {
        assert_eq!(merge(layers).map(|tree| listing(&tree)), Ok(expected.to_owned()), "{rule}: {layers:?}");
    }
}

#[test]
fn what_cannot_be_merged_is_refused() {
    for (layers, expected) in [
        (&["", "h:b>a"][..], MergeProblem::LinkTargetMissing(path("a"))),
        (&["", "h:b>a f:a"], MergeProblem::LinkTargetMissing(path("a"))),
        (&["", "f:a", "w:a h:b>a"], MergeProblem::LinkTargetMissing(path("a"))),
        (&["", "f:a", "h:b>a/x"], MergeProblem::LinkTargetMissing(path("a/x"))),
        (&["", "d:a h:b>a"], MergeProblem::LinkToDirectory(path("a"))),
        (&["", "h:b>."], MergeProblem::LinkToDirectory(path("."))),
        (&["", "f:a h:a>a"], MergeProblem::LinkToSelf),
        (&["", "l:a>b l:b>a f:a/x"], MergeProblem::SymlinkLoop),
        (&["", "l:a>a f:a/x"], MergeProblem::SymlinkLoop),
        (&["", "f:."], MergeProblem::RootNotDirectory),
        (&["", "l:.>a"], MergeProblem::RootNotDirectory),
    ] {
        assert_eq!(merge(layers).map(|tree| listing(&tree)), Err(expected), "{layers:?}");
    }
    let long = format!("l:a>{} f:a/x", "n".repeat(256));
    assert!(matches!(merge(&["", &long]), Err(MergeProblem::SymlinkTarget(_))));
}

#[test]
fn links_are_not_walked_for_ever() {
    // Ten links with a thousand steps each; a hundred files behind them take a million.
    let around = "a/../".repeat(500);
    let links: Vec<String> = (0..10).map(|n| format!("l:l{n}>{around}l{}", n + 1)).collect();
    let layer = |files: usize| {
        let files: Vec<String> = (0..files).map(|n| format!("f:l0/{n}")).collect();
        format!("d:a {} d:l10 {}", links.join(" "), files.join(" "))
    };
    assert_eq!(merge(&["", &layer(100)]).map(|tree| tree.len()), Ok(113));
    assert_eq!(merge(&["", &layer(2000)]), Err(MergeProblem::TooManyLinkSteps));
    // Layers count together.
    let links = layer(0);
    let again: Vec<String> = (0..2000).map(|n| format!("h:{n}>l0/x w:l0/gone{n}")).collect();
    assert_eq!(merge(&["", &links, "f:l10/x", &again.join(" ")]), Err(MergeProblem::TooManyLinkSteps));
}

#[test]
fn the_root_takes_the_attributes_of_its_entry() {
    let tree = merge(&["", "d:. f:a", "f:b"]).unwrap();
    assert_eq!(tree.inode(Tree::ROOT).metadata.uid, 100);
    assert_eq!(listing(&tree), "a=101 b=200");
}

#[test]
fn links_are_counted_and_inodes_numbered_by_walk() {
    let tree = merge(&["", "f:b/c/d f:a h:z>a d:b/e"]).unwrap();
    let links = |text: &str| tree.inode(tree.lookup(&path(text)).unwrap()).links;
    assert_eq!([links("."), links("b"), links("b/c"), links("a"), links("z")], [3, 4, 2, 2, 2]);
    let mut seen: Vec<usize> = tree.walk().map(|(_, id)| id.index()).collect();
    assert_eq!(seen.pop(), Some(1), "z is another name of a");
    assert_eq!(seen, (0..tree.len()).collect::<Vec<_>>());
}

#[test]
fn contents_point_into_their_own_layers_pack() {
    let tree = merge(&["f:a", "f:b", "h:c>a"]).unwrap();
    let source = |text: &str| match &tree.inode(tree.lookup(&path(text)).unwrap()).node {
        Node::Leaf(Leaf::File(content)) => content.source,
        other => panic!("{other:?}"),
    };
    assert_eq!([source("a"), source("b"), source("c")], [SourceId(0), SourceId(1), SourceId(0)]);
}

#[test]
fn depth_costs_no_stack() {
    let deep = "d/".repeat(100_000);
    let tree = merge(&["", &format!("f:{deep}x"), &format!("w:{deep}x")]).unwrap();
    assert_eq!(tree.len(), 100_001);
    drop(merge(&["", &format!("f:{deep}x"), "w:d"]).unwrap());
}
