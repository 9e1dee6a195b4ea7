use std::fs;
use std::path::Path;

use offshoot_testkit::layout::{Image, Layer, Layout, Tar};
use offshoot_testkit::{Filesystem, ScratchFilesystem, scratch_directory};
use serde_json::json;

use crate::program::{Store, text};

const NOT_FOUND: i32 = 3;
const CONFLICT: i32 = 4;
const INTEGRITY: i32 = 5;
const NO_SPACE: i32 = 6;
const UNSUPPORTED: i32 = 8;

fn tar() -> Vec<u8> {
    Tar::new().directory("d", 0o755).file("d/f", 0o644, &[7; 300_000]).finish()
}

fn layer() -> Layer {
    Layer::gzip(&tar())
}

/// Nothing that a failed command made is left: neither in the store nor at the output.
fn nothing_left(store: &Store, output: &Path, case: &str) {
    assert_eq!(store.made(), [""; 0], "{case}");
    let beside: Vec<_> = fs::read_dir(output.parent().unwrap()).unwrap().collect();
    assert!(beside.is_empty(), "{case}: {beside:?}");
}

#[test]
fn a_lie_is_told_apart_and_leaves_nothing() {
    let short = |layer: Layer, by: usize| {
        let length = layer.blob.as_ref().unwrap().len();
        layer.truncated(length - by)
    };
    let cut = |layer: Layer, by: usize| {
        let length = layer.blob.as_ref().unwrap().len();
        layer.cut_short(length - by)
    };
    let digest = layer().digest;
    let cases: [(&str, Image, i32, &str); 12] = [
        ("truncated blob", Image::new().layer(short(layer(), 100)), INTEGRITY, &digest),
        ("empty blob", Image::new().layer(layer().truncated(0)), INTEGRITY, &digest),
        ("gzip that ends early", Image::new().layer(cut(layer(), 10)), INTEGRITY, ""),
        ("tar that ends early", Image::new().layer(Layer::gzip(&tar()[..70_000])), INTEGRITY, ""),
        ("zstd that ends early", Image::new().layer(cut(Layer::zstd(&tar()), 10)), INTEGRITY, ""),
        ("wrong digest", Image::new().layer(Layer::plain(&tar()).with_wrong_digest()), INTEGRITY, "digest"),
        ("wrong digest of gzip", Image::new().layer(layer().with_wrong_digest()), INTEGRITY, &digest),
        ("wrong diff_id", Image::new().layer(layer().with_wrong_diff_id()), INTEGRITY, "sha256:"),
        ("missing blob", Image::new().layer(layer().missing()), NOT_FOUND, &digest),
        (
            "unknown media type",
            Image::new().layer(layer().with_media_type("application/vnd.example.layer+lz5")),
            UNSUPPORTED,
            "application/vnd.example.layer+lz5",
        ),
        ("not a tar", Image::new().layer(Layer::gzip(&[b'x'; 4096])), INTEGRITY, ""),
        (
            "a name that leaves the root",
            Image::new().layer(Layer::gzip(&Tar::new().file("../../escaped", 0o644, b"x").finish())),
            INTEGRITY,
            "escaped",
        ),
    ];
    for (case, image, code, said) in cases {
        let directory = scratch_directory();
        let (layout, out) = (directory.path().join("layout"), directory.path().join("out"));
        fs::create_dir(&out).unwrap();
        Layout::create(&layout).add("x", &image);
        let store = Store::at(directory.path().join("store"));
        let disk = out.join("disk");
        let (message, actual) =
            store.fails(&["build", &format!("oci:{}:x", text(&layout)), "-o", text(&disk)]);
        assert_eq!(actual, code, "{case}: {message}");
        assert!(message.contains(said), "{case}: {message}");
        nothing_left(&store, &disk, case);
    }
}

#[test]
fn an_image_that_is_not_there() {
    let directory = scratch_directory();
    let (layout, out) = (directory.path().join("layout"), directory.path().join("out"));
    fs::create_dir(&out).unwrap();
    let mut images = Layout::create(&layout);
    images.add_index("foreign", &[Image::new().platform("plan9", "mips").layer(layer())]);
    images.add_document("odd", "application/vnd.example+json", &json!({"schemaVersion": 2}));
    let store = Store::at(directory.path().join("store"));
    let disk = out.join("disk");
    let cases = [
        (format!("oci:{}:foreign", text(&layout)), NOT_FOUND, "plan9/mips"),
        // What is no image has no tag either.
        (format!("oci:{}:odd", text(&layout)), NOT_FOUND, "odd"),
        (format!("oci:{}:other", text(&layout)), NOT_FOUND, "other"),
        (format!("oci:{}/nowhere:x", text(&layout)), NOT_FOUND, "nowhere"),
        ("tar:/nowhere.tar".to_owned(), NOT_FOUND, "/nowhere.tar"),
    ];
    for (image, code, said) in cases {
        let (message, actual) = store.fails(&["build", &image, "-o", text(&disk)]);
        assert_eq!(actual, code, "{image}: {message}");
        assert!(message.contains(said), "{image}: {message}");
        nothing_left(&store, &disk, &image);
    }
}

#[test]
fn a_size_that_is_too_small() {
    let directory = scratch_directory();
    let (layout, out) = (directory.path().join("layout"), directory.path().join("out"));
    fs::create_dir(&out).unwrap();
    let tar = Tar::new().file("f", 0o644, &vec![7; 8 << 20]).finish();
    Layout::create(&layout).add("x", &Image::new().layer(Layer::gzip(&tar)));
    let store = Store::at(directory.path().join("store"));
    let disk = out.join("disk");
    let image = format!("oci:{}:x", text(&layout));
    let (message, code) = store.fails(&["build", &image, "--size", "4M", "-o", text(&disk)]);
    assert_eq!(code, 1, "{message}");
    assert!(message.contains("4194304"), "{message}");
    let made = store.made();
    // The image itself is sound: its pack and record may stay for the next try.
    let harmless = |entry: &String| entry.starts_with("layers/") || entry.starts_with("images/");
    assert!(made.iter().all(harmless), "{made:?}");
    assert!(fs::read_dir(&out).unwrap().next().is_none());
    store.run(&["build", &image, "-o", text(&disk)]);
}

#[test]
fn an_output_that_exists_is_kept() {
    let directory = scratch_directory();
    let layout = directory.path().join("layout");
    Layout::create(&layout).add("x", &Image::new().layer(layer()));
    let store = Store::at(directory.path().join("store"));
    let image = format!("oci:{}:x", text(&layout));
    let link = directory.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"precious").unwrap();
    for output in [&file, &link, &layout] {
        let (message, code) = store.fails(&["build", &image, "-o", text(output)]);
        assert_eq!(code, CONFLICT, "{message}");
        assert!(message.contains(text(output)), "{message}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    assert!(link.symlink_metadata().unwrap().is_symlink() && !directory.path().join("nowhere").exists());
}

#[test]
fn a_full_disk() {
    if !Filesystem::Ext4.available() {
        return;
    }
    let mut files = Tar::new();
    for index in 1..=40 {
        files.file(&format!("file-{index}"), 0o644, &vec![index; 4 << 20]);
    }
    let directory = scratch_directory();
    let layout = directory.path().join("layout");
    Layout::create(&layout).add("x", &Image::new().layer(Layer::plain(&files.finish())));
    let image = format!("oci:{}:x", text(&layout));
    // 160 MiB of contents: too much for the pack, for the template beside its pack, for the output.
    for (step, size) in [("pack", 64_u64), ("template", 300)] {
        let small = ScratchFilesystem::new(Filesystem::Ext4, size << 20);
        let store = Store::at(small.path().join("store"));
        let out = directory.path().join(step);
        fs::create_dir(&out).unwrap();
        let (message, code) = store.fails(&["build", &image, "-o", text(&out.join("disk"))]);
        assert_eq!(code, NO_SPACE, "{step}: {message}");
        let made = store.made();
        let left: &[&str] = if step == "pack" { &[] } else { &["layers/", "images/"] };
        assert!(made.iter().all(|entry| left.iter().any(|area| entry.starts_with(area))), "{step}: {made:?}");
        assert!(fs::read_dir(&out).unwrap().next().is_none());
    }
    let small = ScratchFilesystem::new(Filesystem::Ext4, 64 << 20);
    let store = Store::at(directory.path().join("store"));
    let before = fs::read_dir(small.path()).unwrap().count();
    let (message, code) = store.fails(&["build", &image, "-o", text(&small.path().join("disk"))]);
    assert_eq!(code, NO_SPACE, "output: {message}");
    assert_eq!(fs::read_dir(small.path()).unwrap().count(), before, "nothing at the output");
    let made = store.made();
    assert!(!made.iter().any(|entry| entry.starts_with("tmp/")), "{made:?}");
}
