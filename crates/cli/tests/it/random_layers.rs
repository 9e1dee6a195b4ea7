use std::collections::{BTreeMap, BTreeSet};

use offshoot_testkit::layout::{Image, Layer, Layout, Tar, TarEntry};
use offshoot_testkit::{LoopMount, oracle, scratch_directory};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::against_umoci::compare_trees;
use crate::program::{Store, text};

/// What a layer says of one path.
#[derive(Clone, Debug)]
enum Change {
    File { mode: u32, owner: u32, contents: usize, time: i64, xattr: Option<Vec<u8>> },
    Directory { mode: u32, opaque: bool },
    Symlink(String),
    Device(u32, u32),
    Fifo,
    HardLink(usize),
    Whiteout,
}

const PATHS: [&str; 12] =
    ["a", "b", "c", "a/a", "a/b", "a/c", "b/a", "b/b", "a/a/a", "a/a/b", "b/a/a", "b/a/b"];

fn change() -> impl Strategy<Value = Change> {
    // An empty value is one for GNU tar and for us, as `hostile::xattrs` has it; for what is written in Go it is none.
    let xattr = prop::option::of(prop::collection::vec(any::<u8>(), 1..300));
    prop_oneof![
        4 => (0..0o10000_u32, any::<u32>(), 0..20_000_usize, -5_000_000_000..5_000_000_000_i64, xattr)
            .prop_map(|(mode, owner, contents, time, xattr)| Change::File {
                mode,
                // The highest one means "leave it as it is" to chown.
                owner: owner & 0x7fff_ffff,
                contents,
                // What ext4 can say, and its host under umoci too.
                time: time.clamp(-2_000_000_000, 5_000_000_000),
                xattr,
            }),
        5 => (0..0o10000_u32, prop::bool::weighted(0.2))
            .prop_map(|(mode, opaque)| Change::Directory { mode: mode | 0o700, opaque }),
        1 => "[a-z/]{1,80}".prop_map(Change::Symlink),
        1 => (0..4096_u32, 0..(1_u32 << 20)).prop_map(|(major, minor)| Change::Device(major, minor)),
        1 => Just(Change::Fifo),
        1 => (0..PATHS.len()).prop_map(Change::HardLink),
        2 => Just(Change::Whiteout),
    ]
}

fn layers() -> impl Strategy<Value = Vec<Vec<(usize, Change)>>> {
    prop::collection::vec(prop::collection::vec((0..PATHS.len(), change()), 1..14), 1..4)
}

/// The layers' tars, well-formed as a builder would write them: a parent before its children, one entry a
/// path. What a real builder never says, and readers understand differently, is the merge's own tests' affair.
fn tars(layers: &[Vec<(usize, Change)>]) -> Vec<Vec<u8>> {
    // What each path is after the layers so far: true for a directory.
    let mut below: BTreeMap<&str, bool> = BTreeMap::new();
    layers.iter().map(|layer| tar(layer, &mut below)).collect()
}

fn tar(layer: &[(usize, Change)], paths: &mut BTreeMap<&'static str, bool>) -> Vec<u8> {
    let chosen: BTreeMap<&'static str, &Change> =
        layer.iter().map(|(path, change)| (PATHS[*path], change)).collect();
    let below = paths.clone();
    let (mut tar, mut files) = (Tar::new(), BTreeSet::new());
    tar.directory(".", 0o755);
    for (path, change) in chosen {
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        if parent.is_some_and(|parent| paths.get(parent) != Some(&true)) {
            continue;
        }
        let remove = |paths: &mut BTreeMap<&'static str, bool>| {
            paths.retain(|other, _| {
                *other != path && !other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
            });
        };
        let entry = |kind: u8| TarEntry { mtime: (1_000_000_000, 0), ..TarEntry::new(path, kind) };
        match change {
            Change::File { mode, owner, contents, time, xattr } => {
                let xattrs = xattr.iter().map(|value| (b"user.x".to_vec(), value.clone())).collect();
                let contents = path.bytes().cycle().take(*contents).collect();
                tar.entry(&TarEntry {
                    mode: *mode,
                    uid: u64::from(*owner),
                    gid: u64::from(*owner / 3),
                    mtime: (*time, 0),
                    xattrs,
                    contents,
                    ..TarEntry::new(path, b'0')
                });
                remove(paths);
                paths.insert(path, false);
                files.insert(path);
            }
            Change::Directory { mode, opaque } => {
                tar.entry(&TarEntry { mode: *mode, ..entry(b'5') });
                if *opaque {
                    tar.opaque(path);
                }
                if *opaque || paths.get(path) == Some(&false) {
                    remove(paths);
                }
                paths.insert(path, true);
            }
            Change::HardLink(to) if files.contains(PATHS[*to]) => {
                tar.hard_link(path, PATHS[*to]);
                remove(paths);
                paths.insert(path, false);
            }
            Change::Whiteout if below.contains_key(path) => {
                tar.whiteout(path);
                remove(paths);
            }
            Change::HardLink(_) | Change::Whiteout => {}
            Change::Symlink(target) => {
                tar.entry(&TarEntry { mode: 0o777, link: target.clone().into(), ..entry(b'2') });
                remove(paths);
                paths.insert(path, false);
            }
            Change::Device(major, minor) => {
                tar.entry(&TarEntry { device: (*major, *minor), ..entry(b'3') });
                remove(paths);
                paths.insert(path, false);
            }
            Change::Fifo => {
                tar.entry(&entry(b'6'));
                remove(paths);
                paths.insert(path, false);
            }
        }
    }
    tar.finish()
}

#[test]
fn umoci_agrees() {
    if !oracle::root() || !oracle::available(&["umoci", "e2fsck", "mount"]) {
        return;
    }
    let cases =
        std::env::var("OFFSHOOT_PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(32);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&layers(), |layers| {
        let directory = scratch_directory();
        let (layout, bundle) = (directory.path().join("layout"), directory.path().join("bundle"));
        let image = tars(&layers).iter().fold(Image::new(), |image, tar| image.layer(Layer::gzip(tar)));
        Layout::create(&layout).add("x", &image);
        let image = format!("{}:x", text(&layout));
        let disk = Store::at(directory.path().join("store")).build(&[&format!("oci:{image}")]);
        oracle::e2fsck(&disk);
        oracle::run(oracle::command("umoci").args(["unpack", "--image", &image]).arg(&bundle));
        let mount = LoopMount::read_only(&disk);
        compare_trees(&bundle.join("rootfs"), mount.path(), &[]);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
