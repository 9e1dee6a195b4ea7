use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use offshoot_testkit::layout::{Image, Layer, Layout, Tar};
use offshoot_testkit::samples::Sample;
use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle, scratch_directory, sha256_file};
use serde_json::Value;

use crate::program::{Store, text};

/// A small image in its own layout, and a store beside it.
fn small(directory: &std::path::Path) -> (Store, String) {
    let layout = directory.join("layout");
    let tar = Tar::new().directory("d", 0o755).file("d/f", 0o644, &[7; 1 << 20]).finish();
    Layout::create(&layout).add("x", &Image::new().layer(Layer::gzip(&tar)));
    (Store::at(directory.join("store")), format!("oci:{}:x", text(&layout)))
}

#[test]
fn reflinks_share_and_are_private() {
    for filesystem in [Filesystem::Xfs, Filesystem::Btrfs] {
        if !filesystem.available() || !oracle::available(&["filefrag"]) {
            continue;
        }
        let scratch = ScratchFilesystem::new(filesystem, 2 << 30);
        let (store, image) = small(scratch.path());
        let template = store.build(&[&image]);
        let clone = |vm: &str| PathBuf::from(store.run(&["clone", &image, vm, "--strategy", "reflink"]));
        let (first, second) = (clone("vm-1"), clone("vm-2"));
        // Of a template, too, what comes out of the packs is shared with them.
        for file in [&first, &template] {
            let extents = oracle::run(oracle::command("filefrag").arg("-v").arg(file));
            assert!(extents.contains("shared"), "{filesystem:?}: {extents}");
        }
        let before = sha256_file(&template);
        std::fs::File::options().write(true).open(&first).unwrap().write_all_at(b"mine", 1 << 20).unwrap();
        assert_ne!(sha256_file(&first), before, "{filesystem:?}");
        assert_eq!((sha256_file(&template), sha256_file(&second)), (before, before), "{filesystem:?}");
    }
}

#[test]
fn copies_where_nothing_can_be_shared() {
    if !Filesystem::Ext4.available() {
        return;
    }
    let scratch = ScratchFilesystem::new(Filesystem::Ext4, 512 << 20);
    let (store, image) = small(scratch.path());
    let template = store.build(&[&image]);
    let (message, code) = store.fails(&["clone", &image, "vm-1", "--strategy", "reflink"]);
    assert_eq!(code, 8, "{message}");
    let clone = PathBuf::from(store.run(&["clone", &image, "vm-1"]));
    assert_eq!(sha256_file(&clone), sha256_file(&template));
    let allocated = |path: &PathBuf| std::os::unix::fs::MetadataExt::blocks(&path.metadata().unwrap()) * 512;
    assert!(allocated(&clone) <= allocated(&template) + 4096, "holes stay holes");
}

#[test]
fn a_clone_says_what_it_is() {
    let directory = scratch_directory();
    let (store, image) = small(directory.path());
    let clone = || store.run(&["--format", "json", "clone", &image, "vm/../1"]);
    let value: Value = serde_json::from_str(&clone()).unwrap();
    assert_eq!(value["version"], 1);
    assert_eq!(value["vm_id"], "vm/../1");
    assert_eq!(value["format"], "raw");
    let path = PathBuf::from(value["path"].as_str().unwrap());
    assert!(path.starts_with(store.path.join("clones")), "{}", path.display());
    assert_eq!(path.components().count(), store.path.components().count() + 3, "{}", path.display());
    assert_eq!(value["size_bytes"], path.metadata().unwrap().len());
    let again: Value = serde_json::from_str(&clone()).unwrap();
    assert_eq!(again["path"], value["path"], "the same clone, asked for again");
    let listed = store.run(&["--format", "json", "clones"]);
    assert!(listed.contains("vm/../1"), "{listed}");
    store.run(&["release", "vm/../1"]);
    store.run(&["release", "vm/../1"]);
    assert!(!path.exists());
}

#[test]
fn the_app_shares_its_layers_with_dev() {
    if !Filesystem::Xfs.available() || !Sample::App.available() || !oracle::available(&["filefrag"]) {
        return;
    }
    let scratch = ScratchFilesystem::new(Filesystem::Xfs, 8 << 30);
    let store = Store::at(scratch.path().join("store"));
    store.build(&[&format!("oci:{}", Sample::Dev.reference())]);
    let packs = std::fs::read_dir(store.path.join("layers")).unwrap().count();
    let clone = store.run(&["clone", &format!("oci:{}", Sample::App.reference()), "vm-1"]);
    assert_eq!(std::fs::read_dir(store.path.join("layers")).unwrap().count(), packs + 1);
    oracle::e2fsck(clone.as_ref());
    // "N extents found": few, because every clone pays for each.
    let extents = oracle::run(oracle::command("filefrag").arg(&clone));
    let count: u32 = extents.rsplit(": ").next().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(count <= 16, "{extents}");
}
