use super::case::{Case, layer, two_layers};
use super::outcome::{INTEGRITY, counted, made, refused};
use super::tree::shown;
use crate::layout::{Style, Tar, TarEntry};

pub(super) fn cases() -> Vec<Case> {
    let named = |name: &str, path: &[u8]| {
        let line = format!("f {} \"x\"", shown(path));
        let entry = TarEntry { contents: b"x".to_vec(), ..TarEntry::new(path, b'0') };
        layer(name, move |tar| tar.entry(&entry), made([line]))
    };
    let long = "n".repeat(255);
    // 15 names of 255 bytes, one of 254, and 15 slashes between: 4,094 bytes.
    let deep: Vec<String> = std::iter::repeat_n(long.clone(), 15).chain([long[1..].to_owned()]).collect();
    let longest = deep.join("/");
    let depth = |depth: usize| vec!["d"; depth].join("/");
    vec![
        named("255 bytes", long.as_bytes()).like_umoci(),
        layer(
            "256 bytes",
            |tar| tar.file(&"n".repeat(256), 0o644, b"x"),
            refused(INTEGRITY, "256 bytes long, more than 255"),
        ),
        layer(
            "256 bytes, as GNU says it",
            |tar| tar.entry(&TarEntry { style: Style::Gnu, ..TarEntry::new("n".repeat(256), b'0') }),
            refused(INTEGRITY, "256 bytes long, more than 255"),
        ),
        layer(
            "a directory of 256 bytes, with a file in it",
            |tar| tar.file(&format!("{}/f", "n".repeat(256)), 0o644, b"x"),
            refused(INTEGRITY, "256 bytes long, more than 255"),
        ),
        named("255 bytes in 85 letters", "\u{4e00}".repeat(85).as_bytes()).like_umoci(),
        layer("a path of 4,094 bytes", |tar| tar.file(&longest, 0o644, b"x"), counted(16, 1)),
        layer(
            "a path of 4,096 bytes",
            |tar| tar.file(&format!("{longest}/x"), 0o644, b"x"),
            refused(INTEGRITY, "exceeds the limit of 4095 bytes in a path"),
        ),
        layer(
            "a path of 64 KiB of dots and slashes",
            |tar| tar.file(&format!("{}f", "./".repeat(32 << 10)), 0o644, b"x"),
            refused(INTEGRITY, "exceeds the limit of 4095 bytes in a path"),
        ),
        layer("256 deep", |tar| tar.directory(&depth(256), 0o755), counted(256, 0)).like_umoci(),
        layer(
            "257 deep",
            |tar| tar.directory(&depth(257), 0o755),
            refused(INTEGRITY, "exceeds the limit of 256 names"),
        ),
        layer(
            "10,000 deep",
            |tar| tar.directory(&depth(10_000), 0o755),
            refused(INTEGRITY, "exceeds the limit of 4095 bytes"),
        ),
        layer(
            "a NUL byte",
            |tar| tar.entry(&pax_path(b"a\0b")),
            refused(INTEGRITY, "the name has a NUL byte"),
        ),
        layer(
            "a NUL byte that hides the rest in a header",
            |tar| tar.entry(&TarEntry { contents: b"x".to_vec(), ..TarEntry::new(b"a\0/../../b", b'0') }),
            made([r#"f a "x""#]),
        ),
        layer(
            "a NUL byte in GNU's long name",
            |tar| {
                let name = [b"a\0".as_slice(), &[b'n'; 200]].concat();
                tar.raw(&crate::layout::extension(b'L', b"././@LongLink", &name)).file("short", 0o644, b"x")
            },
            made([r#"f a "x""#]),
        ),
        named("bytes that are no text", b"\xff\xfe\x80"),
        named("half a letter", b"\xe4\xb8"),
        named("surrogates", b"\xed\xa0\x80"),
        named("control characters that a terminal acts on", b"\x1b[2J\x07\x7f"),
        named("newlines, tabs and blanks", b" \n\t "),
        named("letters that turn the line around", "\u{202e}txt.exe".as_bytes()),
        named("a dash in front", b"-rf"),
        named("quotes and semicolons", b"\"';$(id)`id`&|"),
        named("a dot behind", b"name."),
        named("a device of another system", b"NUL"),
        named("a format string", b"%s%n{}"),
        layer(
            "two that differ by case",
            |tar| {
                tar.file("a", 0o644, b"1")
                    .file("A", 0o644, b"2")
                    .directory("Dir", 0o755)
                    .symlink("dir", "/etc")
                    .file("Dir/x", 0o644, b"3")
            },
            made([r#"f A "2""#, "d Dir", r#"f Dir/x "3""#, r#"f a "1""#, r#"l dir -> "/etc""#]),
        ),
        two_layers(
            "case only, across layers",
            |tar| tar.file("etc/Passwd", 0o644, b"1"),
            |tar| tar.file("etc/passwd", 0o644, b"2").whiteout("etc/PASSWD"),
            made(["d etc", r#"f etc/Passwd "1""#, r#"f etc/passwd "2""#]),
        )
        .like_umoci(),
        layer(
            "two spellings of one letter",
            |tar| tar.file("\u{e9}", 0o644, b"1").file("e\u{301}", 0o644, b"2"),
            made([r#"f e\xcc\x81 "2""#, r#"f \xc3\xa9 "1""#]),
        )
        .like_umoci(),
        layer(
            "letters that fold into others",
            |tar| {
                tar.file("stra\u{df}e", 0o644, b"1")
                    .file("STRASSE", 0o644, b"2")
                    .file("\u{212a}", 0o644, b"3")
                    .file("K", 0o644, b"4")
            },
            made([r#"f K "4""#, r#"f STRASSE "2""#, r#"f stra\xc3\x9fe "1""#, r#"f \xe2\x84\xaa "3""#]),
        )
        .like_umoci(),
        layer(
            "lost+found as a file",
            |tar| tar.file("lost+found", 0o644, b"x"),
            made([r#"f lost+found "x""#]).but_build(1, "lost+found is not a directory"),
        ),
        layer(
            "lost+found as a link out",
            |tar| tar.symlink("lost+found", "/etc").file("lost+found/x", 0o644, b"x"),
            made(["d etc", r#"f etc/x "x""#, r#"l lost+found -> "/etc""#])
                .but_build(1, "lost+found is not a directory"),
        ),
        layer(
            "lost+found with something in it",
            |tar| tar.directory("lost+found", 0o1777).file("lost+found/#11", 0o644, b"x"),
            made([r##"d lost+found mode=1777"##, r##"f lost+found/#11 "x""##]),
        ),
        layer(
            "names that offshoot stages things by",
            |tar| tar.file(".rootfs.offshoot-1", 0o644, b"x").file("tmp/.staged", 0o644, b"x"),
            made([r#"f .rootfs.offshoot-1 "x""#, "d tmp", r#"f tmp/.staged "x""#]),
        ),
        layer("one name a thousand times", |tar| repeated(tar, 1000), made([r#"f f "999""#])),
    ]
}

fn pax_path(path: &[u8]) -> TarEntry {
    TarEntry { records: vec![(b"path".to_vec(), path.to_vec())], ..TarEntry::new("x", b'0') }
}

fn repeated(tar: &mut Tar, times: u32) -> &mut Tar {
    for n in 0..times {
        tar.file("f", 0o644, n.to_string().as_bytes());
    }
    tar
}
