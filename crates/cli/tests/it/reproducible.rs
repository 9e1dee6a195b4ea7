use std::process::Command;

use offshoot_testkit::layout::{Image, Layer, Layout, Tar};
use offshoot_testkit::samples::Sample;
use offshoot_testkit::{Filesystem, ScratchFilesystem, scratch_directory, sha256_file};

use crate::cases::soak;
use crate::program::{Store, text};
use crate::shared;

/// A build in another store, on a host filesystem that shares blocks as ours may not, gives the same bytes.
fn again(sample: Sample, filesystem: Filesystem) {
    if !filesystem.available() {
        return;
    }
    let Some(template) = shared::template(sample) else { return };
    let other = ScratchFilesystem::new(filesystem, 6 << 30);
    let store = Store::at(other.path().join("store"));
    let reference = format!("oci:{}", sample.reference());
    let second = store.build(&[&reference]);
    assert_eq!(template.parent().unwrap().file_name(), second.parent().unwrap().file_name(), "the same id");
    assert_eq!(sha256_file(&template), sha256_file(&second));
    // With the packs there already, too: that is another way through the program.
    std::fs::remove_dir_all(second.parent().unwrap()).unwrap();
    assert_eq!(sha256_file(&store.build(&[&reference])), sha256_file(&template));
}

fn check(sample: Sample) {
    again(sample, Filesystem::Xfs);
    if soak() {
        again(sample, Filesystem::Btrfs);
        again(sample, Filesystem::Ext4);
    }
}

#[test]
fn tiny() {
    check(Sample::Tiny);
    again(Sample::Tiny, Filesystem::Btrfs);
    again(Sample::Tiny, Filesystem::Ext4);
}

#[test]
fn debian() {
    check(Sample::Debian);
}

#[test]
fn dev() {
    check(Sample::Dev);
}

#[test]
fn app() {
    // It differs from dev in one small layer: worth its time in the long form alone.
    if soak() {
        check(Sample::App);
    }
}

#[test]
fn compression_and_time_do_not_count() {
    let directory = scratch_directory();
    let mut layout = Layout::create(&directory.path().join("layout"));
    let tar = Tar::new().directory("d", 0o755).file("d/f", 0o644, &[7; 100_000]).finish();
    layout.add("gzip", &Image::new().layer(Layer::gzip(&tar)));
    layout.add("members", &Image::new().layer(Layer::gzip_members(&tar, 5000)));
    layout.add("zstd", &Image::new().layer(Layer::zstd(&tar)));
    layout.add("plain", &Image::new().layer(Layer::plain(&tar)));
    let disks: Vec<_> = ["gzip", "members", "zstd", "plain"]
        .into_iter()
        .map(|tag| {
            let store = Store::at(directory.path().join(tag));
            let image = format!("oci:{}:{tag}", text(&directory.path().join("layout")));
            let disk = store.build(&[&image]);
            (disk.parent().unwrap().file_name().unwrap().to_owned(), sha256_file(&disk))
        })
        .collect();
    assert!(disks.windows(2).all(|pair| pair[0] == pair[1]), "{disks:?}");
}

#[test]
fn the_environment_does_not_count() {
    let directory = scratch_directory();
    let mut layout = Layout::create(&directory.path().join("layout"));
    layout.add("x", &Image::new().layer(Layer::gzip(&Tar::new().file("f", 0o644, b"f").finish())));
    let image = format!("oci:{}:x", text(&directory.path().join("layout")));
    let build = |name: &str, prepare: fn(&mut Command) -> &mut Command| {
        let disk = directory.path().join(name);
        let store = Store::at(directory.path().join(format!("store-{name}")));
        let mut command = store.command(&["build", &image, "-o", text(&disk)]);
        offshoot_testkit::oracle::run(prepare(&mut command));
        sha256_file(&disk)
    };
    let plain = build("plain", |command| command);
    let odd = build("odd", |command| {
        command.env("TZ", "Asia/Tokyo").env("SOURCE_DATE_EPOCH", "7").current_dir("/")
    });
    assert_eq!(plain, odd);
}
