//! A small image to work on, and what a store holds of it.

use std::fs;
use std::path::Path;

use offshoot::{ImageName, Store};
use offshoot_testkit::layout::{Image, Layer, Layout, Tar};

/// An image of two layers in a layout of its own.
pub(crate) fn sample(directory: &Path) -> ImageName {
    let mut base = Tar::new();
    base.directory("etc", 0o755).file("etc/motd", 0o644, b"hello\n").file("data", 0o644, &[7; 100_000]);
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
