//! Contents that share their blocks with the packs.

use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle};
use offshoot_tree::{Leaf, Metadata};

use crate::check::{Directory, assert_same, native};
use crate::sample::{Layer, merge_in, metadata};

fn layer() -> Layer {
    let mut layer = Layer::new();
    for (name, pieces, lacks) in [
        ("small", vec![(0, 3)], 100),
        ("below", vec![(0, 16)], 1),
        ("just", vec![(0, 16)], 0),
        ("tail", vec![(0, 100)], 4095),
        ("holes", vec![(3, 20), (7, 2), (1, 64)], 5),
        ("large", vec![(0, 600)], 0),
    ] {
        let content = layer.content(&pieces, lacks);
        layer.leaf(name, Metadata { mode: 0o4755, uid: 1000, ..metadata() }, Leaf::File(content));
    }
    layer
}

#[test]
fn where_the_filesystem_can() {
    if !oracle::available(&["filefrag"]) {
        return;
    }
    for filesystem in [Filesystem::Xfs, Filesystem::Btrfs] {
        if !filesystem.available() {
            continue;
        }
        let scratch = ScratchFilesystem::new(filesystem, 512 << 20);
        let sample = merge_in(vec![layer()], Some(scratch.path()));
        for pack in &sample.packs {
            // Blocks that are still to be placed have no number for filefrag to print.
            pack.sync_all().unwrap();
        }
        let directory = Directory::on(scratch.path());
        let summary = directory.unpack(&sample, &native()).unwrap();
        assert_same(&directory.path, &sample);
        let shared = (16 + 99 + 20 + 63 + 600) * 4096;
        assert_eq!(summary.bytes_shared, shared, "{filesystem:?}");
        assert_eq!(summary.bytes_copied, (3 * 4096 - 100) + (16 * 4096 - 1) + 1 + 2 * 4096 + 4091);
        for (name, shares) in [
            ("small", false),
            ("below", false),
            ("just", true),
            ("tail", true),
            ("holes", true),
            ("large", true),
        ] {
            let mut filefrag = oracle::command("filefrag");
            let printed = oracle::run(filefrag.args(["-s", "-v"]).arg(directory.path.join(name)));
            assert_eq!(printed.contains("shared"), shares, "{filesystem:?}: {printed}");
        }
    }
}

#[test]
fn not_where_it_cannot() {
    if !Filesystem::Ext4.available() || !Filesystem::Xfs.available() {
        return;
    }
    let scratch = ScratchFilesystem::new(Filesystem::Ext4, 128 << 20);
    let other = ScratchFilesystem::new(Filesystem::Xfs, 512 << 20);
    for packs in [scratch.path(), other.path()] {
        let sample = merge_in(vec![layer()], Some(packs));
        let directory = Directory::on(scratch.path());
        let summary = directory.unpack(&sample, &native()).unwrap();
        assert_same(&directory.path, &sample);
        assert_eq!(summary.bytes_shared, 0);
    }
}
