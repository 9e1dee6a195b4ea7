//! Archives that nobody means well with: each is refused, by the right name.

use offshoot_layer::{Error, TarProblem};
use offshoot_tree::NameError;

use crate::archive::{Header, Tar, make, message, noise};

fn refusal(blob: &[u8]) -> (Option<Vec<u8>>, u64, TarProblem) {
    match make(blob) {
        Err(Error::Tar { path, offset, problem }) => {
            (path.map(|path| path.as_bytes().to_vec()), offset, problem)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn entries_that_no_filesystem_can_hold() {
    let header = |typeflag| Header::new(b"bad", typeflag, 0);
    let name = |name: &[u8]| Tar::new().file(name, b"");
    let pax = |records: &[(&str, &[u8])]| Tar::new().pax(records).file(b"bad", b"");
    let long_name = [b'x'; 256];
    for (tar, problem) in [
        (name(b"../etc/passwd"), TarProblem::Path(NameError::DotDot)),
        (name(b"a/../../b"), TarProblem::Path(NameError::DotDot)),
        (name(b"a/.."), TarProblem::Path(NameError::DotDot)),
        (name(b""), TarProblem::RootNotDirectory),
        (name(b"./"), TarProblem::RootNotDirectory),
        (pax(&[("path", b"a\0b")]), TarProblem::Path(NameError::Nul)),
        (pax(&[("path", b"../b")]), TarProblem::Path(NameError::DotDot)),
        (pax(&[("path", &long_name)]), TarProblem::Path(NameError::TooLong(256))),
        (Tar::new().entry(header(b'2'), b""), TarProblem::SymlinkTarget),
        (
            Tar::new().pax(&[("linkpath", b"a\0b")]).entry(header(b'2').link(b"x"), b""),
            TarProblem::SymlinkTarget,
        ),
        (
            Tar::new().entry(header(b'1').link(b"../../etc/shadow"), b""),
            TarProblem::LinkTarget(NameError::DotDot),
        ),
        (Tar::new().entry(header(b'3').number(329..337, 4096), b""), TarProblem::Device),
        (Tar::new().entry(header(b'4').number(337..345, 1 << 20), b""), TarProblem::Device),
        (Tar::new().entry(header(b'3').bytes(257, &[0; 8]), b""), TarProblem::Device),
        (Tar::new().entry(header(b'3').bytes(329, b"minusone"), b""), TarProblem::Device),
        (Tar::new().entry(header(b'V'), b""), TarProblem::UnknownType(b'V')),
        (Tar::new().entry(header(b'M'), b""), TarProblem::UnknownType(b'M')),
        (Tar::new().entry(header(b'D'), b""), TarProblem::UnknownType(b'D')),
        (Tar::new().entry(header(b'S'), b""), TarProblem::UnknownType(b'S')),
        (Tar::new().entry(header(0xff), b""), TarProblem::UnknownType(0xff)),
        (pax(&[("SCHILY.xattr.", b"x")]), TarProblem::XattrName),
        (pax(&[("SCHILY.xattr.user.a\0b", b"x")]), TarProblem::XattrName),
        (pax(&[(&format!("SCHILY.xattr.user.{}", "x".repeat(251)), b"x")]), TarProblem::XattrName),
    ] {
        let blob = Tar::new().file(b"good", b"1").0;
        let before = blob.len() as u64;
        let blob = [blob, tar.finish()].concat();
        let (path, offset, actual) = refusal(&blob);
        assert_eq!((offset, actual), (before, problem));
        assert!(path.is_some());
    }
}

#[test]
fn numbers_that_lie() {
    let header = || Header::new(b"bad", b'0', 0);
    let negative = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    for (header, what) in [
        (header().bytes(100, b"no mode "), "mode"),
        (header().bytes(100, &negative[..8]), "mode"),
        (header().bytes(108, &negative[..8]), "uid"),
        (header().bytes(108, b"\x80\0\0\x01\0\0\0\0"), "uid"),
        (header().bytes(116, b"0000009\0"), "gid"),
        (header().bytes(124, negative), "size"),
        (header().bytes(124, b"-0000000001\0"), "size"),
        (header().bytes(136, b"yesterday\0\0\0"), "mtime"),
        (header().bytes(136, b"\x80\0\0\0\x80\0\0\0\0\0\0\0"), "mtime"),
    ] {
        assert_eq!(refusal(&Tar::new().entry(header, b"").finish()).2, TarProblem::Number(what));
    }
    // A size beyond the archive, and beyond all archives.
    let short = Tar::new().entry(Header::new(b"bad", b'0', 100_000), &[1; 2000]).finish();
    assert_eq!(refusal(&short), (Some(b"bad".to_vec()), 0, TarProblem::Truncated));
    let huge = header().bytes(124, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
    let huge = make(&Tar::new().entry(huge, b"").finish());
    assert!(matches!(huge, Err(Error::Limit { .. })), "{huge:?}");
    let huge = Tar::new().pax(&[("size", b"18446744073709551615")]).file(b"bad", b"");
    assert!(matches!(make(&huge.finish()), Err(Error::Limit { .. })));
    // Extended headers that are longer than what is there.
    for typeflag in [b'x', b'L', b'K', b'g'] {
        let blob = Tar::new().entry(Header::new(b"bad", typeflag, 4000), b"some").finish();
        assert_eq!(refusal(&blob).2, TarProblem::Truncated, "{typeflag}");
    }
    // Or are about nothing.
    let blob = Tar::new().pax(&[("path", b"x")]).finish();
    assert_eq!(refusal(&blob).2, TarProblem::Truncated);
}

#[test]
fn what_is_no_tar() {
    assert_eq!(refusal(&noise(1, 10_000)), (None, 0, TarProblem::Checksum));
    assert_eq!(refusal(&noise(1, 511)), (None, 0, TarProblem::Truncated));
    assert_eq!(refusal(&noise(1, 1)).2, TarProblem::Truncated);
    let good = Tar::new().file(b"f", b"x").finish();
    assert!(make(&good).is_ok());
    // Every bit of a header counts.
    for bit in 0..512 * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        match make(&bad) {
            Err(Error::Tar { problem: TarProblem::Checksum, .. }) => {}
            // Within the checksum's own field a bit may be one that is not looked at.
            Ok(_) => assert!((148..156).contains(&(bit / 8)), "bit {bit}"),
            other => panic!("bit {bit}: {other:?}"),
        }
    }
    for length in 0..good.len() {
        let (whole, at_border) = (length >= 1024, length % 512 == 0);
        // A tar may end at any header's border.
        let good = make(&good[..length]).is_ok();
        assert_eq!(good, at_border && (whole || length == 0), "{length} bytes");
    }
}

#[test]
fn malformed_extended_headers() {
    for records in [&b"garbage"[..], b"6 a=b\nxx", b"1000 a=b\n", b"\0\0\0\0", b"5 =b\n", b"-6 a=b\n"] {
        let tar = Tar::new().entry(Header::new(b"x", b'x', records.len() as u64), records).file(b"f", b"");
        assert_eq!(refusal(&tar.finish()).2, TarProblem::Pax, "{}", records.escape_ascii());
    }
}

#[test]
fn sparse_maps_that_do_not_add_up() {
    let pax = |map: &[u8], size: &[u8], data: &[u8]| {
        Tar::new()
            .pax(&[("GNU.sparse.size", size), ("GNU.sparse.map", map), ("GNU.sparse.name", b"f")])
            .file(b"x", data)
            .finish()
    };
    assert!(make(&pax(b"0,3,10,2", b"12", b"abcde")).is_ok());
    for (map, size, data) in [
        (&b"0,3,10,2"[..], &b"12"[..], &b"abcd"[..]),
        (b"0,3,10,2", b"12", b"abcdef"),
        (b"0,3,10,2", b"11", b"abcde"),
        (b"0,3,2,2", b"12", b"abcde"),
        (b"10,3,0,2", b"12", b"abcde"),
        (b"0,3,10", b"12", b"abc"),
        (b"0,18446744073709551615,1,6", b"12", b"abcde"),
        (b"18446744073709551615,5", b"12", b"abcde"),
    ] {
        let (_, _, problem) = refusal(&pax(map, size, data));
        assert_eq!(problem, TarProblem::SparseMap, "{}", map.escape_ascii());
    }
    let version = |major: &[u8], minor: &[u8], data: &[u8]| {
        Tar::new()
            .pax(&[
                ("GNU.sparse.major", major),
                ("GNU.sparse.minor", minor),
                ("GNU.sparse.realsize", b"100"),
                ("GNU.sparse.name", b"f"),
            ])
            .file(b"x", data)
            .finish()
    };
    let data = [&b"1\n50\n4\n"[..], &[0; 505], b"data"].concat();
    assert!(make(&version(b"1", b"0", &data)).is_ok());
    assert_eq!(refusal(&version(b"2", b"0", &data)).2, TarProblem::SparseVersion);
    assert_eq!(refusal(&version(b"1", b"1", &data)).2, TarProblem::SparseVersion);
    for map in [&b""[..], b"1\n", b"9999999999999999\n", b"no\n", b"1\n-1\n4\n", b"1\n97\n4\n"] {
        let mut data = map.to_vec();
        data.resize(512, 0);
        data.extend(b"data");
        assert_eq!(refusal(&version(b"1", b"0", &data)).2, TarProblem::SparseMap, "{}", map.escape_ascii());
    }
    // An old GNU map that goes on for ever.
    let mut endless = Tar::new().entry(Header::new(b"f", b'S', 0).gnu().bytes(482, b"\x01"), b"").0;
    for _ in 0..4096 {
        let mut block = [0; 512];
        block[504] = 1;
        endless.extend(block);
    }
    assert!(matches!(make(&endless), Err(Error::Limit { .. })));
}

#[test]
fn messages_name_the_entry_and_its_place() {
    let tar = Tar::new().file(b"good", b"1").entry(Header::new(b"dir/\x1bdev", b'Z', 0), b"").finish();
    assert_eq!(
        message(&make(&tar).unwrap_err()),
        "the entry dir/\\u{1b}dev at byte 1024 of the layer's tar cannot be used: \
         its type is 'Z', which is not supported"
    );
    assert_eq!(
        message(&make(&noise(1, 512)).unwrap_err()),
        "what is at byte 0 of the layer's tar cannot be used: \
         the header's checksum is wrong; this is no tar or a damaged one"
    );
}
