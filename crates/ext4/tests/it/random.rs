//! Random trees: every oracle must find exactly what went in.

use offshoot_ext4::{Options, Size};
use offshoot_tree::{BLOCK_SIZE, Content, Device, Extent, Leaf, Metadata, SourceId, Timestamp};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::check;
use crate::image::options;
use crate::sample::{Layer, merge, xattrs};

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
    Whiteout(prop::sample::Index),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0xe9), any::<u8>()], 1..4),
        1 => vec(any::<u8>(), 200..255),
    ]
    .prop_map(|mut name| {
        for byte in &mut name {
            if matches!(*byte, 0 | b'/' | b'.') {
                *byte = b'_';
            }
        }
        name
    })
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    vec(name(), 1..5).prop_map(|names| names.join(&b'/'))
}

fn item() -> impl Strategy<Value = Item> {
    let device = || (0..4096u32, 0..1u32 << 20).prop_map(|(major, minor)| Device { major, minor });
    let target = prop_oneof![vec(1..=255u8, 1..130), vec(1..=255u8, 1000..4096)];
    prop_oneof![
        6 => (vec((0..5u64, 1..9u64), 0..6), 0..4096u64).prop_map(|(pieces, lacks)| Item::File(pieces, lacks)),
        1 => vec((1..3u64, 1..2u64), 300..400).prop_map(|pieces| Item::File(pieces, 0)),
        1 => (0..3u64, 300..2000u64).prop_map(|(hole, blocks)| Item::File(vec![(hole, blocks)], 5)),
        2 => target.prop_map(Item::Symlink),
        1 => device().prop_map(Item::Char),
        1 => device().prop_map(Item::Block),
        1 => Just(Item::Fifo),
        1 => Just(Item::Socket),
        3 => Just(Item::Directory),
        3 => any::<prop::sample::Index>().prop_map(Item::Link),
        1 => any::<prop::sample::Index>().prop_map(Item::Whiteout),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let name = prop_oneof!["user\\.[a-z]{1,9}", "trusted\\.[a-z.]{1,30}", "security\\.[a-z]{1,3}"];
    let value = prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 0..900)];
    let xattrs = prop_oneof![3 => Just(Default::default()), 1 => btree_map(name, value, 0..4)];
    // Before 2038: ext4-view takes the low word of a time for unsigned.
    let mtime = (0..1i64 << 31, 0..1_000_000_000u32);
    (0..0o10000u16, any::<u32>(), any::<u32>(), mtime, xattrs).prop_map(|(mode, uid, gid, time, pairs)| {
        let pairs = pairs.iter().map(|(name, value)| (name.as_bytes(), value.clone()));
        Metadata {
            mode,
            // The kernel shows the last one as an error.
            uid: uid.min(u32::MAX - 1),
            gid: gid.min(u32::MAX - 1),
            mtime: Timestamp { seconds: time.0, nanoseconds: time.1 },
            xattrs: xattrs_of(pairs),
        }
    })
}

fn xattrs_of<'a>(pairs: impl Iterator<Item = (&'a [u8], Vec<u8>)>) -> offshoot_tree::Xattrs {
    // `security.ima` and the like have meanings to the kernel, which then wants values of a form.
    xattrs(pairs.filter(|(name, _)| !matches!(*name, b"security.ima" | b"security.evm")))
}

fn content(layer: &mut Layer, pieces: &[(u64, u64)], lacks: u64) -> Content {
    let mut extents = Vec::new();
    let mut logical_block = 0;
    for &(hole, blocks) in pieces {
        logical_block += hole;
        // Every other piece follows the one before in the pack, the others leave a gap.
        layer.skip(hole % 2);
        let source_block = layer.content(blocks).extents[0].source_block;
        extents.push(Extent { logical_block, source_block, block_count: blocks });
        logical_block += blocks;
    }
    // Blocks of a pack end with at least 1,000 zeros.
    Content { size: (logical_block * BLOCK_SIZE).saturating_sub(lacks % 1000), source: SourceId(0), extents }
}

fn layer(items: Vec<(Vec<u8>, Metadata, Item)>) -> Layer {
    let mut layer = Layer::new();
    let paths: Vec<Vec<u8>> = items.iter().map(|(path, ..)| path.clone()).collect();
    for (path, metadata, item) in items {
        let leaf = match item {
            Item::File(pieces, lacks) => Leaf::File(content(&mut layer, &pieces, lacks)),
            Item::Symlink(target) => {
                // A path, as ext4-view wants it.
                let target: Vec<u8> = target.chunks(200).collect::<Vec<_>>().join(&b'/');
                Leaf::Symlink(target[..target.len().min(4095)].into())
            }
            Item::Char(device) => Leaf::CharDevice(device),
            Item::Block(device) => Leaf::BlockDevice(device),
            Item::Fifo => Leaf::Fifo,
            Item::Socket => Leaf::Socket,
            Item::Directory => {
                let path = offshoot_tree::TreePath::parse(&path).unwrap();
                layer.changes.push(offshoot_tree::Change::Directory { path, metadata });
                continue;
            }
            Item::Link(target) => {
                let target = offshoot_tree::TreePath::parse(target.get::<Vec<u8>>(&paths)).unwrap();
                let path = offshoot_tree::TreePath::parse(&path).unwrap();
                layer.changes.push(offshoot_tree::Change::HardLink { path, target });
                continue;
            }
            Item::Whiteout(target) => {
                let path = offshoot_tree::TreePath::parse(target.get::<Vec<u8>>(&paths)).unwrap();
                layer.changes.push(offshoot_tree::Change::Whiteout { path });
                continue;
            }
        };
        let mut metadata = metadata;
        if !matches!(leaf, Leaf::File(_)) {
            // The kernel has them on files and directories alone.
            metadata.xattrs.retain(|name, _| !name.starts_with(b"user."));
        }
        layer.leaf(&path, metadata, leaf);
    }
    layer
}

/// Cases in a usual run; a variable of the environment asks for more.
pub(crate) fn cases() -> u32 {
    std::env::var("OFFSHOOT_PROPTEST_CASES").map_or(24, |cases| cases.parse().unwrap())
}

proptest! {
    #![proptest_config(Config { cases: cases(), failure_persistence: None, ..Config::default() })]

    #[test]
    fn come_out_as_they_went_in(
        layers in vec(vec((path(), metadata(), item()), 0..60), 1..4),
        wide in 0..700u32,
        journal: bool,
        headroom in 0..1u64 << 24,
        seeds: [u8; 32],
    ) {
        let mut layers: Vec<Layer> = layers.into_iter().map(layer).collect();
        for file in 0..wide {
            layers[0].leaf(format!("wide/{file}").as_bytes(), Metadata::default(), Leaf::Fifo);
        }
        // Links to what is not there, or is a directory, make a tree impossible: leave such layers out.
        let mut possible = Vec::new();
        let mut trial = offshoot_tree::Merge::new();
        for layer in layers {
            let mut changes = layer.changes.clone();
            changes.retain(|change| !matches!(change, offshoot_tree::Change::HardLink { .. }));
            let mut kept = changes.clone();
            for link in layer.changes.iter().filter(|c| matches!(c, offshoot_tree::Change::HardLink { .. })) {
                let mut with = kept.clone();
                with.push(link.clone());
                let mut merge = offshoot_tree::Merge::new();
                if merge.apply(SourceId(0), with.clone()).is_ok() {
                    kept = with;
                }
            }
            if trial.apply(SourceId(0), kept.clone()).is_ok() {
                possible.push(layer.with_changes(kept));
            } else {
                trial = offshoot_tree::Merge::new();
                possible.clear();
            }
        }
        let (tree, packs) = merge(possible);
        // A long link on the way to a file makes paths that only a walk by handles could list.
        prop_assume!(tree.walk().all(|(path, _)| path.as_bytes().len() < 3500));
        let size = Size::Automatic { headroom_percent: 10, headroom_min_bytes: headroom };
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&seeds[..16]);
        let mut hash_seed = [0; 16];
        hash_seed.copy_from_slice(&seeds[16..]);
        check::everything(&tree, &packs, &Options { uuid, hash_seed, size, journal, ..options() });
    }
}
