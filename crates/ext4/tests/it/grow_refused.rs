//! What is refused, and that nothing was touched then; and images that somebody made to do harm.

use std::fs;
use std::os::unix::fs::FileExt;

use offshoot_ext4::{Grow, GrowError, InspectError, Options, State, finish_grow, inspect, set_uuid};
use offshoot_testkit::{oracle, scratch_directory};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::grow_sizes::{grow, open, sample};
use crate::image::{Image, exact};
use crate::random::cases;
use crate::recorder::{Recorder, Step};

const MIB: u64 = 1 << 20;

fn image(journal: bool) -> Image {
    let (tree, packs) = sample();
    Image::new(&tree, &packs, &Options { journal, ..exact(200 * MIB) }).unwrap()
}

/// Nothing is done to the device when growth to that size is tried in either way.
fn refused(image: &Image, bytes: u64) -> GrowError {
    let recorder = Recorder::new(open(&image.path()));
    let error = Grow::plan(&recorder, bytes)
        .and_then(|plan| plan.apply_journaled(&recorder, true))
        .expect_err("growth is refused");
    assert_eq!(recorder.steps(), []);
    error
}

#[test]
fn smaller_sizes() {
    let image = image(true);
    for bytes in [0, 1, 4096, 100 * MIB, 200 * MIB - 4096, 200 * MIB - 1] {
        let error = refused(&image, bytes);
        assert!(error.to_string().contains("would lose data"), "{error}");
        assert!(matches!(error, GrowError::WouldLoseData { filesystem_bytes, requested_bytes }
                if filesystem_bytes == 200 * MIB && requested_bytes == bytes));
    }
}

#[test]
fn the_same_size_changes_nothing() {
    let image = image(true);
    let recorder = Recorder::new(open(&image.path()));
    for bytes in [200 * MIB, 200 * MIB + 4095] {
        let plan = Grow::plan(&recorder, bytes).unwrap();
        assert!(!plan.grows());
        assert_eq!((plan.new_size_bytes(), plan.written_bytes()), (200 * MIB, 0));
        plan.apply(&recorder).unwrap();
        plan.apply_journaled(&recorder, false).unwrap();
    }
    assert_eq!(recorder.steps(), []);
    // A group too small to be of use: the disk gets the size, the filesystem does not.
    let image = Image::new(&sample().0, &sample().1, &exact(128 * MIB)).unwrap();
    let plan = grow(&image.path(), 129 * MIB, true).unwrap();
    assert_eq!((plan.grows(), plan.left_out_bytes()), (false, MIB));
    assert_eq!(fs::metadata(image.path()).unwrap().len(), 129 * MIB);
    // Then it has that size, and a longer disk keeps its length.
    let recorder = Recorder::new(open(&image.path()));
    Grow::plan(&recorder, 129 * MIB).unwrap().apply(&recorder).unwrap();
    Grow::plan(&recorder, 128 * MIB).unwrap().apply(&recorder).unwrap();
    assert_eq!(recorder.steps(), []);
}

#[test]
fn sizes_that_cannot_be() {
    let image = image(true);
    for bytes in [600 << 30, 1 << 44, 1 << 60, u64::MAX] {
        let error = refused(&image, bytes);
        assert!(
            matches!(error, GrowError::PastReservation { .. } | GrowError::TooManyInodes { .. }),
            "{bytes}: {error}"
        );
    }
}

/// Sets a field of the superblock; the checksum is made right by debugfs.
fn set(image: &Image, field: &str, value: &str) {
    oracle::run(
        oracle::command("debugfs").args(["-w", "-R", &format!("ssv {field} {value}")]).arg(image.path()),
    );
}

#[test]
fn conditions() {
    if !oracle::available(&["debugfs"]) {
        return;
    }
    for (field, value, state) in [
        ("state", "0", State::NotClean),
        ("state", "3", State::Errors),
        ("state", "5", State::Orphans),
        ("last_orphan", "12", State::Orphans),
    ] {
        let image = image(true);
        set(&image, field, value);
        assert_eq!(inspect(&open(&image.path())).unwrap().state, state);
        let error = refused(&image, 400 * MIB);
        assert!(matches!(error, GrowError::NotClean { state: found } if found == state), "{error:?}");
        let recorder = Recorder::new(open(&image.path()));
        assert!(set_uuid(&recorder, [1; 16]).is_err());
        assert_eq!(recorder.steps(), []);
    }
    let image = image(true);
    oracle::run(oracle::command("debugfs").args(["-w", "-R", "feature FEATURE_I20"]).arg(image.path()));
    let error = refused(&image, 400 * MIB);
    assert!(
        matches!(error, GrowError::UnknownFeatures { features } if features.incompat == 1 << 20),
        "{error:?}"
    );
    assert!(error.to_string().contains("FEATURE_I20"), "{error}");
}

#[test]
fn no_journal_no_safety() {
    let image = image(false);
    let error = refused(&image, 400 * MIB);
    assert!(matches!(error, GrowError::NoSafeJournal { .. }), "{error:?}");
    grow(&image.path(), 400 * MIB, false).unwrap();
}

#[test]
fn a_filesystem_that_changed_meanwhile() {
    let image = image(true);
    let file = open(&image.path());
    let plan = Grow::plan(&file, 400 * MIB).unwrap();
    set_uuid(&file, [3; 16]).unwrap();
    assert!(matches!(plan.apply_journaled(&file, true), Err(GrowError::Changed)));
    assert_eq!(inspect(&file).unwrap().state, State::Clean);
}

#[test]
fn what_is_no_ext4() {
    let directory = scratch_directory();
    let path = directory.path().join("image");
    for bytes in [vec![], vec![0; 1024], vec![0; 2047], vec![0; 1 << 20], vec![0xff; 1 << 20]] {
        fs::write(&path, &bytes).unwrap();
        let file = open(&path);
        assert!(matches!(inspect(&file), Err(InspectError::NotExt4)));
        assert!(matches!(Grow::plan(&file, 1 << 30), Err(GrowError::Inspect(InspectError::NotExt4))));
        assert!(finish_grow(&file, true).is_err());
    }
    let image = image(true);
    let file = open(&image.path());
    file.set_len(100 * MIB).unwrap();
    assert!(matches!(
        inspect(&file),
        Err(InspectError::Truncated { filesystem_bytes, device_bytes })
            if (filesystem_bytes, device_bytes) == (200 * MIB, 100 * MIB)
    ));
}

/// Damage that growth would build upon is seen: checksums of superblock, descriptors, bitmap, inodes, and what the
/// resize inode says.
#[test]
fn damage() {
    let image = image(true);
    let bytes = fs::read(image.path()).unwrap();
    let word = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    // The last group's descriptor and bitmap; the inode table, where the resize inode is the seventh.
    let bitmap = word(4096 + 64) * 4096;
    let table = word(4096 + 8) * 4096;
    let resize_inode = table + 6 * 256;
    let double_indirect = word(usize::try_from(resize_inode).unwrap() + 0x28 + 13 * 4) * 4096;
    for (at, what) in [
        (1024 + 0x78, "superblock"),
        (4096 + 64 + 12, "group descriptor"),
        (bitmap + 4, "bitmap"),
        (resize_inode + 4, "inode"),
        (double_indirect + 4 * 30, "resize inode"),
    ] {
        let file = open(&image.path());
        file.write_all_at(&bytes, 0).unwrap();
        let at_index = usize::try_from(at).unwrap();
        file.write_all_at(&[bytes[at_index] ^ 0x10], at).unwrap();
        let error = refused(&image, 9000 * MIB);
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
}

/// The lists in reserved blocks can hold but one thing, and are written anew without a look.
#[test]
fn damaged_lists_of_backups_are_mended() {
    let [sound, damaged] = [(); 2].map(|()| image(true));
    open(&damaged.path()).write_all_at(&[0x10; 64], 4096 * (2 + 20)).unwrap();
    for image in [&sound, &damaged] {
        let file = open(&image.path());
        Grow::plan(&file, 9000 * MIB).unwrap().apply_journaled(&file, true).unwrap();
    }
    let [sound, damaged] = [sound, damaged].map(|image| {
        let mut bytes = vec![0; 8 << 20];
        open(&image.path()).read_exact_at(&mut bytes, 0).unwrap();
        bytes
    });
    assert!(sound == damaged);
}

/// Whatever bytes there are: no panic, no endless work, and writes within the disk.
#[test]
fn arbitrary_damage() {
    let mut runner =
        TestRunner::new(Config { cases: 8 * cases(), failure_persistence: None, ..Config::default() });
    let image = image(true);
    let bytes = fs::read(image.path()).unwrap();
    let used: Vec<usize> = (0..bytes.len() / 4096)
        .filter(|block| bytes[block * 4096..][..4096].iter().any(|byte| *byte != 0))
        .collect();
    let place = prop_oneof![
        3 => 1024usize..2048,
        2 => 4096usize..4096 + 128,
        2 => (any::<prop::sample::Index>(), 0usize..4096).prop_map(move |(block, at)| block.get(&used) * 4096 + at),
    ];
    let value = prop_oneof![Just(0u8), Just(0xff), Just(0x7f), any::<u8>()];
    let input = (proptest::collection::vec((place, value), 1..6), any::<bool>(), 200u64..20_000);
    let file = open(&image.path());
    let result = runner.run(&input, |(changes, sealed, megabytes)| {
        file.set_len(200 * MIB).unwrap();
        file.write_all_at(&bytes[..8 << 20], 0).unwrap();
        for (at, value) in changes {
            file.write_all_at(&[value], at as u64).unwrap();
        }
        if sealed {
            seal(&file);
        }
        let recorder = Recorder::new(open(&image.path()));
        let _ = inspect(&recorder);
        let _ = finish_grow(&recorder, true);
        let _ = set_uuid(&recorder, [9; 16]);
        if let Ok(plan) = Grow::plan(&recorder, megabytes * MIB) {
            let _ = plan.apply_journaled(&recorder, false);
            let _ = Grow::plan(&recorder, 2 * megabytes * MIB).map(|plan| plan.apply(&recorder));
        }
        for step in recorder.steps() {
            if let Step::SetSize(size) = step {
                assert!(size <= 2 * megabytes * MIB);
            }
        }
        Ok(())
    });
    result.unwrap();
}

/// Makes the superblock's checksum right, as somebody would who means harm.
fn seal(file: &fs::File) {
    let mut superblock = [0; 1024];
    file.read_exact_at(&mut superblock, 1024).unwrap();
    let checksum = !crc(&superblock[..1020]);
    superblock[1020..].copy_from_slice(&checksum.to_le_bytes());
    file.write_all_at(&superblock, 1024).unwrap();
}

/// CRC-32C, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

/// A journal with transactions that the superblock does not speak of: kernels drop them, e2fsck would ask.
#[test]
fn a_journal_that_is_not_empty() {
    let image = image(true);
    let bytes = fs::read(image.path()).unwrap();
    let superblock = [&0xc03b_3998u32.to_be_bytes()[..], &4u32.to_be_bytes()].concat();
    let block = (0..bytes.len() / 4096).find(|block| bytes[block * 4096..].starts_with(&superblock)).unwrap();
    open(&image.path()).write_all_at(&1u32.to_be_bytes(), block as u64 * 4096 + 0x1c).unwrap();
    let error = refused(&image, 400 * MIB);
    assert!(matches!(error, GrowError::NotClean { state: State::NeedsRecovery }), "{error:?}");
    // Aborted, of another length, with features that nobody knows.
    for (at, value, problem) in [(0x20, 5, "aborted"), (0x10, 1 << 30, "length"), (0x28, 1 << 20, "features")]
    {
        let file = open(&image.path());
        file.write_all_at(&bytes[block * 4096..][..4096], block as u64 * 4096).unwrap();
        file.write_all_at(&u32::to_be_bytes(value), block as u64 * 4096 + at).unwrap();
        let GrowError::NoSafeJournal { problem: found } = refused(&image, 400 * MIB) else {
            panic!("{problem}")
        };
        assert!(found.to_string().contains(problem), "{found}");
    }
}
