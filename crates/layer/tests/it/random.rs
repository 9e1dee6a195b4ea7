//! Random bytes and random damage: refused or not, but never a panic, a hang or a wrong success.

use offshoot_layer::{Error, Request};
use offshoot_store::Digest;
use proptest::prelude::*;

use crate::archive::{Header, Tar, gzip, make, make_with, noise, only_file, zstd};

fn archive() -> Vec<u8> {
    let sparse = [&b"2\n4096\n4\n9000\n3\n"[..], &[0; 496], b"abcdefg"].concat();
    Tar::new()
        .directory(b"d")
        .pax(&[("path", b"d/pax"), ("mtime", b"1.5"), ("SCHILY.xattr.user.x", b"y")])
        .file(b"x", &noise(1, 700))
        .long(b'L', &[b'n'; 150])
        .entry(Header::new(b"x", b'0', 3).gnu(), b"xyz")
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", b"10000"),
            ("GNU.sparse.name", b"d/sparse"),
        ])
        .file(b"y", &sparse)
        .entry(Header::new(b"d/.wh.gone", b'0', 0), b"")
        .finish()
}

/// Sets right the checksums of all that looks like a header, so that the damage gets further in.
fn mend_checksums(tar: &mut [u8]) {
    for block in tar.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

#[test]
fn the_undamaged_archive_is_good() {
    let made = make(&archive()).unwrap();
    assert_eq!(made.packed.entries, 5);
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        for blob in [bytes.clone(), [b"\x1f\x8b\x08\0", &bytes[..]].concat(), [b"\x28\xb5\x2f\xfd", &bytes[..]].concat()] {
            let _ = make(&blob);
        }
        let _ = make(&gzip(&bytes));
    }

    #[test]
    fn any_damage_to_headers(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut tar = archive();
        for (index, value) in damage {
            let position = index.index(tar.len());
            tar[position] = value;
        }
        mend_checksums(&mut tar);
        // Whatever comes out was verified; whatever is refused names its reason.
        match make(&tar) {
            Ok(_) | Err(Error::Tar { .. } | Error::Limit { .. }) => {}
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }

    #[test]
    fn any_damage_to_a_compressed_stream(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let tar = archive();
        for mut blob in [gzip(&tar), zstd(&tar)] {
            for (index, value) in &damage {
                let position = index.index(blob.len());
                blob[position] = *value;
            }
            blob.truncate(cut.index(blob.len() * 2));
            let request = Request { diff_id: Some(Digest::of(&tar)), sync: false, ..Request::default() };
            if let Ok(made) = make_with(&blob, &request) {
                prop_assert_eq!(made.packed.entries, 5);
            }
        }
    }

    /// Contents of random runs of zeros and of noise, cut at random into segments of a sparse file.
    #[test]
    fn any_sparse_file(
        pieces in prop::collection::vec((0_usize..20_000, 1_usize..20_000, any::<bool>()), 0..12),
        tail in 0_usize..10_000,
    ) {
        let (mut contents, mut stored, mut map) = (Vec::new(), Vec::new(), Vec::new());
        for (seed, (hole, length, zero)) in pieces.into_iter().enumerate() {
            contents.resize(contents.len() + hole, 0);
            let piece = if zero { vec![0; length] } else { noise(seed as u64, length) };
            map.push(format!("{},{length}", contents.len()));
            contents.extend(&piece);
            stored.extend(&piece);
        }
        contents.resize(contents.len() + tail, 0);
        let (map, size) = (map.join(","), contents.len().to_string());
        let tar = Tar::new()
            .pax(&[("GNU.sparse.size", size.as_bytes()), ("GNU.sparse.map", map.as_bytes()), ("GNU.sparse.name", b"f")])
            .file(b"x", &stored)
            .finish();
        let made = make(&tar).unwrap();
        let (content, bytes) = only_file(&made);
        prop_assert!(bytes == contents);
        let blocks = contents.chunks(4096).filter(|block| block.iter().any(|&byte| byte != 0)).count();
        prop_assert_eq!(content.data_blocks(), blocks as u64);
    }
}
