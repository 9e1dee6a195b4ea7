//! A small image to work on, and what a store holds of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use offshoot::{BuildOptions, ImageName, Quiet, Store, Template, VmId};
use offshoot_testkit::layout::{Image, Layer, Layout, Tar};

/// An image of two layers in a layout of its own.
pub(crate) fn sample(directory: &Path) -> ImageName {
    sample_of(directory, b"hello\n")
}

/// The same with another text in it.
pub(crate) fn sample_of(directory: &Path, motd: &[u8]) -> ImageName {
    let mut base = Tar::new();
    base.directory("etc", 0o755).file("etc/motd", 0o644, motd).file("data", 0o644, &[7; 100_000]);
    let mut upper = Tar::new();
    upper.file("etc/issue", 0o644, b"issue\n").whiteout("etc/motd");
    let image = Image::new()
        .layer(Layer::gzip(&base.finish()))
        .layer(Layer::zstd(&upper.finish()))
        .config(serde_json::json!({"Cmd": ["/bin/true"], "Env": ["A=b=c"]}));
    Layout::create(directory).add("sample", &image);
    format!("oci:{}:sample", directory.display()).parse().unwrap()
}

pub(crate) fn names(store: &Store, part: &str) -> Vec<String> {
    let entries = fs::read_dir(store.path().join(part)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A store with the sample's template.
pub(crate) struct Fixture {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) template: Template,
}

pub(crate) fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let (store, template) = store(directory.path());
    Fixture { directory, store, template }
}

/// A store below that directory, with the sample's template.
pub(crate) fn store(directory: &Path) -> (Store, Template) {
    let image = sample(&directory.join("image"));
    let store = Store::open(&directory.join("store")).unwrap();
    let template = store.build(&image, &BuildOptions::default(), &Quiet).unwrap();
    (store, template)
}

pub(crate) fn vm(text: &str) -> VmId {
    text.parse().unwrap()
}

/// What changes when a file is replaced, written, or touched.
pub(crate) fn stamps(path: &Path) -> (u64, i64, i64) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.ino(), metadata.mtime_nsec(), metadata.ctime_nsec())
}

/// Numbers that are the same for each seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}
