//! Headers and tables that are damaged or made to harm.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use offshoot_qcow2::{Access, Corruption, Error, Overlay, OverlayInfo, Unsupported, create, inspect};
use proptest::prelude::*;

use crate::qemu;

fn look(path: &Path) -> Result<OverlayInfo, Error> {
    inspect(&File::open(path).unwrap(), path)
}

/// An overlay whose bytes at each place were replaced.
fn changed(directory: &Path, changes: &[(u64, &[u8])]) -> Result<OverlayInfo, Error> {
    let path = directory.join("overlay");
    let _ = fs::remove_file(&path);
    let file = create(&path, "backing.raw", 1 << 30).unwrap();
    for (offset, bytes) in changes {
        file.write_all_at(bytes, *offset).unwrap();
    }
    look(&path)
}

#[test]
fn each_field_of_the_header() {
    let (directory, _, _) = qemu::with_backing(512);
    let field = |field, value| Expected::Corrupt(Corruption::Field { field, value });
    let place = |what, offset, length| Expected::Corrupt(Corruption::Place { what, offset, length });
    let kb64 = 65536;
    let cases: Vec<(u64, &[u8], Expected)> = vec![
        (0, b"QFI\xfa", Expected::Corrupt(Corruption::Magic { found: 0x5146_49fa })),
        (0, &[0; 4], Expected::Corrupt(Corruption::Magic { found: 0 })),
        (4, &[0, 0, 0, 1], Expected::Corrupt(Corruption::Version { found: 1 })),
        (4, &[0, 0, 0, 4], Expected::Corrupt(Corruption::Version { found: 4 })),
        (4, &[0, 0, 0, 2], Expected::Unsupported(Unsupported::Version2)),
        // The backing file's name: where it begins, and its length.
        (8, &[0xff; 8], place("backing file's name", u64::MAX, 11)),
        (8, &[0, 0, 0, 0, 0, 0, 0, 8], place("backing file's name", 8, 11)),
        (8, &[0, 0, 0, 0, 0, 0, 255, 250], place("backing file's name", 65530, 11)),
        (16, &[0; 4], place("backing file's name", 128, 0)),
        (16, &[0, 0, 4, 0], place("backing file's name", 128, 1024)),
        (16, &[0xff; 4], place("backing file's name", 128, 0xffff_ffff)),
        (20, &[0, 0, 0, 8], field("cluster_bits", 8)),
        (20, &[0, 0, 0, 22], field("cluster_bits", 22)),
        (20, &[0xff; 4], field("cluster_bits", 0xffff_ffff)),
        (24, &[0xff; 8], field("l1_size", 2)),
        (24, &[0, 0, 0, 0, 0x40, 0, 0, 1], field("l1_size", 2)),
        (32, &[0, 0, 0, 1], Expected::Unsupported(Unsupported::Encryption)),
        (32, &[0, 0, 0, 2], Expected::Unsupported(Unsupported::Encryption)),
        (32, &[0, 0, 0, 3], field("crypt_method", 3)),
        (36, &[0; 4], field("l1_size", 0)),
        (36, &[0, 0, 0, 1], field("l1_size", 1)),
        (36, &[0x80, 0, 0, 0], field("l1_size", 1 << 31)),
        (36, &[0, 64, 0, 1], field("l1_size", (4 << 20) + 1)),
        (36, &[0, 64, 0, 0], place("L1 table", 3 * kb64, 32 << 20)),
        (36, &[0, 0, 0x20, 1], place("L1 table", 3 * kb64, kb64 + 8)),
        (40, &[0; 8], place("L1 table", 0, 16)),
        (40, &[0xff; 8], place("L1 table", u64::MAX, 16)),
        (46, &[0x40, 0], place("L1 table", 0x3_4000, 16)),
        (45, &[4, 0, 0], place("L1 table", 4 * kb64, 16)),
        (48, &[0; 8], place("refcount table", 0, kb64)),
        (53, &[4, 0, 0], place("refcount table", 4 * kb64, kb64)),
        (55, &[8], place("refcount table", kb64 + 8, kb64)),
        (56, &[0; 4], field("refcount_table_clusters", 0)),
        (56, &[0, 0, 0, 4], place("refcount table", kb64, 4 * kb64)),
        (56, &[0, 0, 0, 129], field("refcount_table_clusters", 129)),
        (56, &[0xff; 4], field("refcount_table_clusters", 0xffff_ffff)),
        (72, &[0, 0, 0, 0, 0, 0, 0, 0x24], Expected::Corrupt(Corruption::UnknownFeatures { bits: 0x20 })),
        (72, &[0x80, 0, 0, 0, 0, 0, 0, 1], Expected::Corrupt(Corruption::UnknownFeatures { bits: 1 << 63 })),
        (79, &[4], Expected::Unsupported(Unsupported::ExternalData)),
        (79, &[8], Expected::Unsupported(Unsupported::CompressionType)),
        (79, &[16], Expected::Unsupported(Unsupported::ExtendedL2)),
        (96, &[0, 0, 0, 7], field("refcount_order", 7)),
        (96, &[0xff; 4], field("refcount_order", 0xffff_ffff)),
        (100, &[0, 0, 0, 96], field("header_length", 96)),
        (100, &[0, 0, 0, 108], field("header_length", 108)),
        (100, &[0, 1, 0, 8], field("header_length", 65544)),
        (100, &[0, 1, 0, 0], Expected::Corrupt(Corruption::Extension { offset: 65536 })),
        // The backing file's format: its length, its text; then the end of the extensions.
        (108, &[0xff; 4], Expected::Corrupt(Corruption::Extension { offset: 104 })),
        (108, &[0, 0, 0, 0], field("backing file format", 0)),
        (108, &[0, 0, 0, 16], field("backing file format", 16)),
        (112, &[0xff], Expected::Corrupt(Corruption::NotUtf8 { what: "format" })),
        (120, &[1; 8], Expected::Corrupt(Corruption::Extension { offset: 120 })),
        (120, &[0xe2, 0x79, 0x2a, 0xca, 0, 0, 0, 3], field("backing file format", 3)),
        // A table of feature names is made of records of 48 bytes; imago panics where one is cut.
        (120, &[0x68, 3, 0xf8, 0x57, 0, 0, 0, 1], Expected::Corrupt(Corruption::Extension { offset: 120 })),
        (130, &[0xc3, 0x28], Expected::Corrupt(Corruption::NotUtf8 { what: "name" })),
        (130, &[0], field("backing file name", 11)),
    ];
    for (offset, bytes, expected) in cases {
        let result = changed(directory.path(), &[(offset, bytes)]);
        let what = format!("{bytes:x?} at {offset}: {result:?}");
        match (result, expected) {
            (Err(Error::Corrupt { reason, .. }), Expected::Corrupt(expected)) => {
                assert_eq!(reason, expected, "{what}");
            }
            (Err(Error::Unsupported { feature, .. }), Expected::Unsupported(expected)) => {
                assert_eq!(feature, expected, "{what}");
            }
            _ => panic!("{what}"),
        }
        let backing = directory.path().join("backing.raw");
        assert!(Overlay::open(&directory.path().join("overlay"), &backing, Access::Read).is_err(), "{what}");
    }
}

#[derive(Debug)]
enum Expected {
    Corrupt(Corruption),
    Unsupported(Unsupported),
}

#[test]
fn marks_of_other_writers_are_seen() {
    let (directory, backing, _) = qemu::with_backing(512);
    let path = directory.path().join("overlay");
    assert!(changed(directory.path(), &[(79, &[1])]).unwrap().dirty);
    let refused = Overlay::open(&path, &backing, Access::Read).unwrap_err();
    assert!(matches!(refused, Error::Unsupported { feature: Unsupported::Dirty, .. }), "{refused:?}");
    let info = changed(directory.path(), &[(79, &[2])]).unwrap();
    assert!(info.marked_corrupt && !info.dirty);
    let refused = Overlay::open(&path, &backing, Access::Read).unwrap_err();
    assert!(matches!(refused, Error::Unsupported { feature: Unsupported::MarkedCorrupt, .. }), "{refused:?}");
    // Unknown compatible features are nobody's concern.
    changed(directory.path(), &[(80, &[0xff; 8])]).unwrap();
    assert_eq!(changed(directory.path(), &[(8, &[0; 8])]).unwrap().backing, None);
}

#[test]
fn files_that_end_early() {
    let (directory, _, _) = qemu::with_backing(512);
    let path = directory.path().join("overlay");
    create(&path, "backing.raw", 1 << 30).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, 3, 4, 7, 8, 71, 72, 103] {
        fs::write(&path, &whole[..length]).unwrap();
        let result = look(&path);
        let expected = Corruption::TooShort { bytes: length as u64 };
        assert!(matches!(&result, Err(Error::Corrupt { reason, .. }) if *reason == expected), "{result:?}");
    }
    for length in [104, 112, 120, 138, 139, 65535, 131071, 196608, 196623] {
        fs::write(&path, &whole[..length]).unwrap();
        let result = look(&path);
        assert!(matches!(&result, Err(Error::Corrupt { .. })), "{length}: {result:?}");
    }
    fs::write(&path, &whole[..196624]).unwrap();
    look(&path).unwrap();
}

#[test]
fn what_cannot_be_read_is_not_called_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let result = look(directory.path());
    assert!(matches!(result, Err(Error::Io { .. })), "{result:?}");
    let missing = directory.path().join("missing");
    let result = Overlay::open(&missing, &missing, Access::Read).unwrap_err();
    assert!(matches!(result, Error::Io { .. }), "{result:?}");
    let path = directory.path().join("overlay");
    create(&path, "missing", 512).unwrap();
    let result = Overlay::open(&path, &missing, Access::Read).unwrap_err();
    assert!(matches!(&result, Error::Io { path, .. } if *path == missing), "{result:?}");
    // A directory can be opened, but not read.
    let opened = Overlay::open(&path, directory.path(), Access::Read);
    let result = opened.and_then(|overlay| overlay.read_at(0, &mut [0; 512])).unwrap_err();
    assert!(matches!(result, Error::Io { .. }), "{result:?}");
}

/// An overlay's file whose header has an extension of so many bytes before its other ones.
fn with_extension(path: &Path, extension_bytes: u32) {
    create(path, "backing.raw", 1 << 20).unwrap();
    let mut bytes = fs::read(path).unwrap();
    let tail = bytes[104..139].to_vec();
    let name_offset = u64::from(128 + 8 + extension_bytes);
    bytes[8..16].copy_from_slice(&name_offset.to_be_bytes());
    bytes[104..108].copy_from_slice(b"ext.");
    bytes[108..112].copy_from_slice(&extension_bytes.to_be_bytes());
    let start = 112 + extension_bytes as usize;
    bytes[112..start].fill(0xee);
    bytes[start..start + tail.len()].copy_from_slice(&tail);
    fs::write(path, bytes).unwrap();
}

#[test]
fn long_headers_are_read_to_their_end() {
    let (directory, _, _) = qemu::with_backing(512);
    let path = directory.path().join("overlay");
    for bytes in [8, 1800, 1896, 4000, 65360] {
        with_extension(&path, bytes);
        let backing = look(&path).unwrap().backing.unwrap();
        assert_eq!(
            (backing.path.as_str(), backing.format.as_deref()),
            ("backing.raw", Some("raw")),
            "{bytes}"
        );
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn names_end_with_the_first_cluster() {
    if !qemu::available() {
        return;
    }
    let (directory, _, _) = qemu::with_backing(512);
    let options = ["create", "-f", "qcow2", "-F", "raw", "-b", "backing.raw", "-o", "cluster_size=1k"];
    qemu::img(directory.path(), &[options.as_slice(), &["overlay", "1M"]].concat());
    let path = directory.path().join("overlay");
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&1014_u64.to_be_bytes(), 8).unwrap();
    let expected = Corruption::Place { what: "backing file's name", offset: 1014, length: 11 };
    let result = look(&path);
    assert!(matches!(&result, Err(Error::Corrupt { reason, .. }) if *reason == expected), "{result:?}");
}

/// Damaged tables must be found or harmless: an entry of each with each bit, read and written.
fn use_damaged(directory: &Path, path: &Path) {
    let backing = directory.join("backing.raw");
    for access in [Access::Read, Access::Write] {
        let Ok(overlay) = Overlay::open(path, &backing, access) else { continue };
        let mut bytes = vec![0; 300_000];
        let count = bytes.len().min(overlay.size_bytes() as usize);
        let _ = overlay.read_at(0, &mut bytes[..count]);
        let _ = overlay.write_at(100, &[1; 1000]);
        let _ = overlay.set_size_bytes(overlay.size_bytes() + 512);
        let _ = overlay.write_at(70_000, &[1; 200_000]);
        let _ = overlay.flush();
        let raw = tempfile::tempfile_in(directory).unwrap();
        if overlay.size_bytes() < 1 << 40 {
            let _ = overlay.copy_changes_into(&raw, path);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), valid_start: bool) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("overlay");
        let start: &[u8] = if valid_start { b"QFI\xfb\0\0\0\x03" } else { b"" };
        fs::write(&path, [start, &bytes].concat()).unwrap();
        assert!(look(&path).is_err());
    }

    #[test]
    fn damage_never_panics(
        places in proptest::collection::vec((0..6_u64, 0..160_u64, any::<u8>()), 1..6),
        entries in proptest::collection::vec((1..6_u64, 0..4_u64, any::<u64>(), 0..3_u32), 0..3),
    ) {
        let (directory, backing, _) = qemu::with_backing(100_000);
        let path = directory.path().join("overlay");
        create(&path, "backing.raw", 1 << 30).unwrap();
        let overlay = Overlay::open(&path, &backing, Access::Write).unwrap();
        overlay.write_at(0, &[3; 100]).unwrap();
        overlay.flush().unwrap();
        drop(overlay);
        let file = File::options().write(true).open(&path).unwrap();
        for (cluster, at, byte) in places {
            file.write_all_at(&[byte], cluster * 65536 + at).unwrap();
        }
        for (cluster, index, value, kind) in entries {
            // An offset within the file, with flags; a compressed cluster; anything.
            let entry = match kind {
                0 => (value % 8 * 65536) | (value & (1 << 63)) | (value & 1),
                1 => (value % 500_000) | (value & 0xe000_0000_0000_0000) | (1 << 62),
                _ => value,
            };
            file.write_all_at(&entry.to_be_bytes(), cluster * 65536 + index * 8).unwrap();
        }
        use_damaged(directory.path(), &path);
    }
}
