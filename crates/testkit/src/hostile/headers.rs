use super::case::{Case, blob, layer, tar};
use super::outcome::{INTEGRITY, made, refused};
use crate::layout::{Layer, Style, Tar, TarEntry, checksum, extension};

const CHECKSUM: &str = "the header's checksum is wrong";
const CUT: &str = "the tar is cut short";

pub(super) fn cases() -> Vec<Case> {
    let field = |name: &str, at: usize, bytes: &'static [u8], outcome| {
        layer(name, move |tar| tar.raw(&with(b'0', at, bytes)).file("after", 0o644, b"x"), outcome)
    };
    let unknown = |name: &str, kind: u8| {
        let outcome = refused(INTEGRITY, "which is not supported");
        layer(name, move |tar| tar.entry(&TarEntry::new("f", kind)), outcome)
    };
    let sized = |name: &str, kind: u8, line: &str| {
        let line = line.to_owned();
        let mode = if kind == b'2' { 0o777 } else { TarEntry::new("f", kind).mode };
        let entry =
            TarEntry { claimed_size: Some(4096), mode, link: b"t".to_vec(), ..TarEntry::new("f", kind) };
        layer(
            name,
            move |tar| tar.entry(&entry).file("z", 0o644, b"x"),
            made([line, r#"f z "x""#.to_owned()]),
        )
    };
    let after = made([r#"f after "x""#, r#"f f """#]);
    vec![
        layer(
            "a checksum that is wrong",
            |tar| {
                let mut bytes = TarEntry::new("f", b'0').to_bytes();
                bytes[0] = b'g';
                tar.raw(&bytes)
            },
            refused(INTEGRITY, CHECKSUM),
        ),
        field("a negative size", 124, &[0xff; 12], refused(INTEGRITY, "its size is no number")),
        field(
            "a size that is no number",
            124,
            b"twelve\0\0\0\0\0\0",
            refused(INTEGRITY, "its size is no number"),
        ),
        field(
            "a size of nearly 2⁶³",
            124,
            b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
            refused(INTEGRITY, "exceeds the limit of 137438953472 bytes of decompressed tar"),
        ),
        field(
            "a size beyond 64 bits",
            124,
            b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            refused(INTEGRITY, "its size is no number"),
        ),
        field("a size beyond the end", 124, b"00077777777\0", refused(INTEGRITY, CUT)),
        field("a mode that is no number", 100, b"rwxr-xr-", refused(INTEGRITY, "its mode is no number")),
        field("an owner that is no number", 108, b"root\0\0\0\0", refused(INTEGRITY, "its uid is no number")),
        field("a group with two numbers", 116, b"1 2 3 4\0", refused(INTEGRITY, "its gid is no number")),
        field("a mode with a type in it", 100, b"0120644\0", after.clone()),
        field("names of owners that mean something here", 265, b"root\0", after.clone()),
        field("every time blank", 136, b"            ", after),
        unknown("a type for contiguous volumes", b'M'),
        unknown("a type for volume labels", b'V'),
        unknown("a type for incremental directories", b'D'),
        unknown("a type that nobody knows", b'Z'),
        unknown("a type beyond ASCII", 0xff),
        unknown("Solaris' extended headers", b'X'),
        sized("a directory with a size", b'5', "d f"),
        sized("a symbolic link with a size", b'2', r#"l f -> "t""#),
        sized("a pipe with a size", b'6', "p f"),
        layer(
            "a directory with contents",
            |tar| tar.entry(&TarEntry { contents: vec![b'y'; 600], ..TarEntry::new("d", b'5') }),
            refused(INTEGRITY, CHECKSUM),
        ),
        layer(
            "a directory by its slash alone, as before ustar",
            |tar| {
                let mut bytes = with(0, 257, &[0; 8]);
                bytes[..2].copy_from_slice(b"d/");
                seal(&mut bytes);
                tar.raw(&bytes).file("d/f", 0o644, b"x")
            },
            made(["d d mode=0644", r#"f d/f "x""#]),
        ),
        blob("nothing at all", Layer::plain(b""), made([""; 0])),
        blob("nothing but zeros", Layer::gzip(&[0; 10_240]), made([""; 0])),
        blob("a single block of zeros at the end", Layer::gzip(&ended(1)), made([r#"f f "x""#])),
        blob("no zeros at the end", Layer::gzip(&ended(0)), made([r#"f f "x""#])),
        blob(
            "half a block at the end",
            Layer::gzip(&[ended(0), vec![0; 100]].concat()),
            refused(INTEGRITY, CUT),
        ),
        blob(
            "a block of zeros between entries",
            Layer::gzip(&[ended(1), ended(2)].concat()),
            refused(INTEGRITY, "entries follow a block of zeros"),
        ),
        blob(
            "another tar behind the end",
            Layer::gzip(&[ended(2), tar(|tar| tar.file("hidden", 0o644, b"x"))].concat()),
            made([r#"f f "x""#]),
        ),
        blob(
            "garbage behind the end",
            Layer::gzip(&[ended(2), vec![b'x'; 700]].concat()),
            made([r#"f f "x""#]),
        ),
        blob("not a tar", Layer::gzip(&[b'x'; 4096]), refused(INTEGRITY, CHECKSUM)),
        blob(
            "cut within a header",
            Layer::gzip(&tar(|tar| tar.file("f", 0o644, b"x"))[..300]),
            refused(INTEGRITY, CUT),
        ),
        blob(
            "cut within contents",
            Layer::gzip(&tar(|tar| tar.file("f", 0o644, &[7; 9000]))[..4000]),
            refused(INTEGRITY, CUT),
        ),
        layer(
            "a long name, and nothing that has it",
            |tar| tar.raw(&extension(b'L', b"././@LongLink", b"name\0")),
            refused(INTEGRITY, CUT),
        ),
        layer(
            "two long names, of which the last counts",
            |tar| tar.raw(&long_name(b"first")).raw(&long_name(b"second")).file("short", 0o644, b"x"),
            made([r#"f second "x""#]),
        ),
        layer(
            "a long name of 2 MiB",
            |tar| tar.raw(&long_name(&vec![b'n'; 2 << 20])).file("short", 0o644, b"x"),
            refused(INTEGRITY, "exceeds the limit of 1048576 bytes of extended header"),
        ),
        layer(
            "a long name and a PAX path that differ",
            |tar| {
                tar.raw(&long_name(b"gnu")).entry(&TarEntry {
                    records: vec![(b"path".to_vec(), b"pax".to_vec())],
                    ..TarEntry::new("short", b'0')
                })
            },
            refused(INTEGRITY, "its GNU and PAX names contradict each other"),
        ),
        layer(
            "everything too large for octal digits, as GNU says it",
            |tar| {
                tar.entry(&TarEntry {
                    uid: 3_000_000,
                    gid: 4_000_000,
                    mtime: (1 << 33, 0),
                    style: Style::Gnu,
                    contents: b"x".to_vec(),
                    ..TarEntry::new("f", b'0')
                })
            },
            made([r#"f f owner=3000000:4000000 mtime=8589934592.000000000 "x""#]),
        ),
    ]
}

/// An empty entry with other bytes in its header.
fn with(kind: u8, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut header = TarEntry::new("f", kind).to_bytes();
    header[at..at + bytes.len()].copy_from_slice(bytes);
    seal(&mut header);
    header
}

fn seal(header: &mut [u8]) {
    let mut block = [0; 512];
    block.copy_from_slice(&header[..512]);
    checksum(&mut block);
    header[..512].copy_from_slice(&block);
}

/// A file, and so many blocks of zeros.
fn ended(blocks: usize) -> Vec<u8> {
    let mut bytes = Tar::new().file("f", 0o644, b"x").unfinished();
    bytes.resize(bytes.len() + blocks * 512, 0);
    bytes
}

fn long_name(name: &[u8]) -> Vec<u8> {
    extension(b'L', b"././@LongLink", &[name, b"\0"].concat())
}
