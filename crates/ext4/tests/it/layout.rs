//! Where things lie: few extents for the host, nothing of what is shadowed, the same bytes every time.

use std::os::unix::fs::{FileExt, MetadataExt};

use offshoot_ext4::{Plan, Transfer};
use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle};
use offshoot_tree::{BLOCK_SIZE, SourceId, Tree};

use crate::check;
use crate::image::{Call, Image, options};
use crate::sample::{Layer, Packs, merge, tree};

const GIB_BLOCKS: u64 = 1 << 18;

/// How many extents the calls make if shared runs and written ranges are one each.
fn extents(calls: &[Call]) -> u64 {
    let mut extents = 0;
    let mut previous: Option<Call> = None;
    for call in calls {
        let share = |call: &Call| call.how == Some(Transfer::Share);
        let joins = previous.is_some_and(|previous| {
            previous.offset + previous.length == call.offset && !share(&previous) && !share(call)
        });
        extents += u64::from(!joins);
        previous = Some(*call);
    }
    extents
}

/// An image like those people have: a large base, three layers over it, files replaced and removed.
fn typical(base_blocks: u64) -> (Tree, Packs) {
    let mut base = Layer::new();
    let files = 4000;
    for file in 0..files {
        // Sizes from a block to a few hundred, of zeros so that the test is quick.
        let blocks = 1 + (base_blocks / files) * (file * 7919 % 201) / 100;
        let content = base.zeros(blocks);
        base.file(&format!("usr/{}/{file}", file / 100), content);
    }
    let mut layers = vec![base];
    for number in 0..3u64 {
        let mut layer = Layer::new();
        for file in 0..800 {
            let content = layer.zeros(1 + base_blocks / 12_000 * (file * 31 % 17));
            layer.file(&format!("opt/{number}/{file}"), content);
        }
        for file in (0..files).filter(|file| file % 397 == 13 * number) {
            layer.blocks(&format!("usr/{}/{file}", file / 100), 3);
        }
        layer.whiteout(&format!("usr/{}", 7 + number));
        layers.push(layer);
    }
    merge(layers)
}

#[test]
fn a_typical_image_has_few_extents() {
    for base in [GIB_BLOCKS / 4, GIB_BLOCKS / 2, GIB_BLOCKS, GIB_BLOCKS * 5 / 4] {
        let (tree, packs) = typical(base);
        let plan = Plan::new(&tree, &options()).unwrap();
        let summary = plan.summary();
        let image = Image::of(&plan, &packs);
        assert_eq!(extents(&image.calls), summary.extents, "{summary:?}");
        assert!(summary.extents <= 16, "{summary:?}");
        assert!(summary.runs >= 4, "{summary:?}");
        check::e2fsck(&image.path());
        let how = |how| image.calls.iter().filter(move |call| call.how == how).map(|call| call.length);
        assert_eq!(how(Some(Transfer::Share)).sum::<u64>(), summary.shared_bytes);
        assert_eq!(how(Some(Transfer::Copy)).sum::<u64>(), summary.copied_bytes);
        let zeros = how(None).sum::<u64>() - summary.metadata_bytes;
        assert!(zeros < 16 * (256 << 10), "{zeros} bytes of zeros between what is written");
    }
}

#[test]
fn what_is_shadowed_does_not_come_along() {
    let mut base = Layer::new();
    base.blocks("a", 1000).blocks("gone", 500).blocks("b", 1000);
    base.skip(77).blocks("c", 3);
    let mut upper = Layer::new();
    upper.blocks("gone", 1);
    let (tree, packs) = merge([base, upper]);
    let plan = Plan::new(&tree, &options()).unwrap();
    let summary = plan.summary();
    assert_eq!((summary.shared_bytes, summary.runs), (2000 * BLOCK_SIZE, 2));
    assert_eq!(summary.copied_bytes, 4 * BLOCK_SIZE);
    let image = check::everything(&tree, &packs, &options());
    let shares = image.calls.iter().filter(|call| call.how == Some(Transfer::Share)).count();
    assert_eq!(shares, 2);
}

#[test]
fn neighbours_in_the_pack_are_one_call() {
    let (tree, packs) = tree(|layer| {
        for file in 0..500 {
            layer.blocks(&format!("d/{file}"), 1 + file % 3);
        }
        layer.skip(1);
        for file in 0..50 {
            layer.blocks(&format!("e/{file}"), 1);
        }
    });
    let image = check::everything(&tree, &packs, &options());
    let transfers: Vec<_> = image.calls.iter().filter(|call| call.how.is_some()).collect();
    assert_eq!(transfers.len(), 2, "{transfers:?}");
    let writes: Vec<_> = image.calls.iter().filter(|call| call.how.is_none()).collect();
    assert!(writes.len() <= 3, "{writes:?}");
}

#[test]
fn the_same_bytes_every_time() {
    let (tree, packs) = typical(20_000);
    let one = Image::new(&tree, &packs, &options()).unwrap();
    let (tree, packs) = typical(20_000);
    let two = Image::new(&tree, &packs, &options()).unwrap();
    assert!(one.bytes() == two.bytes(), "two images of one tree differ");
    assert_eq!(Plan::new(&tree, &options()).unwrap(), Plan::new(&tree, &options()).unwrap());
    let other = offshoot_ext4::Options { uuid: [3; 16], ..options() };
    assert!(one.bytes() != Image::new(&tree, &packs, &other).unwrap().bytes());
}

/// These bytes are promised by the writer's version: where they change, it must grow.
#[test]
fn the_bytes_of_this_version() {
    let (tree, packs) = typical(2000);
    let image = Image::new(&tree, &packs, &options()).unwrap();
    let digest = offshoot_testkit::sha256(&image.bytes());
    assert_eq!((offshoot_ext4::WRITER_VERSION, format!("{digest}").as_str()), (1, GOLDEN));
}

const GOLDEN: &str = "c451e1b5f5ec8c2f942a098d3956ee5f1ea10993d66d1776d77f8e40ff485fef";

#[test]
fn grows_offline() {
    let (tree, packs) = typical(GIB_BLOCKS / 8);
    let image = Image::new(&tree, &packs, &options()).unwrap();
    for gib in [1, 5, 40, 512] {
        check::growth(&image.path(), gib << 30);
    }
}

/// On a filesystem that shares, the image's file has as many extents as the plan says.
#[test]
fn extents_on_xfs() {
    if !Filesystem::Xfs.available() || !oracle::available(&["filefrag"]) {
        return;
    }
    let scratch = ScratchFilesystem::new(Filesystem::Xfs, 4 << 30);
    let (tree, packs) = typical(GIB_BLOCKS / 4);
    let plan = Plan::new(&tree, &options()).unwrap();
    let sources: Vec<std::fs::File> = (0..4)
        .map(|source| {
            let path = scratch.path().join(format!("pack-{source}"));
            let file = std::fs::File::options().read(true).write(true).create_new(true).open(path).unwrap();
            for at in (0..packs.length(source)).step_by(1 << 20) {
                let length = (packs.length(source) - at).min(1 << 20);
                file.write_all_at(&vec![0x5a; length as usize], at).unwrap();
            }
            file.sync_all().unwrap();
            file
        })
        .collect();
    let path = scratch.path().join("image");
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    plan.emit(&mut Reflink { file: &file, sources: &sources }).unwrap();
    file.sync_all().unwrap();
    let output = oracle::run(oracle::command("filefrag").arg("-v").arg(&path));
    let found = output.lines().filter(|line| line.contains("..") && !line.contains("logical")).count() as u64;
    assert!(found <= 16, "{output}");
    assert_eq!(found, plan.summary().extents, "{output}");
    let shared = output.lines().filter(|line| line.contains("shared")).count();
    assert!(shared as u64 >= plan.summary().runs, "{output}");
    assert!(file.metadata().unwrap().blocks() > 0);
}

struct Reflink<'a> {
    file: &'a std::fs::File,
    sources: &'a [std::fs::File],
}

impl offshoot_ext4::Sink for Reflink<'_> {
    fn set_len(&mut self, bytes: u64) -> std::io::Result<()> {
        self.file.set_len(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn copy_from(
        &mut self,
        source: SourceId,
        source_offset: u64,
        offset: u64,
        length: u64,
        how: Transfer,
    ) -> std::io::Result<()> {
        let source = &self.sources[source.0 as usize];
        if how == Transfer::Share {
            // On XFS, this shares.
            let (mut from, mut to) = (source_offset, offset);
            while to < offset + length {
                let left = (offset + length - to) as usize;
                rustix::fs::copy_file_range(source, Some(&mut from), self.file, Some(&mut to), left)?;
            }
            return Ok(());
        }
        let mut bytes = vec![0; length as usize];
        source.read_exact_at(&mut bytes, source_offset)?;
        self.file.write_all_at(&bytes, offset)
    }
}
