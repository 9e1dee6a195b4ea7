use super::case::{Case, layer, two_layers};
use super::outcome::{INTEGRITY, made, refused};
use super::tree::contents;
use crate::layout::{Tar, TarEntry};

const NOTHING: &str = "its whiteout name hides nothing that could exist";
const CLIMBS: &str = "the path has a \"..\" component";

/// What lies below the whiteouts.
fn lower(tar: &mut Tar) -> &mut Tar {
    tar.directory("d", 0o755).file("d/a", 0o644, b"a").file("d/b", 0o644, b"b").file("f", 0o644, b"f")
}

const WHOLE: [&str; 4] = ["d d", r#"f d/a "a""#, r#"f d/b "b""#, r#"f f "f""#];

pub(super) fn cases(victim: &str) -> Vec<Case> {
    let whiteout = |name: &str, path: &str, outcome| {
        let path = path.to_owned();
        two_layers(name, lower, move |tar| tar.file(&path, 0o644, b""), outcome)
    };
    let link = format!("l link -> {}", contents(victim.as_bytes()));
    vec![
        whiteout("of what is above", "../.wh.precious", refused(INTEGRITY, CLIMBS)),
        whiteout("of what is above, from within", "d/../../.wh.precious", refused(INTEGRITY, CLIMBS)),
        whiteout("of .", ".wh..", refused(INTEGRITY, NOTHING)),
        whiteout("of ..", ".wh...", refused(INTEGRITY, NOTHING)),
        whiteout("of nothing", ".wh.", refused(INTEGRITY, NOTHING)),
        whiteout("of . in a directory", "d/.wh..", refused(INTEGRITY, NOTHING)),
        whiteout("of .. in a directory", "d/.wh...", refused(INTEGRITY, NOTHING)),
        whiteout("of nothing in a directory", "d/.wh.", refused(INTEGRITY, NOTHING)),
        whiteout("with something below it", ".wh.d/x", refused(INTEGRITY, NOTHING)),
        whiteout("below an opaque marker", "d/.wh..wh..opq/x", made(WHOLE)),
        whiteout("of a name of four dots", ".wh.....", made(WHOLE)),
        whiteout(
            "of a name that is too long",
            &format!(".wh.{}", "n".repeat(252)),
            refused(INTEGRITY, "more than 255"),
        ),
        whiteout("of a name that is as long as it can be", &format!(".wh.{}", "n".repeat(251)), made(WHOLE)),
        whiteout("of a whiteout", ".wh..wh.f", made(WHOLE)),
        whiteout("what AUFS kept", ".wh..wh.plnk/123.456", made(WHOLE)),
        whiteout("of what is not there", "gone/.wh.away", made(WHOLE)),
        whiteout("of a file", ".wh.f", made(["d d", r#"f d/a "a""#, r#"f d/b "b""#])).like_umoci(),
        whiteout("of a directory with something in it", ".wh.d", made([r#"f f "f""#])).like_umoci(),
        whiteout("below a file", "f/.wh.x", made(WHOLE)),
        whiteout("of an absolute path", "/d/.wh.a", made(["d d", r#"f d/b "b""#, r#"f f "f""#])).like_umoci(),
        whiteout("of everything", ".wh..wh..opq", made([""; 0])),
        whiteout("of all in a directory", "d/.wh..wh..opq", made(["d d", r#"f f "f""#])).like_umoci(),
        whiteout("of all in a file", "f/.wh..wh..opq", made(WHOLE)),
        two_layers(
            "of the host's files through a link",
            |tar| tar.symlink("link", victim),
            |tar| tar.whiteout("link/precious").opaque("link/dir"),
            made([&*link]),
        ),
        two_layers(
            "of all that is behind a link to the host",
            |tar| tar.symlink("link", victim),
            |tar| tar.opaque("link"),
            made([&*link]),
        ),
        two_layers(
            "of a link to the host",
            |tar| tar.symlink("link", victim).file("f", 0o644, b"x"),
            |tar| tar.whiteout("link"),
            made([r#"f f "x""#]),
        )
        .like_umoci(),
        two_layers(
            "through a link within the image",
            |tar| lower(tar).symlink("link", "/d"),
            |tar| tar.whiteout("link/a"),
            made(["d d", r#"f d/b "b""#, r#"f f "f""#, r#"l link -> "/d""#]),
        ),
        two_layers(
            "as a directory",
            lower,
            |tar| tar.directory(".wh.f", 0o755),
            made(["d d", r#"f d/a "a""#, r#"f d/b "b""#]),
        ),
        two_layers(
            "as a link to the host",
            lower,
            |tar| tar.symlink(".wh.f", victim),
            made(["d d", r#"f d/a "a""#, r#"f d/b "b""#]),
        ),
        two_layers(
            "as a device, with contents beside",
            lower,
            |tar| tar.device(".wh.f", b'3', 0, 0).file("d/.wh.a", 0o4777, b"contents"),
            made(["d d", r#"f d/b "b""#]),
        ),
        two_layers(
            "of what the same layer brings",
            lower,
            |tar| tar.file("f", 0o644, b"new").whiteout("f").whiteout("d").file("d/c", 0o644, b"c"),
            made(["d d", r#"f d/c "c""#, r#"f f "new""#]),
        ),
        layer(
            "in the lowest layer",
            |tar| tar.file("f", 0o644, b"x").whiteout("f").opaque("d").whiteout("d/gone"),
            made([r#"f f "x""#]),
        ),
        layer(
            "overlayfs's own, a device 0:0, is a device",
            |tar| tar.device("f", b'3', 0, 0),
            made(["c f 0:0"]),
        ),
        two_layers(
            "by a path of an extended header",
            lower,
            |tar| {
                tar.entry(&TarEntry {
                    records: vec![(b"path".to_vec(), b".wh.f".to_vec())],
                    ..TarEntry::new("innocent", b'0')
                })
            },
            made(["d d", r#"f d/a "a""#, r#"f d/b "b""#]),
        )
        .like_umoci(),
    ]
}
