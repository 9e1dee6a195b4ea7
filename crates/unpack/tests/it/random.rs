//! Random trees: the kernel must show exactly what went in.

use offshoot_testkit::oracle;
use offshoot_tree::{Change, Device, Leaf, Merge, Metadata, SourceId, Timestamp, TreePath};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::check::{Directory, assert_listed, assert_same, native, overriding};
use crate::overriding::recorded;
use crate::sample::{Layer, merge, xattrs};
use crate::user::{NOBODY, as_nobody};

#[derive(Clone, Debug)]
enum Item {
    /// Pieces of the pack, each after so many blocks of hole, and how many bytes the last block lacks.
    File(Vec<(u64, u64)>, u64),
    Symlink(Vec<u8>),
    Char(Device),
    Block(Device),
    Fifo,
    Socket,
    Directory,
    /// Of an earlier path.
    Link(prop::sample::Index),
}

fn path() -> impl Strategy<Value = String> {
    let name = prop_oneof![8 => "[abé]{1,2}", 1 => "\\PC{1,60}", 1 => "[a-z]{255}"];
    let path = vec(name.prop_map(|name| name.replace(['/', '.', '\0'], "_")), 1..5);
    path.prop_map(|names| names.join("/"))
}

fn item() -> impl Strategy<Value = Item> {
    let device = || (0..4096u32, 0..1u32 << 20).prop_map(|(major, minor)| Device { major, minor });
    prop_oneof![
        6 => (vec((0..5u64, 1..9u64), 0..6), 0..4096u64).prop_map(|(pieces, lacks)| Item::File(pieces, lacks)),
        1 => (0..3u64, 10..80u64).prop_map(|(hole, blocks)| Item::File(vec![(hole, blocks)], 5)),
        2 => vec(1..=255u8, 1..300).prop_map(Item::Symlink),
        1 => device().prop_map(Item::Char),
        1 => device().prop_map(Item::Block),
        1 => Just(Item::Fifo),
        1 => Just(Item::Socket),
        3 => Just(Item::Directory),
        3 => any::<prop::sample::Index>().prop_map(Item::Link),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let name = prop_oneof!["user\\.[a-z]{1,9}", "trusted\\.[a-z]{1,30}"];
    let value = vec(any::<u8>(), 0..40);
    let set = prop_oneof![3 => Just(Default::default()), 1 => btree_map(name, value, 0..4)];
    let id = || prop_oneof![Just(0), 0..u32::MAX];
    // What ext4 can hold, on which the tests may run.
    let mtime = (-0x7fff_ffffi64..0x3_7fff_ffff, 0..1_000_000_000u32);
    (0..0o10000u16, id(), id(), mtime, set).prop_map(|(mode, uid, gid, time, pairs)| Metadata {
        mode,
        uid,
        gid,
        mtime: Timestamp { seconds: time.0, nanoseconds: time.1 },
        xattrs: xattrs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_slice()))),
    })
}

fn layer(items: Vec<(String, Metadata, Item)>) -> Layer {
    let mut layer = Layer::new();
    let paths: Vec<String> = items.iter().map(|(path, ..)| path.clone()).collect();
    for (path, mut metadata, item) in items {
        let leaf = match item {
            Item::File(pieces, lacks) => Leaf::File(layer.content(&pieces, lacks)),
            Item::Symlink(target) => Leaf::Symlink(target.into()),
            Item::Char(device) => Leaf::CharDevice(device),
            Item::Block(device) => Leaf::BlockDevice(device),
            Item::Fifo => Leaf::Fifo,
            Item::Socket => Leaf::Socket,
            Item::Directory => {
                layer.directory(&path, metadata);
                continue;
            }
            Item::Link(target) => {
                layer.link(&path, target.get::<String>(&paths));
                continue;
            }
        };
        if !matches!(leaf, Leaf::File(_)) {
            // The kernel has them on files and directories alone.
            metadata.xattrs.retain(|name, _| !name.starts_with(b"user."));
        }
        layer.leaf(&path, metadata, leaf);
    }
    layer
}

/// Leaves out the changes that cannot be applied: links to what is not there, paths through strange links.
fn possible(mut layer: Layer) -> Layer {
    let mut kept: Vec<Change> = Vec::new();
    for change in std::mem::take(&mut layer.changes) {
        kept.push(change);
        if Merge::new().apply(SourceId(0), kept.clone()).is_err() {
            kept.pop();
        }
    }
    layer.changes = kept;
    layer
}

/// Cases in a usual run; a variable of the environment asks for more.
fn cases() -> u32 {
    std::env::var("OFFSHOOT_PROPTEST_CASES").map_or(48, |cases| cases.parse().unwrap())
}

proptest! {
    #![proptest_config(Config { cases: cases(), failure_persistence: None, ..Config::default() })]

    #[test]
    fn come_out_as_they_went_in(
        items in vec((path(), metadata(), item()), 0..60),
        root in metadata(),
    ) {
        prop_assume!(oracle::root());
        let mut layer = possible(layer(items));
        layer.changes.push(Change::Directory { path: TreePath::root(), metadata: root });
        let sample = merge(vec![layer]);
        // A long link on the way to a file makes paths that only a walk by handles could list.
        prop_assume!(sample.tree.walk().all(|(path, _)| path.as_bytes().len() < 3500));
        let directory = Directory::new();
        let summary = directory.unpack(&sample, &native()).unwrap();
        assert_same(&directory.path, &sample);
        prop_assert_eq!((summary.xattrs_refused, summary.times_clamped), (0, 0));
        let directory = Directory::of_nobody();
        as_nobody(|| directory.unpack(&sample, &overriding()).unwrap());
        assert_listed(&directory.path, &recorded(&sample, NOBODY, |name| name.starts_with(b"user.")));
        as_nobody(|| offshoot_store::remove_tree(&directory.path).unwrap());
    }
}
