use super::case::{Case, layer};
use super::outcome::{INTEGRITY, counted, made, refused};
use super::tree::contents;
use crate::layout::{SparseFormat, Style, TarEntry};

const MALFORMED: &str = "its sparse map is malformed";
const TOO_LARGE: &str = "exceeds the limit of 1048576 bytes of extended header";

pub(super) fn cases() -> Vec<Case> {
    let map = |name: &str, size: &str, map: &str, data: &[u8], outcome| {
        let entry = old_pax(size, map, data);
        layer(name, move |tar| tar.entry(&entry), outcome)
    };
    let new = |name: &str, major: &str, size: &str, map: &str, data: &[u8], outcome| {
        let mut bytes = map.as_bytes().to_vec();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend(data);
        let record =
            |key: &str, value: &str| (format!("GNU.sparse.{key}").into_bytes(), value.as_bytes().to_vec());
        let records =
            vec![record("major", major), record("minor", "0"), record("name", "f"), record("realsize", size)];
        let entry = TarEntry { records, contents: bytes, ..TarEntry::new("GNUSparseFile.0/f", b'0') };
        layer(name, move |tar| tar.entry(&entry), outcome)
    };
    let bad = || refused(INTEGRITY, MALFORMED);
    let pieces = [0, 4096, 7].map(|at: u64| at * 3);
    let holey = {
        let mut bytes = vec![0; 100_000];
        bytes[8192..8195].copy_from_slice(b"abc");
        bytes[65_536] = b'd';
        bytes
    };
    let right = |name: &str, format| {
        let line = format!("f f {}", contents(&holey));
        layer(
            name,
            move |tar| tar.sparse("f", 100_000, &[(8192, b"abc"), (65_536, b"d")], format),
            made([line]),
        )
    };
    vec![
        // umoci does not know its type.
        right("GNU's first format", SparseFormat::Gnu),
        right("PAX 0.1", SparseFormat::Pax01).like_umoci(),
        right("PAX 1.0", SparseFormat::Pax10).like_umoci(),
        map("a map that overlaps itself", "12", "0,3,2,2", b"abcde", bad()),
        map("a map out of order", "12", "10,2,0,3", b"abcde", bad()),
        map("a map beyond the file", "11", "0,3,10,2", b"abcde", bad()),
        map("a map for more than is stored", "12", "0,3,10,2", b"abcd", bad()),
        map("a map for less than is stored", "12", "0,3,10,2", b"abcdef", bad()),
        map("a map whose sums overflow", "12", "18446744073709551615,5", b"abcde", bad()),
        map("a map of lengths that overflow", "12", "0,18446744073709551615,1,6", b"abcde", bad()),
        map("a map with half a pair", "12", "0,3,10", b"abc", bad()),
        map("a map that is no numbers", "12", "a,b", b"", bad()),
        map(
            "a size of nearly 2⁶⁴",
            "18446744073709551615",
            "0,1",
            b"x",
            refused(INTEGRITY, "bytes in a file"),
        ),
        map("a size that is negative", "-1", "0,1", b"x", refused(INTEGRITY, "real size is no number")),
        map(
            "a size beyond what ext4 holds",
            "17592186044417",
            "0,1",
            b"x",
            refused(INTEGRITY, "exceeds the limit of 17592186044416 bytes in a file"),
        ),
        // Such a file takes one block.
        map("a tebibyte of hole", "1099511627776", "0,1", b"x", counted(1, 1 << 40)),
        map(
            "a file that is all hole",
            "1000000",
            "",
            b"",
            made([format!("f f {}", contents(&[0; 1_000_000]))]),
        ),
        new("PAX 1.0 with a map that lies about its length", "1", "100", "9999999999999999\n", b"", bad()),
        new("PAX 1.0 with a negative number", "1", "100", "1\n-1\n4\n", b"data", bad()),
        new("PAX 1.0 with a number that has no end", "1", "100", &"1".repeat(600), b"", bad()),
        new("PAX 1.0 without a map", "1", "100", "", b"", bad()),
        new(
            "PAX 2.0",
            "2",
            "100",
            "0\n",
            b"",
            refused(INTEGRITY, "its sparse format is of an unknown version"),
        ),
        new(
            "PAX 1.0 with a map of a million entries",
            "1",
            "100000000",
            &format!("1000000\n{}", (0..1_000_000).map(|n| format!("{}\n0\n", n * 8)).collect::<String>()),
            b"",
            refused(INTEGRITY, TOO_LARGE),
        ),
        map(
            "PAX 0.1 with a map of a million entries",
            "100000000",
            &(0..1_000_000).map(|n| format!("{},0", n * 8)).collect::<Vec<_>>().join(","),
            b"",
            refused(INTEGRITY, TOO_LARGE),
        ),
        layer(
            "GNU's first format with a map of a million entries",
            |tar| {
                let nothing: &[u8] = b"";
                let map: Vec<(u64, &[u8])> = (0..1_000_000).map(|n| (n * 512, nothing)).collect();
                tar.sparse("f", 1 << 30, &map, SparseFormat::Gnu)
            },
            refused(INTEGRITY, TOO_LARGE),
        ),
        layer(
            "GNU's type in a header that is not GNU's",
            |tar| tar.entry(&TarEntry { style: Style::Pax, ..TarEntry::new("f", b'S') }),
            refused(INTEGRITY, "its type is 'S', which is not supported"),
        ),
        layer(
            "a name that climbs",
            |tar| {
                let mut entry = old_pax("1", "0,1", b"x");
                entry.records.push((b"GNU.sparse.name".to_vec(), b"../../f".to_vec()));
                tar.entry(&entry)
            },
            refused(INTEGRITY, "\"..\" component"),
        ),
        layer(
            "a map for a directory",
            |tar| tar.entry(&TarEntry { contents: Vec::new(), kind: b'5', ..old_pax("1000", "0,0", b"") }),
            made(["d f mode=0644"]),
        ),
        layer(
            "many pieces of a byte",
            |tar| {
                let pieces: Vec<(u64, &[u8])> = pieces.iter().map(|at| (*at, b"x".as_slice())).collect();
                let mut pieces = pieces;
                pieces.sort_unstable();
                tar.sparse("f", 20_000, &pieces, SparseFormat::Pax10)
            },
            made([format!("f f {}", contents(&at(&pieces, 20_000)))]),
        ),
    ]
}

fn at(places: &[u64], size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    for place in places {
        bytes[usize::try_from(*place).unwrap_or_default()] = b'x';
    }
    bytes
}

/// A file in PAX format 0.1.
fn old_pax(size: &str, map: &str, data: &[u8]) -> TarEntry {
    let record =
        |key: &str, value: &str| (format!("GNU.sparse.{key}").into_bytes(), value.as_bytes().to_vec());
    TarEntry {
        records: vec![record("size", size), record("map", map), record("name", "f")],
        contents: data.to_vec(),
        ..TarEntry::new("GNUSparseFile.0/f", b'0')
    }
}
