use super::case::{Case, layer, two_layers};
use super::outcome::{INTEGRITY, made, refused};
use super::tree::directories_above;
use crate::layout::TarEntry;

const CLIMBS: &str = "the path has a \"..\" component";

pub(super) fn cases(victim: &str) -> Vec<Case> {
    let absolute = format!("{victim}/precious");
    let climbing = format!("{}{absolute}", "../".repeat(40));
    let inside = |line: &str| {
        let mut lines = directories_above(&absolute);
        lines.push(format!("{line} {} \"x\"", &absolute[1..]));
        lines
    };
    let root = |kind: u8, path: &'static str| {
        move |tar: &mut crate::layout::Tar| {
            tar.entry(&TarEntry { link: "/".into(), ..TarEntry::new(path, kind) });
        }
    };
    let at_root = |name, kind, path| {
        let fill = root(kind, path);
        let outcome = refused(INTEGRITY, "the root of a layer can only be a directory");
        layer(
            name,
            |tar| {
                fill(tar);
                tar
            },
            outcome,
        )
    };
    vec![
        layer("one step up", |tar| tar.file("../precious", 0o644, b"x"), refused(INTEGRITY, CLIMBS)),
        layer("up to the host's root", |tar| tar.file(&climbing, 0o644, b"x"), refused(INTEGRITY, CLIMBS)),
        layer("up from within", |tar| tar.file("a/../../precious", 0o644, b"x"), refused(INTEGRITY, CLIMBS)),
        layer(
            "up and down within the image",
            |tar| tar.file("a/../b", 0o644, b"x"),
            refused(INTEGRITY, CLIMBS),
        ),
        layer("a directory called ..", |tar| tar.directory("..", 0o777), refused(INTEGRITY, CLIMBS)),
        layer("a link called ..", |tar| tar.symlink("..", victim), refused(INTEGRITY, CLIMBS)),
        layer("a directory that ends in ..", |tar| tar.directory("a/..", 0o777), refused(INTEGRITY, CLIMBS)),
        layer(
            ".. behind doubled slashes",
            |tar| tar.file("a//..//..//b", 0o644, b"x"),
            refused(INTEGRITY, CLIMBS),
        ),
        layer(".. behind dots", |tar| tar.file("././../b", 0o644, b"x"), refused(INTEGRITY, CLIMBS)),
        layer("an absolute path", |tar| tar.file(&absolute, 0o644, b"x"), made(inside("f"))).like_umoci(),
        layer(
            "two slashes in front",
            |tar| tar.file(&format!("/{absolute}"), 0o644, b"x"),
            made(inside("f")),
        )
        .like_umoci(),
        layer(
            "climbing by the prefix of a ustar header",
            |tar| tar.raw(&with_prefix(b"..", b"precious")),
            refused(INTEGRITY, CLIMBS),
        ),
        layer(
            "an absolute prefix of a ustar header",
            |tar| tar.raw(&with_prefix(b"/etc", b"passwd")),
            made(["d etc", r#"f etc/passwd """#]),
        ),
        layer(
            "dots and slashes that lead nowhere",
            |tar| tar.file(".///./a/.//./b/./", 0o644, b"x"),
            made(["d a", r#"f a/b "x""#]),
        ),
        layer(
            "three dots and more are names",
            |tar| tar.file(".../....", 0o644, b"x").file("..a/b..", 0o644, b"x"),
            made(["d ...", r#"f .../.... "x""#, "d ..a", r#"f ..a/b.. "x""#]),
        )
        .like_umoci(),
        layer(
            "backslashes and drives are names",
            |tar| tar.file(r"..\..\precious", 0o644, b"x").file(r"C:\x", 0o644, b"x"),
            made([r#"f ..\\..\\precious "x""#, r#"f C:\\x "x""#]),
        )
        .like_umoci(),
        layer(
            "what a shell or a URL would decode is a name",
            |tar| tar.file("%2e%2e/%2fx", 0o644, b"x").file("~", 0o644, b"x").file("$HOME", 0o644, b"x"),
            made([r#"f $HOME "x""#, "d %2e%2e", r#"f %2e%2e/%2fx "x""#, r#"f ~ "x""#]),
        )
        .like_umoci(),
        layer(
            "full-width dots and slashes are letters",
            |tar| tar.file("\u{ff0e}\u{ff0e}\u{ff0f}precious", 0o644, b"x"),
            made([r#"f \xef\xbc\x8e\xef\xbc\x8e\xef\xbc\x8fprecious "x""#]),
        )
        .like_umoci(),
        layer(
            "the kernel's own directories",
            |tar| {
                tar.file("proc/self/root/x", 0o644, b"x")
                    .file("/dev/shm/x", 0o644, b"x")
                    .file("sys/x", 0o644, b"x")
            },
            made([
                "d dev",
                "d dev/shm",
                r#"f dev/shm/x "x""#,
                "d proc",
                "d proc/self",
                "d proc/self/root",
                r#"f proc/self/root/x "x""#,
                "d sys",
                r#"f sys/x "x""#,
            ]),
        ),
        at_root("a file in place of the root", b'0', "."),
        at_root("a file without a name", b'0', ""),
        at_root("a link in place of the root, called /", b'2', "/"),
        at_root("a hard link in place of the root", b'1', "./"),
        at_root("a device in place of the root", b'3', "//"),
        at_root("a pipe in place of the root", b'6', "./."),
        layer(
            "the root's own attributes",
            |tar| {
                tar.entry(&TarEntry {
                    mode: 0o1777,
                    uid: 7,
                    gid: 8,
                    mtime: (5, 0),
                    ..TarEntry::new("./", b'5')
                })
                .file("f", 0o644, b"x")
            },
            made(["d . mode=1777 owner=7:8 mtime=5.000000000", r#"f f "x""#]),
        )
        .like_umoci(),
        two_layers(
            "an absolute path over a relative one",
            |tar| tar.directory("a", 0o755).file("a/f", 0o644, b"old"),
            |tar| tar.file("/a/f", 0o600, b"new"),
            made(["d a", r#"f a/f mode=0600 "new""#]),
        )
        .like_umoci(),
        layer(
            "a file called like a directory of the store",
            |tar| tar.file("templates/x/rootfs.ext4", 0o644, b"x").file("offshoot.json", 0o644, b"{}"),
            made([
                r#"f offshoot.json "{}""#,
                "d templates",
                "d templates/x",
                r#"f templates/x/rootfs.ext4 "x""#,
            ]),
        ),
    ]
}

/// An empty file whose path is divided as ustar has it.
fn with_prefix(prefix: &[u8], name: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header.copy_from_slice(&TarEntry::new(name, b'0').to_bytes());
    header[345..345 + prefix.len()].copy_from_slice(prefix);
    crate::layout::checksum(&mut header);
    header.to_vec()
}
