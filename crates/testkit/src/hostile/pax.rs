use super::case::{Case, layer, tar};
use super::outcome::{INTEGRITY, made, refused};
use super::tree::contents;
use crate::layout::{Tar, TarEntry, extension};

const MALFORMED: &str = "its PAX extended header is malformed";
const TOO_LARGE: &str = "exceeds the limit of 1048576 bytes of extended header";

pub(super) fn cases() -> Vec<Case> {
    let inner = tar(|tar| tar.file("smuggled", 0o755, b"#!/bin/sh"));
    let nested = format!("f f {}", contents(&inner));
    let malformed = |name: &str, records: &[u8]| {
        let header = extension(b'x', b"PaxHeaders/f", records);
        layer(name, move |tar| tar.raw(&header).file("f", 0o644, b"x"), refused(INTEGRITY, MALFORMED))
    };
    let record = |name: &str, key: &str, value: &[u8], outcome| {
        let entry = TarEntry {
            records: vec![(key.as_bytes().to_vec(), value.to_vec())],
            contents: b"x".to_vec(),
            ..TarEntry::new("f", b'0')
        };
        layer(name, move |tar| tar.entry(&entry), outcome)
    };
    let unchanged = made([r#"f f "x""#]);
    vec![
        // The inner tar is contents; a reader that goes by the header would take its entries for the layer's.
        layer(
            "a size of which the header says nothing",
            |tar| tar.raw(&sized(&inner, inner.len() as u64, 0)).file("z", 0o644, b"x"),
            made([nested.clone(), r#"f z "x""#.to_owned()]),
        )
        .like_umoci(),
        layer(
            "a size smaller than the header's",
            |tar| tar.raw(&sized(&inner, 0, inner.len() as u64)).file("z", 0o644, b"x"),
            // What the header counts as contents are entries, to every reader that heeds the record.
            made([r#"f f """#, r##"f smuggled mode=0755 "#!/bin/sh""##]),
        ),
        layer(
            "a size larger than the header's, and than what is there",
            |tar| tar.raw(&sized(b"x", 1 << 20, 1)),
            refused(INTEGRITY, "the tar is cut short"),
        ),
        record("a size that is negative", "size", b"-1", refused(INTEGRITY, "its size is no number")),
        record(
            "a size beyond 64 bits",
            "size",
            b"18446744073709551616",
            refused(INTEGRITY, "its size is no number"),
        ),
        record(
            "a size of 2⁶⁴ − 1",
            "size",
            b"18446744073709551615",
            refused(INTEGRITY, "bytes of decompressed tar"),
        ),
        record("a size in hexadecimal", "size", b"0x1", refused(INTEGRITY, "its size is no number")),
        malformed("no record", b"garbage"),
        malformed("a length that is too short", b"5 path=a\n"),
        malformed("a length that is too long", b"99 path=a\n"),
        malformed("a length of zero", b"0 path=a\n"),
        malformed("a length that is negative", b"-9 path=a\n"),
        malformed("a length that overflows", b"18446744073709551625 path=a\n"),
        malformed("no newline", b"9 path=ab"),
        malformed("no equals sign", b"9 path:a\n"),
        malformed("no key", b"5 =a\n"),
        malformed("NUL bytes behind the records", b"9 path=a\n\0\0\0"),
        layer(
            "a header about nothing",
            |tar| tar.raw(&extension(b'x', b"PaxHeaders/f", b"9 path=a\n")),
            refused(INTEGRITY, "the tar is cut short"),
        ),
        layer(
            "a header of 2 MiB",
            |tar| {
                tar.entry(&TarEntry {
                    records: vec![(b"comment".to_vec(), vec![b'c'; 2 << 20])],
                    ..TarEntry::new("f", b'0')
                })
            },
            refused(INTEGRITY, TOO_LARGE),
        ),
        layer(
            "a header that says it has 8 GiB",
            |tar| {
                tar.entry(&TarEntry {
                    claimed_size: Some((8 << 30) - 1),
                    ..TarEntry::new("PaxHeaders/f", b'x')
                })
            },
            refused(INTEGRITY, TOO_LARGE),
        ),
        layer("three thousand headers for one entry", headers, refused(INTEGRITY, TOO_LARGE)),
        layer(
            "fifty thousand records",
            |tar| {
                let records =
                    (0..50_000_u32).map(|n| (format!("k{n}").into_bytes(), b"v".to_vec())).collect();
                tar.entry(&TarEntry { records, contents: b"x".to_vec(), ..TarEntry::new("f", b'0') })
            },
            unchanged.clone(),
        ),
        layer(
            "one key again and again, of which the last counts",
            |tar| {
                let path = |path: &[u8]| (b"path".to_vec(), path.to_vec());
                let records = vec![path(b"../a"), path(b"/etc/b"), path(b"last")];
                tar.entry(&TarEntry { records, contents: b"x".to_vec(), ..TarEntry::new("f", b'0') })
            },
            made([r#"f last "x""#]),
        ),
        record("a path that climbs", "path", b"../../f", refused(INTEGRITY, "\"..\" component")),
        record("an empty path, which is the header's", "path", b"", unchanged.clone()),
        record(
            "a path to the root",
            "path",
            b"/",
            refused(INTEGRITY, "the root of a layer can only be a directory"),
        ),
        record("a link's target for a file", "linkpath", b"/etc/passwd", unchanged.clone()),
        record("a character set", "hdrcharset", b"BINARY", unchanged.clone()),
        record("a key of somebody's", "VENDOR.exec", b"/bin/sh", unchanged.clone()),
        record("a device number for a file", "SCHILY.dev", b"1", unchanged.clone()),
        record("an owner's name", "uname", b"root\n../../x", unchanged.clone()),
        record("an owner that is no number", "uid", b"root", refused(INTEGRITY, "its uid is no number")),
        layer(
            "records for all that follows are passed over",
            |tar| {
                let all = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
                tar.global(&[
                    all("path", "../all"),
                    all("size", "0"),
                    all("linkpath", "/etc"),
                    all("uid", "9"),
                ])
                .file("f", 0o644, b"x")
            },
            unchanged.clone(),
        ),
        layer(
            "a header of records for all that is malformed",
            |tar| tar.raw(&extension(b'g', b"GlobalHead", b"garbage")).file("f", 0o644, b"x"),
            unchanged,
        ),
        layer(
            "a header between a long name and its entry",
            |tar| {
                let name = [b"n".repeat(150), b"\0".to_vec()].concat();
                tar.raw(&extension(b'L', b"././@LongLink", &name)).entry(&TarEntry {
                    records: vec![(b"uid".to_vec(), b"7".to_vec())],
                    contents: b"x".to_vec(),
                    ..TarEntry::new("short", b'0')
                })
            },
            made([format!("f {} owner=7:0 \"x\"", "n".repeat(150))]),
        ),
    ]
}

/// A file whose record says one size and whose header says another.
fn sized(bytes: &[u8], record: u64, header: u64) -> Vec<u8> {
    TarEntry {
        records: vec![(b"size".to_vec(), record.to_string().into_bytes())],
        contents: bytes.to_vec(),
        claimed_size: Some(header),
        ..TarEntry::new("f", b'0')
    }
    .to_bytes()
}

fn headers(tar: &mut Tar) -> &mut Tar {
    for _ in 0..3000 {
        tar.raw(&extension(b'x', b"PaxHeaders/f", b"9 path=a\n"));
    }
    tar.file("f", 0o644, b"x")
}
