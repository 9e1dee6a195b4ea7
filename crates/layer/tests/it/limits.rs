//! Each limit: what is just within it passes, what is just beyond it does not.

use offshoot_layer::{Error, Limit, Limits, Request, StreamProblem};

use crate::archive::{Header, Tar, gzip, make_with, noise};

fn exceeded(blob: &[u8], limits: Limits) -> Option<Limit> {
    match make_with(blob, &Request { limits, sync: false, ..Request::default() }) {
        Ok(_) => None,
        Err(Error::Limit { limit, .. }) => Some(limit),
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn each_limit() {
    let defaults = Limits::default();
    let two = Tar::new().file(b"a", b"x").file(b"b", b"y").finish();
    let xattrs = Tar::new()
        .pax(&[("SCHILY.xattr.user.a", b"1234"), ("SCHILY.xattr.user.b", b"5678")])
        .file(b"f", b"")
        .finish();
    let deep = Tar::new().file(b"a/b/c/d", b"").finish();
    let target =
        Tar::new().pax(&[("linkpath", &[b'x'; 200])]).entry(Header::new(b"l", b'2', 0), b"").finish();
    let sparse = Tar::new()
        .pax(&[("GNU.sparse.size", b"1000000"), ("GNU.sparse.map", b""), ("GNU.sparse.name", b"f")])
        .file(b"x", b"")
        .finish();
    let pieces = [&noise(1, 4096)[..], &[0; 4096], &noise(2, 4096)].concat();
    let pieces = Tar::new().file(b"f", &pieces).finish();
    let records =
        crate::archive::pax_records(&[("SCHILY.xattr.user.a", b"1234"), ("SCHILY.xattr.user.b", b"5678")]);
    let metadata = records.len() as u64 + 512;
    // Paths, targets and attributes count, and each change itself.
    let change = size_of::<offshoot_tree::Change>() as u64;
    let hard = Tar::new().file(b"a", b"").entry(Header::new(b"hard", b'1', 0).link(b"a"), b"").finish();
    type Set = fn(&mut Limits, u64);
    let cases: [(&[u8], Limit, Set, u64); 13] = [
        (&two, Limit::TarBytes, |limits, number| limits.tar_bytes = number, two.len() as u64),
        (&two, Limit::Entries, |limits, number| limits.entries = number, 2),
        (&two, Limit::IndexBytes, |limits, number| limits.index_bytes = number, 2 * (change + 1 + 24)),
        (&xattrs, Limit::IndexBytes, |limits, number| limits.index_bytes = number, change + 1 + 20),
        (&target, Limit::IndexBytes, |limits, number| limits.index_bytes = number, change + 1 + 200),
        (&hard, Limit::IndexBytes, |limits, number| limits.index_bytes = number, 2 * change + 1 + 4 + 1),
        (&deep, Limit::PathBytes, |limits, number| limits.path_bytes = number as usize, 7),
        (&target, Limit::PathBytes, |limits, number| limits.path_bytes = number as usize, 200),
        (&deep, Limit::PathDepth, |limits, number| limits.path_depth = number as usize, 4),
        (&sparse, Limit::FileBytes, |limits, number| limits.file_bytes = number, 1_000_000),
        (&pieces, Limit::Extents, |limits, number| limits.extents = number, 2),
        (&xattrs, Limit::XattrBytes, |limits, number| limits.xattr_bytes = number as usize, 20),
        (&xattrs, Limit::Xattrs, |limits, number| limits.xattrs = number as usize, 2),
    ];
    for (blob, limit, set, enough) in cases {
        for blob in [blob.to_vec(), gzip(blob)] {
            let mut limits = defaults;
            set(&mut limits, enough);
            assert_eq!(exceeded(&blob, limits), None, "{limit:?}");
            set(&mut limits, enough - 1);
            assert_eq!(exceeded(&blob, limits), Some(limit));
        }
    }
    let with = |metadata_bytes| Limits { metadata_bytes, ..defaults };
    assert_eq!(exceeded(&xattrs, with(metadata)), None);
    assert_eq!(exceeded(&xattrs, with(metadata - 1)), Some(Limit::MetadataBytes));
}

#[test]
fn bombs() {
    // 1 GiB of zeros in 1 MiB; the limit stops it long before.
    let limits = Limits { tar_bytes: 8 << 20, ..Limits::default() };
    let zeros = vec![0; 64 << 20];
    let bomb = Tar::new().file(b"f", &zeros).finish();
    assert!(gzip(&bomb).len() < 1 << 20);
    assert_eq!(exceeded(&gzip(&bomb), limits), Some(Limit::TarBytes));
    assert_eq!(exceeded(&crate::archive::zstd(&bomb), limits), Some(Limit::TarBytes));
    // Even where the tar ended long ago.
    assert_eq!(exceeded(&gzip(&zeros), limits), Some(Limit::TarBytes));
    // Within the limit, the zeros cost nothing.
    let made = make_with(&gzip(&bomb), &Request { sync: false, ..Request::default() }).unwrap();
    assert_eq!(made.packed.data_bytes, 0);
    // Headers about headers, without end.
    let mut headers = Tar::new();
    for _ in 0..3000 {
        headers = headers.pax(&[]);
    }
    assert_eq!(exceeded(&headers.finish(), Limits::default()), Some(Limit::MetadataBytes));
    // A name as long as the header may be.
    let long = Tar::new().long(b'L', &vec![b'x'; 1 << 19]).file(b"f", b"").finish();
    assert_eq!(exceeded(&long, Limits::default()), Some(Limit::PathBytes));
}

#[test]
fn zstd_windows() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(24).unwrap();
    encoder.include_contentsize(false).unwrap();
    let blob = Tar::new().file(b"f", &noise(1, 1 << 20)).finish();
    std::io::Write::write_all(&mut encoder, &blob).unwrap();
    let blob = encoder.finish().unwrap();
    let with = |zstd_window_bytes| {
        let limits = Limits { zstd_window_bytes, ..Limits::default() };
        make_with(&blob, &Request { limits, sync: false, ..Request::default() })
    };
    assert!(with(1 << 24).is_ok());
    for too_small in [(1 << 24) - 1, 1 << 20, 1, 0] {
        let result = with(too_small);
        assert!(
            matches!(result, Err(Error::Stream { problem: StreamProblem::Zstd(_), .. })),
            "{too_small}: {result:?}"
        );
    }
}
