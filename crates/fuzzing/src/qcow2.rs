mod images;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use arbitrary::{Result, Unstructured};
use offshoot_qcow2::{Access, Overlay, inspect};

use crate::judge;
use crate::noise::noise;
use images::{BACKING_BYTES, Image, contents, image};

/// How many inputs there are to one that qemu-img judges.
const JUDGED: u64 = 64;
/// How much of the guest's disk is looked at.
const SEEN_BYTES: u64 = 400 << 10;

/// What the guest's disk is put through.
#[derive(Clone, Debug)]
enum Deed {
    Read(u64, usize),
    Write(u64, u8, usize),
    Enlarge(u64),
    Flush,
    Reopen,
    Copy,
}

/// Where in a file something is changed.
enum Place {
    Header(u64),
    /// An entry of a table, and a byte of it.
    L1(u64),
    L2(u64),
    RefcountTable(u64),
    Refcounts(u64),
    Anywhere(u64),
}

/// An overlay of ours or of qemu-img, changed at some places, or bytes that pretend to be one: looked at, opened, and
/// used as a guest does.
///
/// What is not changed keeps what is written to it. One that qemu-img finds nothing wrong with has no more than leaked
/// clusters after it too.
pub fn qcow2(input: &[u8]) {
    let mut unstructured = Unstructured::new(input);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("overlay");
    let Ok((damaged, deeds)) = case(&mut unstructured, &path) else { return };
    let _ = inspect(&File::open(&path).unwrap(), &path);
    let backing = directory.path().join("backing");
    fs::write(&backing, contents()).unwrap();
    let judged = judge::asked(input, JUDGED);
    let was_whole = judged && images::check(&path).is_ok();
    let whole = Overlay::open(&path, &backing, Access::Read).is_ok() && !damaged;
    let changed = guest(&path, &backing, &deeds, whole);
    if changed && was_whole {
        images::check(&path).unwrap_or_else(|complaint| panic!("after {deeds:?}: {complaint}"));
    }
}

/// Does all that is to be done; whether anything was written.
fn guest(path: &Path, backing: &Path, deeds: &[Deed], whole: bool) -> bool {
    let open = || Overlay::open(path, backing, Access::Write);
    let Ok(mut overlay) = open() else { return false };
    let seen = |overlay: &Overlay| usize::try_from(overlay.size_bytes().min(SEEN_BYTES)).unwrap();
    let mut expected = vec![0; seen(&overlay)];
    let mut readable = overlay.read_at(0, &mut expected).is_ok();
    assert!(readable || !whole);
    for deed in deeds {
        match *deed {
            Deed::Read(offset, length) => drop(overlay.read_at(offset, &mut vec![0; length])),
            Deed::Write(offset, byte, length) => {
                let bytes = vec![byte; length];
                if overlay.write_at(offset, &bytes).is_err() {
                    // Some of it may be there.
                    readable = false;
                } else if let Some(start) = usize::try_from(offset).ok().filter(|at| *at < expected.len()) {
                    let end = expected.len().min(start + length);
                    expected[start..end].fill(byte);
                }
            }
            Deed::Enlarge(bytes) => {
                let before = overlay.size_bytes();
                if overlay.set_size_bytes(before.saturating_add(bytes)).is_ok() {
                    assert_eq!(overlay.size_bytes(), before + bytes);
                    let beyond = expected.len().max(BACKING_BYTES);
                    expected.resize(beyond.min(seen(&overlay)).max(expected.len()), 0);
                    readable &= beyond == expected.len();
                }
            }
            Deed::Flush => readable &= overlay.flush().is_ok(),
            Deed::Reopen => {
                readable &= overlay.flush().is_ok();
                overlay = match open() {
                    Ok(overlay) => overlay,
                    Err(error) => {
                        assert!(!whole, "{error}");
                        return true;
                    }
                };
            }
            Deed::Copy => {
                let raw = tempfile::tempfile().unwrap();
                raw.write_all_at(contents(), 0).unwrap();
                if overlay.size_bytes() < 1 << 32 && overlay.copy_changes_into(&raw, path).is_ok() && whole {
                    let mut copied = vec![0; expected.len()];
                    raw.read_exact_at(&mut copied, 0).unwrap();
                    assert!(!readable || copied == expected, "the copy has other bytes");
                }
            }
        }
        if whole && readable && !matches!(deed, Deed::Read(..) | Deed::Flush) {
            let mut found = vec![0; expected.len()];
            overlay.read_at(0, &mut found).unwrap();
            assert!(found == expected, "{deed:?} of {deeds:?}");
        }
    }
    let _ = overlay.flush();
    true
}

/// Writes the file; whether it is another than the one that it was made from.
fn case(input: &mut Unstructured<'_>, path: &Path) -> Result<(bool, Vec<Deed>)> {
    let choice = input.int_in_range(0..=9)?;
    let deeds = (0..input.int_in_range(0..=6)?).map(|_| deed(input)).collect::<Result<_>>()?;
    if choice == 9 {
        let start: &[u8] = if input.arbitrary()? { b"QFI\xfb\0\0\0\x03" } else { b"" };
        let bytes = input.bytes(input.len())?;
        fs::write(path, [start, bytes].concat()).unwrap();
        return Ok((true, deeds));
    }
    let image = image(choice);
    image.write(path);
    let file = File::options().write(true).open(path).unwrap();
    let changes = if input.arbitrary()? { 0 } else { input.int_in_range(1..=6)? };
    for _ in 0..changes {
        let at = image.offset(&place(input)?);
        let bytes = value(input, &image)?;
        file.write_all_at(&bytes, at.min(1 << 24)).unwrap();
    }
    if input.ratio(1, 16)? {
        file.set_len(input.int_in_range(0..=1 << 20)?).unwrap();
        return Ok((true, deeds));
    }
    Ok((changes > 0, deeds))
}

fn place(input: &mut Unstructured<'_>) -> Result<Place> {
    Ok(match input.int_in_range(0..=11)? {
        0..=3 => Place::Header(input.int_in_range(0..=160)?),
        4 => Place::L1(input.int_in_range(0..=3)?),
        5..=7 => Place::L2(input.int_in_range(0..=16)?),
        8 => Place::RefcountTable(input.int_in_range(0..=2)?),
        9 => Place::Refcounts(input.int_in_range(0..=16)?),
        _ => Place::Anywhere(input.int_in_range(0..=600_000)?),
    })
}

/// An entry that leads somewhere in the file, one of a compressed cluster, or any bytes.
fn value(input: &mut Unstructured<'_>, image: &Image) -> Result<Vec<u8>> {
    let flags = u64::from(input.int_in_range(0..=7_u8)?) << 61;
    let cluster = input.int_in_range(0..=12_u64)? * image.cluster_bytes;
    Ok(match input.int_in_range(0..=4)? {
        0 => (cluster | flags).to_be_bytes().to_vec(),
        1 => (cluster | flags | u64::from(input.arbitrary::<u16>()?)).to_be_bytes().to_vec(),
        2 => (flags | input.arbitrary::<u64>()? >> 3).to_be_bytes().to_vec(),
        _ => {
            let length = *input.choose(&[1, 2, 4, 8])?;
            input.bytes(length)?.to_vec()
        }
    })
}

fn deed(input: &mut Unstructured<'_>) -> Result<Deed> {
    let offset = |input: &mut Unstructured<'_>| {
        Ok(match input.int_in_range(0..=3)? {
            0 => input.arbitrary::<u64>()? >> input.int_in_range(0..=63)?,
            // A place of which the overlay has no table, perhaps.
            1 => input.int_in_range(0..=20)? * 65536 * *input.choose(&[1, 1, 8192])?,
            _ => input.int_in_range(0..=SEEN_BYTES)?,
        })
    };
    Ok(match input.int_in_range(0..=9)? {
        0..=3 => {
            Deed::Write(offset(input)?, input.arbitrary()?, *input.choose(&[1, 512, 4096, 65536, 100_000])?)
        }
        4 => Deed::Read(offset(input)?, *input.choose(&[0, 1, 4096, 200_000])?),
        5 => Deed::Enlarge(input.arbitrary::<u64>()? >> input.int_in_range(0..=63)? << 9),
        6 => Deed::Flush,
        7 | 8 => Deed::Reopen,
        _ => Deed::Copy,
    })
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..64).map(|seed| noise(3000 + seed, 30 + 3 * usize::try_from(seed).unwrap_or(0))).collect()
}
