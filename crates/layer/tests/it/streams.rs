//! Compressed streams: several parts, what may follow them, cut ones, and wrong promises.

use std::io::{self, Read};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use offshoot_layer::{Error, Request, StreamProblem, pack};
use offshoot_store::{Digest, Expected, VerifyError};

use crate::archive::{Tar, gzip, make, make_with, message, noise, zstd};

fn sample() -> Vec<u8> {
    Tar::new().file(b"a", &noise(1, 700_000)).directory(b"d").file(b"d/b", &[7; 100_000]).finish()
}

/// A gzip member with every optional part of a header.
fn gzip_with_everything(bytes: &[u8]) -> Vec<u8> {
    let plain = gzip(bytes);
    let mut member = plain[..10].to_vec();
    member[3] = 0b1_1110;
    member.extend(b"\x05\x00extra");
    member.extend(b"name\0comment\0");
    member.extend(b"hc");
    member.extend(&plain[10..]);
    member
}

/// Gives one byte, then two, then three … at a time.
struct Dribble(Vec<u8>, usize, usize);

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.2 = self.2 % 97 + 1;
        let count = self.2.min(buffer.len()).min(self.0.len() - self.1);
        buffer[..count].copy_from_slice(&self.0[self.1..self.1 + count]);
        self.1 += count;
        Ok(count)
    }
}

#[test]
fn members_and_frames_and_zeros_behind_them() {
    let tar = sample();
    let expected = make(&tar).unwrap();
    let (first, rest) = tar.split_at(300_001);
    let (second, third) = rest.split_at(1);
    let skippable = b"\x50\x2a\x4d\x18\x05\x00\x00\x00bytes".to_vec();
    for (what, blob) in [
        ("three members", [gzip(first), gzip(second), gzip(third)].concat()),
        ("an empty member", [gzip(first), gzip(b""), gzip(rest), gzip(b"")].concat()),
        ("full headers", [gzip_with_everything(first), gzip_with_everything(rest)].concat()),
        ("zeros behind gzip", [gzip(&tar), vec![0; 100_000]].concat()),
        ("one zero behind gzip", [gzip(&tar), vec![0]].concat()),
        ("three frames", [zstd(first), zstd(second), zstd(third)].concat()),
        (
            "skippable frames",
            [skippable.clone(), zstd(first), skippable.clone(), zstd(rest), skippable].concat(),
        ),
        ("zeros behind zstd", [zstd(&tar), vec![0; 100_000]].concat()),
    ] {
        let made = make(&blob).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(made.packed.diff_id, expected.packed.diff_id, "{what}");
        assert_eq!(made.pack.changes(), expected.pack.changes(), "{what}");
        let directory = tempfile::tempdir().unwrap();
        let dribble = Box::new(Dribble(blob.clone(), 0, 0));
        let request = Request { sync: false, ..Request::default() };
        assert_eq!(pack(dribble, directory.path(), &request).unwrap(), made.packed, "{what}, dribbled");
    }
}

#[test]
fn garbage_behind_the_stream() {
    let tar = sample();
    for blob in [
        [gzip(&tar), b"garbage".to_vec()].concat(),
        [gzip(&tar), vec![0; 1000], vec![1]].concat(),
        [zstd(&tar), vec![0; 1000], vec![1]].concat(),
    ] {
        let result = make(&blob);
        assert!(
            matches!(result, Err(Error::Stream { problem: StreamProblem::TrailingGarbage, .. })),
            "{result:?}"
        );
    }
    for (blob, header) in [
        ([gzip(&tar), b"\x1f\x8c".to_vec(), vec![0; 20]].concat(), true),
        ([zstd(&tar), b"garbage".to_vec()].concat(), false),
    ] {
        match make(&blob) {
            Err(Error::Stream { problem: StreamProblem::GzipHeader, .. }) if header => {}
            Err(Error::Stream { problem: StreamProblem::Zstd(_), .. }) if !header => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn cut_streams() {
    let tar = Tar::new().file(b"a", &noise(1, 3000)).file(b"b", &[7; 9000]).finish();
    for (what, blob) in
        [("gzip", gzip(&tar)), ("zstd", zstd(&tar)), ("full gzip", gzip_with_everything(&tar))]
    {
        // Two bytes of gzip have its magic; below four, nothing is zstd.
        for length in (4..blob.len()).step_by(7).chain(blob.len() - 9..blob.len()) {
            let result = make(&blob[..length]);
            let cut = matches!(
                result,
                Err(Error::Stream { problem: StreamProblem::Truncated, .. } | Error::Tar { .. })
            );
            assert!(cut, "{what} cut to {length}: {result:?}");
            // Told what to expect, it says what is wrong: the blob, not the image.
            let expected = Expected { digest: Some(Digest::of(&blob)), size: Some(blob.len() as u64) };
            let request = Request { expected, sync: false, ..Request::default() };
            let result = make_with(&blob[..length], &request);
            let size = VerifyError::Size { expected: blob.len() as u64, actual: length as u64 };
            assert!(matches!(&result, Err(Error::Blob(actual)) if *actual == size), "{result:?}");
        }
    }
}

#[test]
fn flipped_bits_of_a_compressed_stream() {
    let tar = Tar::new().file(b"a", &noise(1, 300)).finish();
    let expected = Some(Digest::of(&tar));
    for blob in [gzip(&tar), zstd(&tar)] {
        // Another bit of each byte.
        for bit in (0..blob.len() * 8).step_by(9) {
            let mut bad = blob.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let request = Request { diff_id: expected, sync: false, ..Request::default() };
            // Bits that mean nothing (a time in a header) may change; then the tar is the same.
            if let Ok(made) = make_with(&bad, &request) {
                assert_eq!(Some(made.packed.diff_id), expected);
            }
            let digest = Expected { digest: Some(Digest::of(&blob)), size: Some(blob.len() as u64) };
            let request = Request { expected: digest, sync: false, ..Request::default() };
            assert!(matches!(make_with(&bad, &request), Err(Error::Blob(VerifyError::Digest { .. }))));
        }
    }
}

#[test]
fn gzip_members_that_contradict_themselves() {
    let tar = sample();
    let blob = gzip(&tar);
    // Its CRC-32, its length, and its first block's type: 3 does not exist.
    let trailer = blob.len() - 8;
    for (position, mask) in
        [(trailer, 1), (trailer + 3, 0x80), (trailer + 4, 1), (trailer + 7, 0x80), (10, 6)]
    {
        let mut bad = blob.clone();
        bad[position] |= mask;
        bad[position] ^= if bad[position] == blob[position] { mask } else { 0 };
        match make(&bad) {
            Err(Error::Stream { problem: StreamProblem::GzipTrailer, .. }) if position >= trailer => {}
            Err(Error::Stream { problem: StreamProblem::Deflate(_), .. }) if position < trailer => {}
            other => panic!("byte {position}: {other:?}"),
        }
    }
}

#[test]
fn a_large_blob_that_is_damaged_early_is_read_to_its_end() {
    // Far more than lies in the buffers when decoding fails.
    let blob = gzip(&Tar::new().file(b"f", &noise(1, 8 << 20)).finish());
    let expected = Expected { digest: Some(Digest::of(&blob)), size: Some(blob.len() as u64) };
    for position in [2, 100, 1000] {
        let mut bad = blob.clone();
        bad[position] ^= 0x10;
        let attempt = |expected| make_with(&bad, &Request { expected, sync: false, ..Request::default() });
        let told = attempt(expected);
        assert!(matches!(told, Err(Error::Blob(VerifyError::Digest { .. }))), "{position}: {told:?}");
        let untold = attempt(Expected::default());
        assert!(matches!(untold, Err(Error::Stream { .. } | Error::Tar { .. })), "{position}: {untold:?}");
        // A blob that is right, and yet no tar: the image's own fault.
        let digest = Some(Digest::of(&bad));
        let fault = attempt(Expected { digest, ..expected });
        assert!(matches!(fault, Err(Error::Stream { .. } | Error::Tar { .. })), "{position}: {fault:?}");
    }
}

#[test]
fn wrong_promises() {
    let tar = sample();
    for blob in [tar.clone(), gzip(&tar), zstd(&tar)] {
        let (digest, size) = (Digest::of(&blob), blob.len() as u64);
        let other = Digest::of(b"other");
        let attempt = |expected, diff_id| {
            make_with(&blob, &Request { expected, diff_id, sync: true, ..Request::default() })
        };
        let promise = |digest, size| Expected { digest, size };
        assert!(attempt(promise(Some(digest), Some(size)), Some(Digest::of(&tar))).is_ok());
        for (expected, diff_id, kind) in [
            (promise(Some(other), Some(size)), None, "Digest"),
            (promise(Some(other), None), None, "Digest"),
            (promise(Some(digest), Some(size - 1)), None, "Size"),
            (promise(None, Some(size + 1)), None, "Size"),
            (promise(None, Some(0)), None, "Size"),
            (promise(Some(digest), Some(size)), Some(other), "DiffId"),
        ] {
            let actual = match attempt(expected, diff_id) {
                Err(Error::Blob(VerifyError::Digest { .. })) => "Digest",
                Err(Error::Blob(VerifyError::Size { .. })) => "Size",
                Err(Error::DiffId { .. }) => "DiffId",
                other => panic!("{other:?}"),
            };
            assert_eq!(actual, kind);
        }
    }
}

#[test]
fn unknown_compressions_are_named() {
    for (blob, name) in [(&b"\xfd7zXZ\0\0\0"[..], "xz"), (b"BZh91AY&SY12", "bzip2"), (b"\x04\"M\x18", "lz4")]
    {
        let error = make(blob).unwrap_err();
        assert!(matches!(error, Error::UnsupportedCompression(actual) if actual == name), "{error:?}");
        assert!(message(&error).contains("only gzip and zstd"));
    }
}

/// Fails after so many bytes.
struct Failing(u64);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::from(io::ErrorKind::ConnectionReset));
        }
        let count = buffer.len().min(usize::try_from(self.0).unwrap());
        buffer[..count].fill(0);
        self.0 -= count as u64;
        Ok(count)
    }
}

#[test]
fn a_source_that_fails() {
    for bytes in [0, 1, 512, 5_000_000] {
        let directory = tempfile::tempdir().unwrap();
        match pack(Box::new(Failing(bytes)), directory.path(), &Request::default()) {
            Err(Error::Read(error)) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
            other => panic!("{other:?}"),
        }
    }
}

/// Panics after so many bytes.
struct Panicking(u64);

impl Read for Panicking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(self.0 > 0, "the source's own panic");
        Failing(self.0).read(buffer).inspect(|count| self.0 -= *count as u64)
    }
}

#[test]
fn a_source_that_panics_hangs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let result = std::thread::spawn(move || {
        let _ = pack(Box::new(Panicking(5_000_000)), &path, &Request::default());
    });
    let panic = result.join().unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the source's own panic"));
}

#[test]
fn a_host_that_fails() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    match pack(Box::new(&b""[..]), &missing, &Request::default()) {
        Err(Error::Host { operation: "create", path, source }) => {
            assert_eq!((path, source.kind()), (missing.join("data"), io::ErrorKind::NotFound));
        }
        other => panic!("{other:?}"),
    }
    // What is there already is never overwritten.
    std::fs::write(directory.path().join("data"), b"old").unwrap();
    match pack(Box::new(&b""[..]), directory.path(), &Request::default()) {
        Err(Error::Host { source, .. }) => assert_eq!(source.kind(), io::ErrorKind::AlreadyExists),
        other => panic!("{other:?}"),
    }
}

/// Unmounts when dropped.
struct Mounted(tempfile::TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk() {
    if !rustix::process::geteuid().is_root() {
        // Only root can mount a disk so small.
        return;
    }
    let directory = Mounted(tempfile::tempdir().unwrap());
    let mount = ["-t", "tmpfs", "-o", "size=1m", "none"];
    let mounted = Command::new("mount").args(mount).arg(directory.0.path()).status().unwrap();
    assert!(mounted.success());
    let blob = gzip(&Tar::new().file(b"a", &noise(1, 8 << 20)).finish());
    // Even where the rest of the blob would tell whether it is the right one.
    let expected = Expected { digest: Some(Digest::of(b"other")), size: Some(blob.len() as u64) };
    for expected in [expected, Expected::default()] {
        let request = Request { expected, ..Request::default() };
        match pack(Box::new(io::Cursor::new(blob.clone())), directory.0.path(), &request) {
            Err(Error::Host { operation: "write", path, source }) => {
                assert!(path.ends_with("data"));
                assert_eq!(source.kind(), io::ErrorKind::StorageFull);
            }
            // The reader may have been at the blob's end before the disk was full.
            Err(Error::Blob(_)) => assert!(expected.digest.is_some()),
            other => panic!("{other:?}"),
        }
        std::fs::remove_file(directory.0.path().join("data")).unwrap();
    }
}

#[test]
fn progress_adds_up() {
    let blob = gzip(&sample());
    let seen = AtomicU64::new(0);
    let report = |bytes| {
        seen.fetch_add(bytes, Ordering::Relaxed);
    };
    make_with(&blob, &Request { progress: Some(&report), sync: false, ..Request::default() }).unwrap();
    assert_eq!(seen.into_inner(), blob.len() as u64);
}
