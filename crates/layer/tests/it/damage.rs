//! Finished packs that something has happened to.

use std::fs;

use offshoot_layer::{DataProblem, Error, IndexProblem, Pack};
use proptest::prelude::*;

use crate::archive::{Header, Made, Tar, make, noise};

fn sample() -> Made {
    let tar = Tar::new()
        .directory(b"d")
        .file(b"d/first", &noise(1, 5000))
        .pax(&[("SCHILY.xattr.user.x", b"y")])
        .file(b"d/second", &noise(2, 100))
        .entry(Header::new(b"link", b'1', 0).link(b"d/first"), b"")
        .entry(Header::new(b"soft", b'2', 0).link(b"d"), b"");
    make(&tar.finish()).unwrap()
}

#[test]
fn any_flipped_bit_of_the_data_is_found_and_its_entry_named() {
    let made = sample();
    let path = made.directory.path().join("data");
    let good = fs::read(&path).unwrap();
    assert_eq!(good.len(), 3 * 4096);
    for byte in (0..good.len()).step_by(61).chain([0, 4999, 5000, 8191, 8192, good.len() - 1]) {
        let mut bad = good.clone();
        bad[byte] ^= 1 << (byte % 8);
        fs::write(&path, &bad).unwrap();
        let pack = Pack::open(made.directory.path()).unwrap();
        let name = if byte < 8192 { "/d/first" } else { "/d/second" };
        match pack.verify() {
            Err(Error::Data { problem: DataProblem::Checksum(path), .. }) => {
                assert_eq!(path.to_string(), name);
            }
            other => panic!("byte {byte}: {other:?}"),
        }
    }
    fs::write(&path, &good).unwrap();
    Pack::open(made.directory.path()).unwrap().verify().unwrap();
}

#[test]
fn any_flipped_bit_of_the_index_is_found() {
    let made = sample();
    let path = made.directory.path().join("index");
    let good = fs::read(&path).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        // In place: the open pack sees it as well.
        fs::write(&path, &bad).unwrap();
        for result in [Pack::open(made.directory.path()).map(drop), made.pack.verify()] {
            match result {
                Err(Error::Index { problem, .. }) => match bit / 8 {
                    0..8 => assert_eq!(problem, IndexProblem::Magic),
                    8..12 => assert!(matches!(problem, IndexProblem::Version(_))),
                    _ => assert_eq!(problem, IndexProblem::Digest),
                },
                other => panic!("bit {bit}: {other:?}"),
            }
        }
    }
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        assert!(matches!(Pack::open(made.directory.path()), Err(Error::Index { .. })), "{length} bytes");
    }
}

#[test]
fn data_of_another_length() {
    let made = sample();
    let path = made.directory.path().join("data");
    let good = fs::read(&path).unwrap();
    for length in [0, 4096, good.len() - 1, good.len() + 1, good.len() + 4096] {
        let mut bad = good.clone();
        bad.resize(length, 1);
        fs::write(&path, &bad).unwrap();
        match Pack::open(made.directory.path()) {
            Err(Error::Index { problem: IndexProblem::DataLength { described, actual }, .. }) => {
                assert_eq!((described, actual), (good.len() as u64, length as u64));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(made.pack.verify(), Err(Error::Index { .. })));
    }
}

#[test]
fn what_is_missing() {
    let made = sample();
    for name in ["index", "data"] {
        fs::rename(made.directory.path().join(name), made.directory.path().join("away")).unwrap();
        match Pack::open(made.directory.path()) {
            Err(Error::Host { operation: "open", path, .. }) => assert!(path.ends_with(name)),
            other => panic!("{other:?}"),
        }
        fs::rename(made.directory.path().join("away"), made.directory.path().join(name)).unwrap();
    }
}

/// An index of any body, with the right digest.
fn index(body: &[u8]) -> Vec<u8> {
    let hashed = [&b"offspack\x01\0\0\0"[..], body].concat();
    let digest = offshoot_store::Digest::of(&hashed);
    [&hashed[..], digest.as_bytes()].concat()
}

proptest! {
    #[test]
    fn an_index_of_any_bytes_is_refused_or_right(body in prop::collection::vec(any::<u8>(), 0..400)) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("data"), b"").unwrap();
        fs::write(directory.path().join("index"), index(&body)).unwrap();
        let _ = Pack::open(directory.path());
        fs::write(directory.path().join("index"), &body).unwrap();
        prop_assert!(Pack::open(directory.path()).is_err());
    }

    #[test]
    fn a_changed_index_with_the_right_digest_never_leads_outside_the_data(
        changes in prop::collection::vec((0_usize..1000, any::<u8>()), 1..5),
    ) {
        let made = sample();
        let path = made.directory.path().join("index");
        let good = fs::read(&path).unwrap();
        let mut body = good[12..good.len() - 32].to_vec();
        for (position, value) in changes {
            let position = position % body.len();
            body[position] = value;
        }
        fs::write(&path, index(&body)).unwrap();
        if let Ok(pack) = Pack::open(made.directory.path()) {
            // Reading every extent must succeed; what it holds may differ.
            match pack.verify() {
                Ok(()) | Err(Error::Data { .. }) => {}
                Err(error) => prop_assert!(false, "{error:?}"),
            }
        }
    }
}
