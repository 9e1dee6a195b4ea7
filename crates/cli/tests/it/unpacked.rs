use std::fs;
use std::path::PathBuf;

use offshoot_testkit::layout::{Image, Layer, Layout, Tar};
use offshoot_testkit::samples::Sample;
use offshoot_testkit::{Filesystem, Ignore, Listing, ScratchFilesystem, oracle, scratch_directory};
use serde_json::Value;

use crate::against_umoci::implied;
use crate::program::{Store, text};

/// The directory is what umoci unpacks, path by path.
fn compare(sample: Sample) {
    if !oracle::root() || !oracle::available(&["umoci"]) || !sample.available() {
        return;
    }
    let directory = scratch_directory();
    let bundle = directory.path().join("bundle");
    oracle::run(oracle::command("umoci").args(["unpack", "--image", &sample.reference()]).arg(&bundle));
    let store = Store::at(directory.path().join("store"));
    let rootfs = directory.path().join("rootfs");
    store.run(&["unpack", &format!("oci:{}", sample.reference()), text(&rootfs)]);
    let ignore = Ignore { mtime_of: implied(sample), ..Ignore::default() };
    Listing::of(&bundle.join("rootfs")).assert_same(&Listing::of(&rootfs), &ignore);
}

#[test]
fn tiny() {
    compare(Sample::Tiny);
}

#[test]
fn debian() {
    compare(Sample::Debian);
}

#[test]
fn dev() {
    compare(Sample::Dev);
}

#[test]
fn app() {
    compare(Sample::App);
}

fn small(directory: &std::path::Path) -> (Store, String) {
    let layout = directory.join("layout");
    let tar = Tar::new()
        .directory("etc", 0o755)
        .file("etc/motd", 0o640, b"hello\n")
        .file("large", 0o4755, &[7; 1 << 20])
        .finish();
    Layout::create(&layout).add("x", &Image::new().layer(Layer::gzip(&tar)));
    (Store::at(directory.join("store")), format!("oci:{}:x", text(&layout)))
}

#[test]
fn a_clone_may_be_a_directory() {
    for filesystem in [Filesystem::Ext4, Filesystem::Xfs] {
        if !filesystem.available() {
            continue;
        }
        let scratch = ScratchFilesystem::new(filesystem, 512 << 20);
        let (store, image) = small(scratch.path());
        let clone = |vm: &str| PathBuf::from(store.run(&["clone", &image, vm, "--as", "dir"]));
        let (first, second) = (clone("vm-1"), clone("vm-2"));
        assert!(first.ends_with("clones/vm-1/rootfs"), "{}", first.display());
        fs::write(first.join("etc/motd"), "mine").unwrap();
        assert_eq!(fs::read_to_string(second.join("etc/motd")).unwrap(), "hello\n");
        assert_eq!(clone("vm-1"), first, "the same again");
        assert_eq!(fs::read_to_string(first.join("etc/motd")).unwrap(), "mine");
        assert_eq!(store.run(&["reset", "vm-1"]), text(&first));
        assert_eq!(fs::read_to_string(first.join("etc/motd")).unwrap(), "hello\n");
        let record: Value =
            serde_json::from_str(&store.run(&["--format", "json", "clone", &image, "vm-1", "--as", "dir"]))
                .unwrap();
        assert_eq!(record["format"], "dir");
        let strategy = if filesystem == Filesystem::Xfs { "reflink" } else { "copy" };
        assert_eq!(record["strategy"], strategy);
        for (arguments, code) in [
            (vec!["clone", &image, "vm-1"], 4),
            (vec!["grow", "vm-1", "8G"], 2),
            (vec!["snapshot", "vm-1", "name"], 2),
            (vec!["clone", &image, "vm-3", "--as", "dir", "--size", "8G"], 2),
            (vec!["clone", &image, "vm-3", "--as", "dir", "--strategy", "qcow2"], 2),
        ] {
            let (message, found) = store.fails(&arguments);
            assert_eq!(found, code, "{message}");
        }
        store.run(&["release", "vm-1", "vm-2"]);
        assert!(!first.exists());
        assert!(!store.made().iter().any(|entry| entry.starts_with("tmp/") || entry.starts_with("clones/")));
    }
}

#[test]
fn nothing_is_unpacked_over_what_is_there() {
    let directory = scratch_directory();
    let (store, image) = small(directory.path());
    let target = directory.path().join("rootfs");
    fs::create_dir(&target).unwrap();
    assert_eq!(store.run(&["unpack", &image, text(&target)]), text(&target));
    let (message, code) = store.fails(&["unpack", &image, text(&target)]);
    assert_eq!(code, 4, "{message}");
    let file = directory.path().join("file");
    fs::write(&file, "precious").unwrap();
    let (message, code) = store.fails(&["unpack", &image, text(&file)]);
    assert_eq!(code, 4, "{message}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    let (message, code) = store.fails(&["unpack", &image, text(&directory.path().join("no/parent"))]);
    assert_eq!(code, 3, "{message}");
    // A link to a directory is not what it leads to.
    let link = directory.path().join("link");
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    store.fails(&["unpack", &image, text(&link)]);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    let names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("offshoot-")), "{names:?}");
}
