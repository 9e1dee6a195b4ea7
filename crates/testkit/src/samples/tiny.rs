use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::layout::{Image, Layer, Layout, SparseFormat, Style, Tar, TarEntry};
use crate::oracle;

/// A day in 2024: what a real image has, unlike the zero of the other builders.
const TIME: i64 = 1_717_243_200;

const PROGRAMS: [&str; 24] = [
    "awk", "cat", "chmod", "cp", "df", "dmesg", "echo", "find", "grep", "head", "id", "ln", "ls", "mkdir",
    "mount", "mv", "ps", "rm", "sed", "sh", "sleep", "stat", "sync", "uname",
];

/// Two bytes of version and flags, then which capabilities (`cap_net_raw`) are permitted and effective.
const CAP_NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub(super) fn recipe() -> Vec<u8> {
    let busybox = busybox();
    let bytes = fs::read(&busybox).unwrap_or_else(|error| panic!("{}: {error}", busybox.display()));
    [include_bytes!("tiny.rs").as_slice(), &bytes].concat()
}

pub(super) fn build(directory: &Path) {
    let image = Image::new()
        .layer(Layer::gzip(&lower()))
        .layer(Layer::gzip(&middle()))
        .layer(Layer::gzip_members(&upper(), 4000))
        .config(json!({"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]}));
    Layout::create(directory).add("tiny", &image);
}

fn lower() -> Vec<u8> {
    let busybox = fs::read(busybox()).unwrap_or_else(|error| panic!("cannot read busybox: {error}"));
    let mut tar = Tar::new();
    for (path, mode) in [("./", 0o755), ("bin/", 0o755), ("dev/", 0o755), ("proc/", 0o555), ("tmp/", 0o1777)]
    {
        tar.entry(&TarEntry { mode, mtime: (TIME, 0), ..TarEntry::new(path, b'5') });
    }
    tar.entry(&TarEntry {
        mode: 0o755,
        mtime: (TIME, 0),
        contents: busybox,
        ..TarEntry::new("bin/busybox", b'0')
    });
    for (index, program) in PROGRAMS.iter().enumerate() {
        if index % 2 == 0 {
            tar.hard_link(&format!("bin/{program}"), "bin/busybox");
        } else {
            tar.symlink(&format!("bin/{program}"), "busybox");
        }
    }
    tar.directory("etc", 0o755).file("etc/passwd", 0o644, b"root:x:0:0::/:/bin/sh\n");
    tar.directory("gone", 0o700).file("gone/a", 0o644, b"a").file("gone/b", 0o644, b"b");
    tar.directory("opaque", 0o755).file("opaque/hidden", 0o644, b"hidden");
    tar.directory("opaque/deep", 0o755).file("opaque/deep/hidden", 0o644, b"hidden");
    tar.file("becomes-directory", 0o644, b"file").directory("becomes-file", 0o755);
    tar.file("becomes-file/inner", 0o644, b"inner");
    tar.file("linked", 0o640, b"two names, one of which an upper layer replaces");
    tar.hard_link("linked-too", "linked");
    tar.device("dev/null", b'3', 1, 3).device("dev/disk", b'4', 259, 1_000_000).fifo("tmp/fifo");
    tar.finish()
}

fn middle() -> Vec<u8> {
    let mut tar = Tar::new();
    tar.whiteout("gone");
    // An opaque directory hides lower layers alone, wherever in the tar it says so.
    tar.directory("opaque", 0o750).file("opaque/new", 0o644, b"new").opaque("opaque");
    tar.directory("becomes-directory", 0o711).file("becomes-directory/inner", 0o600, b"inner");
    tar.file("becomes-file", 0o644, b"a file now");
    tar.file("linked", 0o644, b"replaced");
    tar.hard_link("linked-from-above", "linked-too");
    tar.file("implied/parents/of/file", 0o644, b"file");
    // Not the old GNU format, which umoci does not unpack.
    for (name, format) in [("pax01", SparseFormat::Pax01), ("pax10", SparseFormat::Pax10)] {
        let pieces: [(u64, &[u8]); 3] = [(0, b"begin"), (1_000_000, &[7; 10_000]), (50_000_000, b"end")];
        tar.sparse(&format!("sparse-{name}"), 64 << 20, &pieces, format);
    }
    tar.finish()
}

fn upper() -> Vec<u8> {
    let mut tar = Tar::new();
    let long = "long-".repeat(40);
    tar.directory("names", 0o755).directory(&format!("names/{long}"), 0o755);
    for style in [Style::Pax, Style::Gnu] {
        let path = format!("names/{long}/{long}-{style:?}");
        tar.entry(&TarEntry { style, contents: b"long".to_vec(), ..TarEntry::new(path, b'0') });
        let entry = TarEntry::new(format!("names/link-{style:?}"), b'2');
        tar.entry(&TarEntry {
            style,
            mode: 0o777,
            link: [b"/".repeat(150), b"x".to_vec()].concat(),
            ..entry
        });
    }
    tar.entry(&TarEntry { contents: b"bytes".to_vec(), ..TarEntry::new(b"names/\xff\xfe\x80", b'0') });
    tar.entry(&TarEntry {
        mode: 0o4755,
        uid: 4_200_000_000,
        gid: 70_000,
        mtime: (-86_400, 123_456_789),
        xattrs: [
            (b"security.capability".to_vec(), CAP_NET_RAW.to_vec()),
            (b"user.bytes".to_vec(), b"\0=\n\xff".to_vec()),
        ]
        .into(),
        contents: vec![1; 4096],
        ..TarEntry::new("owned", b'0')
    });
    tar.entry(&TarEntry { mtime: (5_000_000_000, 999_999_999), ..TarEntry::new("far-future", b'0') });
    tar.entry(&TarEntry {
        mode: 0o2775,
        xattrs: [(b"user.large".to_vec(), vec![b'x'; 2000])].into(),
        ..TarEntry::new("labelled/", b'5')
    });
    tar.file("twice", 0o644, b"first").file("twice", 0o600, b"last wins");
    tar.directory("many", 0o755);
    for index in 0..600 {
        tar.file(&format!("many/file-with-a-name-of-some-length-{index:04}"), 0o644, b"");
    }
    tar.file("empty", 0o644, b"").symlink("dangling", "../../nowhere");
    tar.whiteout("not-there");
    tar.finish()
}

fn busybox() -> PathBuf {
    oracle::find("busybox").unwrap_or_else(|| panic!("busybox is not installed"))
}
