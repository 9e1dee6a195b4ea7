use std::fs;
use std::path::Path;
use std::process::Stdio;

use offshoot_testkit::layout::{Image, Layer, Layout, Tar};
use offshoot_testkit::{oracle, scratch_directory};

use crate::program::{Store, text};

/// An image that takes a while to pack: 64 MiB that do not compress.
fn large(directory: &Path) -> String {
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56).to_le_bytes()[0]
    })
    .take(16 << 20)
    .collect();
    let mut tar = Tar::new();
    for index in 0..4 {
        tar.file(&format!("noise-{index}"), 0o644, &noise);
    }
    let layout = directory.join("layout");
    Layout::create(&layout).add("x", &Image::new().layer(Layer::plain(&tar.finish())));
    format!("oci:{}:x", text(&layout))
}

#[test]
fn processes_that_want_the_same_template_make_one() {
    let directory = scratch_directory();
    let image = large(directory.path());
    let store = Store::at(directory.path().join("store"));
    let children: Vec<_> = (0..6)
        .map(|_| {
            store.command(&["build", &image]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let ids: Vec<String> = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
    let made = store.made();
    assert_eq!(made.iter().filter(|entry| entry.starts_with("templates/")).count(), 1, "{made:?}");
    assert!(!made.iter().any(|entry| entry.starts_with("tmp/")), "{made:?}");
}

#[test]
fn a_killed_maker_is_succeeded() {
    let directory = scratch_directory();
    let image = large(directory.path());
    // Killed at a dozen instants, by how much it has written so far.
    for step in 0..12_u64 {
        let store = Store::at(directory.path().join(format!("store-{step}")));
        let mut child =
            store.command(&["build", &image]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while written(&store.path) < step * (12 << 20) && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for entry in store.made() {
            // Whatever has its final name is whole.
            if let Some(id) = entry.strip_prefix("templates/") {
                let template = store.path.join("templates").join(id);
                assert!(template.join("template.json").is_file(), "{entry}");
            }
        }
        let disk = store.build(&[&image]);
        if oracle::available(&["e2fsck"]) {
            oracle::e2fsck(&disk);
        }
        fs::remove_dir_all(&store.path).unwrap();
    }
}

/// Bytes in the files below a directory, some of which may go away while they are counted.
fn written(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => written(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
