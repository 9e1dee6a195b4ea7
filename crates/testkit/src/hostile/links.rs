use super::Image;
use super::case::{Case, case, layer, tar, two_layers};
use super::outcome::{INTEGRITY, made, refused, unmergeable};
use super::tree::{contents, directories_above, shown};
use crate::layout::{Layer, TarEntry};

const TOO_MANY: &str = "too many levels of symbolic links";

pub(super) fn cases(victim: &str) -> Vec<Case> {
    let to_victim = format!("l link -> {}", contents(victim.as_bytes()));
    // What lies behind the link is made inside the image, as a chroot would have it.
    let through = |lines: &[&str]| {
        let inner = &victim[1..];
        let mut all = directories_above(&format!("{inner}/x"));
        all.push(to_victim.clone());
        all.extend(lines.iter().map(|line| line.replace("VICTIM", &shown(inner.as_bytes()))));
        made(all)
    };
    let up = format!("{}{}", "../".repeat(40), &victim[1..]);
    let chain = |length: usize| {
        let mut lines: Vec<String> = (0..length).map(|n| format!("l l{n} -> \"l{}\"", n + 1)).collect();
        lines.push(format!("d l{length}"));
        lines.push(format!("f l{length}/x \"x\""));
        lines
    };
    let long = "a/".repeat(2047) + "b";
    vec![
        layer(
            "an absolute link out, then a file through it",
            |tar| tar.symlink("link", victim).file("link/precious", 0o644, b"x"),
            through(&[r#"f VICTIM/precious "x""#]),
        ),
        layer(
            "an absolute link in a directory, then a file through it",
            |tar| tar.symlink("d/e/link", "/etc").file("d/e/link/passwd", 0o644, b"x"),
            made(["d d", "d d/e", r#"l d/e/link -> "/etc""#, "d etc", r#"f etc/passwd "x""#]),
        ),
        layer(
            "a relative link out, then a file through it",
            |tar| tar.symlink("link", &up).file("link/precious", 0o644, b"x"),
            {
                let mut lines = directories_above(&format!("{victim}/x"));
                lines.push(format!("l link -> {}", contents(up.as_bytes())));
                lines.push(format!("f {}/precious \"x\"", &victim[1..]));
                made(lines)
            },
        ),
        two_layers(
            "a link out, then a file through it in the next layer",
            |tar| tar.symlink("link", victim),
            |tar| tar.file("link/precious", 0o644, b"x"),
            through(&[r#"f VICTIM/precious "x""#]),
        )
        .like_umoci(),
        layer(
            "a link out, then a directory through it",
            |tar| tar.symlink("link", victim).directory("link/dir", 0o777),
            through(&["d VICTIM/dir mode=0777"]),
        ),
        layer(
            "a link out, then a link through it",
            |tar| tar.symlink("link", victim).symlink("link/dir", "/etc"),
            through(&[r#"l VICTIM/dir -> "/etc""#]),
        ),
        layer(
            "a link out, then a device through it",
            |tar| tar.symlink("link", victim).device("link/precious", b'3', 1, 3),
            through(&["c VICTIM/precious 1:3"]),
        ),
        layer(
            "a link out, then a hard link to what is behind it",
            |tar| tar.symlink("link", victim).hard_link("stolen", "link/precious"),
            unmergeable("hard link to /link/precious, which does not exist"),
        ),
        layer(
            "a link out, then another mode for it",
            |tar| tar.symlink("link", victim).directory("link", 0o777),
            made(["d link mode=0777"]),
        ),
        layer(
            "a link out, then another mode for what is behind its dot",
            |tar| tar.symlink("link", victim).directory("link/.", 0o777),
            made(["d link mode=0777"]),
        ),
        layer(
            "a link to a file of the host, then that file",
            |tar| tar.symlink("f", &format!("{victim}/precious")).file("f", 0o644, b"x"),
            made([r#"f f "x""#]),
        ),
        layer(
            "a directory replaced by a link, then a file through it",
            |tar| {
                tar.directory("link", 0o755)
                    .file("link/a", 0o644, b"a")
                    .symlink("link", victim)
                    .file("link/b", 0o644, b"b")
            },
            through(&[r#"f VICTIM/b "b""#]),
        ),
        two_layers(
            "a directory replaced by a link in the next layer",
            |tar| tar.directory("link", 0o755).file("link/a", 0o644, b"a"),
            |tar| tar.symlink("link", victim).file("link/b", 0o644, b"b"),
            through(&[r#"f VICTIM/b "b""#]),
        ),
        layer(
            "a file replaced by a directory by what lies in it",
            |tar| tar.file("f", 0o644, b"x").file("f/x", 0o644, b"x"),
            made(["d f", r#"f f/x "x""#]),
        ),
        case(
            "a chain of links across layers",
            Image::Layers(vec![
                Layer::gzip(&tar(|tar| tar.symlink("a", "/b"))),
                Layer::plain(&tar(|tar| tar.symlink("b", "c/../../d"))),
                Layer::zstd(&tar(|tar| tar.file("a/x", 0o644, b"x"))),
            ]),
            // The way goes over c, which comes into being for it.
            made([r#"l a -> "/b""#, r#"l b -> "c/../../d""#, "d c", "d d", r#"f d/x "x""#]),
        ),
        layer(
            "forty links on the way",
            |tar| {
                for n in 0..40 {
                    tar.symlink(&format!("l{n}"), &format!("l{}", n + 1));
                }
                tar.file("l0/x", 0o644, b"x")
            },
            made(chain(40)),
        ),
        layer(
            "forty-one links on the way",
            |tar| {
                for n in 0..41 {
                    tar.symlink(&format!("l{n}"), &format!("l{}", n + 1));
                }
                tar.file("l0/x", 0o644, b"x")
            },
            unmergeable(TOO_MANY),
        ),
        layer(
            "a link to itself, then through it",
            |tar| tar.symlink("a", "a").file("a/x", 0o644, b"x"),
            unmergeable(TOO_MANY),
        ),
        layer(
            "two links to each other, then through them",
            |tar| tar.symlink("a", "b").symlink("b", "a").file("a/x", 0o644, b"x"),
            unmergeable(TOO_MANY),
        ),
        layer(
            "links in a loop that nobody follows",
            |tar| tar.symlink("a", "b").symlink("b", "a").symlink("c", "c"),
            made([r#"l a -> "b""#, r#"l b -> "a""#, r#"l c -> "c""#]),
        )
        .like_umoci(),
        layer(
            "a link to its own directory, then deep through it",
            |tar| tar.symlink("a", ".").file("a/a/a/a/x", 0o644, b"x"),
            made([r#"l a -> ".""#, r#"f x "x""#]),
        ),
        layer(
            "links to the kernel's magic ones",
            |tar| {
                tar.symlink("root", "/proc/1/root")
                    .symlink("cwd", "/proc/self/cwd")
                    .file("cwd/x", 0o644, b"x")
            },
            made([
                r#"l cwd -> "/proc/self/cwd""#,
                "d proc",
                "d proc/self",
                "d proc/self/cwd",
                r#"f proc/self/cwd/x "x""#,
                r#"l root -> "/proc/1/root""#,
            ]),
        ),
        layer(
            "a link to the root, then a file through it",
            |tar| tar.symlink("a", "/").file("a/x", 0o644, b"x"),
            made([r#"l a -> "/""#, r#"f x "x""#]),
        ),
        layer(
            "a target of 4,095 bytes",
            |tar| tar.symlink("a", &long),
            made([format!("l a -> {}", contents(long.as_bytes()))]),
        )
        .like_umoci(),
        layer(
            "a target of 4,096 bytes",
            |tar| tar.symlink("a", &format!("{long}c")),
            refused(INTEGRITY, "exceeds the limit of 4095 bytes in a path"),
        ),
        layer(
            "an empty target",
            |tar| tar.symlink("a", ""),
            refused(INTEGRITY, "target is empty or has a NUL byte"),
        ),
        layer(
            "a target with a NUL byte",
            |tar| {
                tar.entry(&TarEntry {
                    records: vec![(b"linkpath".to_vec(), b"b\0c".to_vec())],
                    ..TarEntry::new("a", b'2')
                })
            },
            refused(INTEGRITY, "target is empty or has a NUL byte"),
        ),
        layer(
            "a target that is no text",
            |tar| {
                tar.entry(&TarEntry {
                    link: b"\xff\n\x1b[2J".to_vec(),
                    mode: 0o777,
                    ..TarEntry::new("a", b'2')
                })
            },
            made([r#"l a -> "\xff\n\x1b[2J""#]),
        ),
        layer(
            "a name too long in a link's target, then through it",
            |tar| tar.symlink("a", &"n".repeat(256)).file("a/x", 0o644, b"x"),
            unmergeable("a symbolic link on the way has an impossible target"),
        ),
        two_layers(
            "a link over a directory with the host's files in mind, then a whiteout through it",
            |tar| tar.symlink("link", victim).file("f", 0o644, b"x"),
            |tar| tar.whiteout("link/precious").whiteout("link/dir"),
            made([to_victim.clone(), r#"f f "x""#.to_owned()]),
        ),
        layer(
            "a link with a mode and an owner",
            |tar| {
                tar.entry(&TarEntry {
                    mode: 0o4755,
                    uid: 3,
                    gid: 4,
                    link: victim.into(),
                    ..TarEntry::new("link", b'2')
                })
            },
            // ext4 keeps the mode, and nothing heeds it.
            made([to_victim.replace("l link", "l link mode=4755 owner=3:4")])
                .but_unpacked([to_victim.replace("l link", "l link owner=3:4")]),
        ),
    ]
}
