use super::case::{Case, layer, two_layers};
use super::outcome::{INTEGRITY, made, refused, unmergeable};
use super::tree::contents;
use crate::layout::{Tar, TarEntry};

const CLIMBS: &str = "its hard link target is not possible: the path has a \"..\" component";

pub(super) fn cases(victim: &str) -> Vec<Case> {
    let precious = format!("{victim}/precious");
    let missing = |path: &str| unmergeable(&format!("hard link to {path}, which does not exist"));
    vec![
        layer("to a file of the host", |tar| tar.hard_link("stolen", &precious), missing(&precious)),
        layer(
            "to a file of the host, then written through",
            |tar| tar.hard_link("stolen", &precious).file("stolen", 0o644, b"x"),
            missing(&precious),
        ),
        layer(
            "climbing out",
            |tar| tar.hard_link("stolen", &format!("{}{precious}", "../".repeat(40))),
            refused(INTEGRITY, CLIMBS),
        ),
        layer(
            "climbing within",
            |tar| tar.file("b", 0o644, b"x").hard_link("a", "c/../b"),
            refused(INTEGRITY, CLIMBS),
        ),
        layer("forward", |tar| tar.hard_link("a", "b").file("b", 0o644, b"x"), missing("/b")),
        layer("to itself", |tar| tar.hard_link("a", "a"), unmergeable("hard link to itself")),
        layer(
            "to itself by another spelling",
            |tar| tar.file("a", 0o644, b"x").hard_link("a", "/./a"),
            unmergeable("hard link to itself"),
        ),
        layer("in a loop", |tar| tar.hard_link("a", "b").hard_link("b", "a"), missing("/b")),
        layer(
            "to a directory",
            |tar| tar.directory("d", 0o755).hard_link("a", "d"),
            unmergeable("hard link to /d, which is a directory"),
        ),
        layer(
            "to the root",
            |tar| tar.hard_link("a", "/"),
            unmergeable("hard link to /, which is a directory"),
        ),
        layer(
            "to what lies below a file",
            |tar| tar.file("f", 0o644, b"x").hard_link("a", "f/x"),
            missing("/f/x"),
        ),
        two_layers(
            "to a lower layer",
            |tar| tar.file("f", 0o640, b"x"),
            |tar| tar.hard_link("a", "f"),
            made([r#"f a mode=0640 "x""#, "h f = a"]),
        )
        .like_umoci(),
        two_layers(
            "to what the same layer deletes",
            |tar| tar.file("f", 0o644, b"x"),
            |tar| tar.hard_link("a", "f").whiteout("f"),
            missing("/f"),
        ),
        two_layers(
            "to what the same layer replaces later",
            |tar| tar.file("f", 0o644, b"old"),
            |tar| tar.hard_link("a", "f").file("f", 0o644, b"new"),
            made([r#"f a "old""#, r#"f f "new""#]),
        ),
        layer(
            "to a link out, then written through both",
            |tar| {
                tar.symlink("link", &precious)
                    .hard_link("hard", "link")
                    .file("hard", 0o644, b"x")
                    .file("link", 0o644, b"y")
            },
            made([r#"f hard "x""#, r#"f link "y""#]),
        ),
        layer(
            "to a link out",
            |tar| tar.symlink("link", &precious).hard_link("hard", "link"),
            made([format!("l hard -> {}", contents(precious.as_bytes())), "h link = hard".to_owned()]),
        ),
        layer(
            "through a link out",
            |tar| tar.symlink("link", victim).hard_link("stolen", "link/dir/precious"),
            missing("/link/dir/precious"),
        ),
        layer(
            "over a directory",
            |tar| tar.file("f", 0o644, b"x").file("d/y", 0o644, b"y").hard_link("d", "f"),
            made([r#"f d "x""#, "h f = d"]),
        ),
        layer(
            "to a device and a pipe",
            |tar| tar.device("d", b'3', 1, 5).fifo("p").hard_link("e", "d").hard_link("q", "p"),
            made(["c d 1:5", "h e = d", "p p", "h q = p"]),
        ),
        layer(
            "with a size and no contents",
            |tar| {
                tar.file("f", 0o644, b"x").entry(&TarEntry {
                    link: b"f".to_vec(),
                    claimed_size: Some(1 << 40),
                    ..TarEntry::new("a", b'1')
                })
            },
            made([r#"f a "x""#, "h f = a"]),
        ),
        layer(
            "with contents of their own",
            |tar| {
                tar.file("f", 0o644, b"x").entry(&TarEntry {
                    link: b"f".to_vec(),
                    contents: vec![b'y'; 512],
                    ..TarEntry::new("a", b'1')
                })
            },
            refused(INTEGRITY, "the header's checksum is wrong"),
        ),
        layer("a thousand in a chain", |tar| chain(tar, 1000), made(chained(1000))),
        layer(
            "more names than an inode of ext4 can have",
            |tar| {
                tar.file("f", 0o644, b"x");
                for n in 0..65_000 {
                    tar.hard_link(&n.to_string(), "f");
                }
                tar
            },
            super::outcome::counted(65_001, 65_001)
                .but_build(1, "the file has 65001 names, more than 65000")
                .where_the_host_can(),
        ),
    ]
}

fn chain(tar: &mut Tar, length: usize) -> &mut Tar {
    tar.file("0000", 0o644, b"x");
    for n in 1..length {
        tar.hard_link(&format!("{n:04}"), &format!("{:04}", n - 1));
    }
    tar
}

fn chained(length: usize) -> Vec<String> {
    let rest = (1..length).map(|n| format!("h {n:04} = 0000"));
    std::iter::once("f 0000 \"x\"".to_owned()).chain(rest).collect()
}
