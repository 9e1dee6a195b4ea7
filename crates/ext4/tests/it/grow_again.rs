//! What was grown is as good as new: it can be filled, grown again, and restored from each backup.

use std::fs;

use offshoot_ext4::{Grow, GrowError, Options, inspect};
use offshoot_testkit::{LoopMount, oracle};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::check;
use crate::grow_sizes::{geometry, grow, open, sample};
use crate::image::{Image, exact};
use crate::random::cases;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

#[test]
fn to_500_gib() {
    let (tree, packs) = sample();
    for journaled in [true, false] {
        let image = Image::new(&tree, &packs, &exact(GIB)).unwrap();
        for size in [8 * GIB, 100 * GIB, 500 * GIB, 512 * GIB] {
            let plan = grow(&image.path(), size, journaled).unwrap();
            assert_eq!((plan.new_size_bytes(), plan.left_out_bytes()), (size, 0));
            geometry(&image.path(), &plan);
        }
        check::kernel(&tree, &packs, &image.path());
        let file = open(&image.path());
        let limit = inspect(&file).unwrap().growth_limit_bytes;
        assert_eq!(limit, 512 * GIB);
        let error = Grow::plan(&file, limit + 128 * MIB).unwrap_err();
        assert!(
            matches!(error, GrowError::PastReservation { limit_bytes } if limit_bytes == limit),
            "{error:?}"
        );
    }
}

/// Pairs of sizes at random; half of them in place, a third of them then grown again.
#[test]
fn random_pairs() {
    let (tree, packs) = sample();
    let mut runner =
        TestRunner::new(Config { cases: cases(), failure_persistence: None, ..Config::default() });
    let from = prop_oneof![2048u64..70_000, 2048u64..3_000_000];
    let near = |group: u64| (group * 32768).saturating_sub(1200)..group * 32768 + 1200;
    let more = prop_oneof![
        1u64..3000,
        1u64..5_000_000,
        (1u64..150).prop_flat_map(near),
        (1u64..60).prop_flat_map(move |flex| near(16 * flex)),
        (1u64..6).prop_flat_map(move |block| near(64 * block)),
    ];
    let input = (from, proptest::collection::vec(more, 1..4), any::<bool>(), any::<[bool; 4]>());
    let result = runner.run(&input, |(from, more, journal, journaled)| {
        let image = Image::new(&tree, &packs, &Options { journal, ..exact(from * 4096) }).unwrap();
        let mut blocks = from;
        for (more, journaled) in more.into_iter().zip(journaled) {
            blocks += more;
            let plan = grow(&image.path(), blocks * 4096, journal && journaled).unwrap();
            assert_eq!(plan.device_bytes(), blocks * 4096);
            assert!(plan.left_out_bytes() < 4 * MIB);
            geometry(&image.path(), &plan);
        }
        check::kernel(&tree, &packs, &image.path());
        Ok(())
    });
    result.unwrap();
}

#[test]
fn filled_to_the_last_block() {
    if !oracle::root() || !oracle::available(&["mount", "umount", "e2fsck"]) {
        return;
    }
    let (tree, packs) = sample();
    for (journal, journaled) in [(true, true), (true, false), (false, false)] {
        let image = Image::new(&tree, &packs, &Options { journal, ..exact(100 * MIB) }).unwrap();
        grow(&image.path(), 700 * MIB, journaled).unwrap();
        let mount = LoopMount::read_write(&image.path());
        // Inodes of every group first.
        for directory in 0..60 {
            let directory = mount.path().join(format!("new-{directory}"));
            fs::create_dir(&directory).unwrap();
            for file in 0..20 {
                fs::write(directory.join(format!("{file}")), b"x").unwrap();
            }
        }
        let chunk = vec![0x55; 1 << 20];
        let full = (0..).find_map(|file| fs::write(mount.path().join(format!("fill-{file}")), &chunk).err());
        assert_eq!(full.unwrap().kind(), std::io::ErrorKind::StorageFull);
        let written = fs::read_dir(mount.path()).unwrap().count() as u64 - 60;
        assert!(written * MIB > 620 * MIB, "{written}");
        mount.unmount();
        check::e2fsck(&image.path());
        // And again, with groups that are in use.
        let plan = grow(&image.path(), 1500 * MIB, journaled).unwrap();
        geometry(&image.path(), &plan);
        let mount = LoopMount::read_write(&image.path());
        fs::write(mount.path().join("last"), vec![1; 300 << 20]).unwrap();
        mount.unmount();
        check::e2fsck(&image.path());
    }
}

#[test]
fn restored_from_each_backup() {
    if !oracle::available(&["e2fsck"]) {
        return;
    }
    let (tree, packs) = sample();
    for journaled in [true, false] {
        for group in [1, 3, 5, 7, 9, 25, 27, 49, 81] {
            let image = Image::new(&tree, &packs, &exact(500 * MIB)).unwrap();
            let plan = grow(&image.path(), 85 * 128 * MIB, journaled).unwrap();
            use std::os::unix::fs::FileExt;
            open(&image.path()).write_all_at(&[0; 3 * 4096], 0).unwrap();
            let mut repair = oracle::command("e2fsck");
            repair.args(["-fy", "-B", "4096", "-b", &(group * 32768).to_string()]).arg(image.path());
            let output = oracle::output(&mut repair);
            assert_eq!(output.status.code(), Some(1), "{}", oracle::describe(&repair, &output));
            geometry(&image.path(), &plan);
            check::kernel(&tree, &packs, &image.path());
        }
    }
}

/// The disk is larger than the filesystem: what lies there is not taken for zeros.
#[test]
fn over_what_was_there_before() {
    let (tree, packs) = sample();
    for journaled in [true, false] {
        let image = Image::new(&tree, &packs, &exact(100 * MIB)).unwrap();
        let garbage = vec![0xa5; 50 << 20];
        use std::os::unix::fs::FileExt;
        let file = open(&image.path());
        for piece in 2..12 {
            file.write_all_at(&garbage, piece * 50 * MIB).unwrap();
        }
        let plan = grow(&image.path(), 1000 * MIB, journaled).unwrap();
        geometry(&image.path(), &plan);
        if oracle::available(&["dumpe2fs"]) {
            let dump = oracle::run(oracle::command("dumpe2fs").arg(image.path()));
            let groups: Vec<&str> = dump.lines().filter(|line| line.contains(": (Blocks ")).collect();
            let zeroed = |group: &&&str| group.contains("ITABLE_ZEROED");
            // Groups 1 to 4 begin on the garbage, which ends within group 4.
            assert_eq!(groups.iter().filter(|group| !zeroed(group)).count(), 4, "{dump}");
            assert!(groups[1..5].iter().all(|group| !zeroed(&group)), "{dump}");
        }
        if oracle::root() {
            let mount = LoopMount::read_write(&image.path());
            for directory in 0..60 {
                fs::create_dir(mount.path().join(format!("new-{directory}"))).unwrap();
            }
            fs::write(mount.path().join("new"), vec![1; 600 << 20]).unwrap();
            mount.unmount();
            check::e2fsck(&image.path());
        }
    }
}
