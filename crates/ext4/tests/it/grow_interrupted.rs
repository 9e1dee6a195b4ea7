//! Growth in place, interrupted everywhere.

use std::os::unix::fs::FileExt;
use std::path::Path;

use offshoot_ext4::{Finished, Grow, GrowError, Options, State, finish_grow, inspect};
use offshoot_testkit::{LoopMount, oracle};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::check;
use crate::grow_sizes::{open, sample};
use crate::image::{Image, exact};
use crate::random::cases;
use crate::recorder::{Recorder, Step, same};

const MIB: u64 = 1 << 20;

/// From, to: a partial last group is filled; new groups and backups come in the first block of descriptors; more
/// of those are taken from the resize inode.
const CASES: [(u64, u64); 3] = [(60 * MIB, 100 * MIB), (200 * MIB, 900 * MIB), (300 * MIB, 8400 * MIB)];

fn image(from: u64) -> Image {
    let (tree, packs) = sample();
    Image::new(&tree, &packs, &Options { journal: true, ..exact(from) }).unwrap()
}

/// What growth does to an image, and what becomes of it.
fn recorded(from: u64, to: u64) -> (Vec<Step>, Image) {
    let image = image(from);
    let recorder = Recorder::new(open(&image.path()));
    Grow::plan(&recorder, to).unwrap().apply_journaled(&recorder, true).unwrap();
    let steps = recorder.steps();
    (steps, image)
}

/// An image to which only some of it was done.
fn interrupted(from: u64, steps: &[Step]) -> Image {
    let image = image(from);
    let file = open(&image.path());
    for step in steps {
        step.apply(&file);
    }
    image
}

fn copy(image: &Path) -> std::path::PathBuf {
    let to = image.with_extension("copy");
    oracle::run(oracle::command("cp").arg("--sparse=auto").arg(image).arg(&to));
    to
}

/// The image is valid at its old or its new size; whoever finds it brings it to one of them; we to the new one.
fn survives(image: &Image, from: u64, to: u64, kernel: bool, what: &str) -> Finished {
    let path = image.path();
    let found = inspect(&open(&path)).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!([from, to].contains(&found.size_bytes), "{what}: {found:?}");
    if found.features.names().iter().any(|name| name == "needs_recovery") {
        assert_eq!(found.state, State::GrowInterrupted, "{what}");
        let by_others = copy(&path);
        let mut repair = oracle::command("e2fsck");
        repair.arg("-p").arg(&by_others);
        let output = oracle::output(&mut repair);
        let fine = matches!(output.status.code(), Some(0 | 1));
        assert!(fine, "{what}: {}", oracle::describe(&repair, &output));
        check::e2fsck(&by_others);
        let size = inspect(&open(&by_others)).unwrap().size_bytes;
        assert!([from, to].contains(&size), "{what}: {size}");
    } else {
        assert_eq!(found.state, State::Clean, "{what}");
        check::e2fsck(&path);
    }
    if kernel && oracle::root() {
        mounts(&copy(&path), what);
    }
    let file = open(&path);
    if found.state == State::GrowInterrupted {
        assert!(matches!(Grow::plan(&file, to), Err(GrowError::Interrupted)), "{what}");
    }
    let finished = finish_grow(&file, true).unwrap_or_else(|error| panic!("{what}: {error}"));
    let state = inspect(&file).unwrap();
    assert_eq!(state.state, State::Clean, "{what}");
    match finished {
        Finished::Nothing => assert_eq!(found.state, State::Clean, "{what}"),
        Finished::Undone => assert_eq!(state.size_bytes, from, "{what}"),
        Finished::Completed => assert_eq!(state.size_bytes, to, "{what}"),
    }
    assert_eq!(finish_grow(&file, true).unwrap(), Finished::Nothing, "{what}");
    check::e2fsck(&path);
    Grow::plan(&file, to).unwrap().apply_journaled(&file, true).unwrap();
    assert_eq!(inspect(&file).unwrap().size_bytes, to, "{what}");
    check::e2fsck(&path);
    finished
}

/// A kernel mounts it and can use it; what it leaves is whole.
fn mounts(image: &Path, what: &str) {
    let mount = LoopMount::read_write(image);
    std::fs::write(mount.path().join("new"), vec![1; 5 << 20]).unwrap();
    assert_eq!(std::fs::read(mount.path().join("another")).unwrap().len(), 11_288, "{what}");
    mount.unmount();
    // A kernel that makes a filesystem larger by its journal counts what is new at the next mount.
    LoopMount::read_write(image).unmount();
    check::e2fsck(image);
}

#[test]
fn at_every_write() {
    if !oracle::available(&["e2fsck", "cp"]) {
        return;
    }
    for (from, to) in CASES {
        let (steps, whole) = recorded(from, to);
        for number in 0..=steps.len() {
            let image = interrupted(from, &steps[..number]);
            let what = format!("{number} of {} steps, {from} to {to}", steps.len());
            let finished = survives(&image, from, to, true, &what);
            // Once the file has its new length, another try does not know what was never written.
            if number == 0 || number == steps.len() || finished == Finished::Completed {
                assert!(same(&open(&image.path()), &open(&whole.path())), "{what}");
            }
        }
    }
}

/// Every write torn: what its first sectors say was written, the rest was not. A superblock of 1 KiB is written whole,
/// as kernels, too, take for granted.
#[test]
fn within_a_write() {
    if !oracle::available(&["e2fsck", "cp"]) {
        return;
    }
    for (from, to) in CASES {
        let (steps, _whole) = recorded(from, to);
        for (number, step) in steps.iter().enumerate() {
            let Step::Write { bytes, .. } = step else { continue };
            let length = bytes.len();
            let cuts = [512, 1024, 4096, 4608, length / 2 / 512 * 512, length / 4096 * 4096, length - 512];
            let mut cuts: Vec<usize> =
                cuts.into_iter().filter(|cut| *cut > 0 && *cut < length && length > 1024).collect();
            cuts.sort_unstable();
            cuts.dedup();
            for cut in cuts {
                let mut done = steps[..number].to_vec();
                done.push(step.torn(cut));
                let what = format!("{cut} bytes of step {number} of {}, {from} to {to}", steps.len());
                survives(&interrupted(from, &done), from, to, number % 5 == 0, &what);
            }
        }
    }
}

/// A power cut: of what was written since the last sync, any part is lost.
#[test]
fn power_cuts() {
    if !oracle::available(&["e2fsck", "cp"]) {
        return;
    }
    let recordings = CASES.map(|(from, to)| recorded(from, to).0);
    let mut runner =
        TestRunner::new(Config { cases: cases(), failure_persistence: None, ..Config::default() });
    let input = (0..CASES.len(), any::<prop::sample::Index>(), any::<[bool; 32]>(), 0..8u8);
    let result = runner.run(&input, |(case, cut, kept, kernel)| {
        let (from, to) = CASES[case];
        let steps = &recordings[case];
        let cut = cut.index(steps.len() + 1);
        let synced = steps[..cut].iter().rposition(|step| *step == Step::Sync).unwrap_or(0);
        let mut done = steps[..synced].to_vec();
        // The file's length comes first: nothing can be beyond it.
        let since = steps[synced..cut].iter().zip(kept.iter().cycle());
        done.extend(
            since
                .filter(|(step, kept)| **kept || matches!(step, Step::SetSize(_)))
                .map(|(step, _)| step.clone()),
        );
        let what = format!("{cut} steps but for some since {synced}, {kept:?}, {from} to {to}");
        survives(&interrupted(from, &done), from, to, kernel == 0, &what);
        Ok(())
    });
    result.unwrap();
}

/// Completing is interrupted as well, and completed by another.
#[test]
fn while_it_is_completed() {
    if !oracle::available(&["e2fsck", "cp"]) {
        return;
    }
    for (from, to) in [CASES[0], CASES[1]] {
        let (steps, _whole) = recorded(from, to);
        for number in (0..steps.len()).filter(|number| number % 4 == 0 || number + 6 > steps.len()) {
            let image = interrupted(from, &steps[..number]);
            let recorder = Recorder::new(open(&image.path()));
            finish_grow(&recorder, true).unwrap();
            let completing = recorder.steps();
            // Most of it writes the blocks of the transaction one by one.
            let all = completing.len();
            for second in (0..all).filter(|second| *second < 3 || second % 9 == 0 || second + 16 > all) {
                let again = interrupted(from, &steps[..number]);
                let file = open(&again.path());
                for step in &completing[..second] {
                    step.apply(&file);
                }
                let what = format!("{number} and {second} steps, {from} to {to}");
                survives(&again, from, to, false, &what);
            }
        }
    }
}

/// Journals of each form: with checksums of no, the second and the third version, with and without the high halves of
/// block numbers. e2fsck and kernels replay our transaction.
#[test]
fn journals_of_each_form() {
    if !oracle::available(&["mke2fs", "debugfs", "e2fsck", "cp"]) {
        return;
    }
    for features in ["metadata_csum,64bit,^orphan_file", "metadata_csum,^64bit,^orphan_file"] {
        for open_journal in ["jo", "jo -c -v 2", "jo -c -v 3"] {
            let what = format!("{features}, {open_journal}");
            let directory = offshoot_testkit::scratch_directory();
            let path = directory.path().join("image");
            let mut make = oracle::command("mke2fs");
            make.args(["-q", "-t", "ext4", "-b", "4096", "-O", features]);
            oracle::run(make.arg(&path).arg("200M"));
            let data = directory.path().join("block");
            std::fs::write(&data, vec![0; 4096]).unwrap();
            let commands = directory.path().join("commands");
            std::fs::write(&commands, format!("{open_journal}\njw -b 40000 {}\njc\n", data.display()))
                .unwrap();
            oracle::run(oracle::command("debugfs").arg("-w").arg("-f").arg(&commands).arg(&path));
            oracle::output(oracle::command("e2fsck").arg("-fy").arg(&path));
            check::e2fsck(&path);
            let whole = directory.path().join("whole");
            oracle::run(oracle::command("cp").arg(&path).arg(&whole));
            let recorder = Recorder::new(open(&whole));
            Grow::plan(&recorder, 8400 * MIB).unwrap().apply_journaled(&recorder, true).unwrap();
            check::e2fsck(&whole);
            let steps = recorder.steps();
            let sector = |step: &Step| matches!(step, Step::Write { bytes, .. } if bytes.len() == 512);
            let commit = steps.iter().position(sector).unwrap();
            let file = open(&path);
            for step in &steps[..=commit] {
                step.apply(&file);
            }
            assert_eq!(inspect(&file).unwrap().state, State::GrowInterrupted, "{what}");
            let by_e2fsck = copy(&path);
            oracle::output(oracle::command("e2fsck").arg("-p").arg(&by_e2fsck));
            check::e2fsck(&by_e2fsck);
            assert_eq!(inspect(&open(&by_e2fsck)).unwrap().size_bytes, 8400 * MIB, "{what}");
            if oracle::root() && oracle::available(&["mount"]) {
                let by_kernel = copy(&path);
                LoopMount::read_write(&by_kernel).unmount();
                LoopMount::read_write(&by_kernel).unmount();
                check::e2fsck(&by_kernel);
                assert_eq!(inspect(&open(&by_kernel)).unwrap().size_bytes, 8400 * MIB, "{what}");
            }
            assert_eq!(finish_grow(&file, false).unwrap(), Finished::Completed, "{what}");
            check::e2fsck(&path);
            assert!(same(&file, &open(&whole)), "{what}");
        }
    }
}

/// What has not our marker, or lies in a filesystem that changed since, is somebody else's.
#[test]
fn only_what_is_ours_is_completed() {
    let (from, to) = CASES[1];
    let (steps, _whole) = recorded(from, to);
    let sector = |step: &Step| matches!(step, Step::Write { bytes, .. } if bytes.len() == 512);
    let commit = steps.iter().position(sector).unwrap();
    let is_log =
        |step: &&Step| matches!(step, Step::Write { bytes, .. } if bytes.starts_with(b"\xc0\x3b\x39\x98"));
    let Some(Step::Write { offset, .. }) = steps.iter().find(is_log) else { panic!("no transaction") };
    // The marker follows a tag of 8 bytes: its name, the superblock before and after, the descriptor's number.
    for at in [20, 27, 28, 31, 11] {
        let image = interrupted(from, &steps[..=commit]);
        let file = open(&image.path());
        assert_eq!(inspect(&file).unwrap().state, State::GrowInterrupted);
        let mut byte = [0];
        FileExt::read_exact_at(&file, &mut byte, offset + at).unwrap();
        FileExt::write_all_at(&file, &[byte[0] ^ 1], offset + at).unwrap();
        assert_eq!(inspect(&file).unwrap().state, State::NeedsRecovery, "{at}");
        assert_eq!(finish_grow(&file, true).unwrap(), Finished::Nothing, "{at}");
    }
}

/// A machine that ran meanwhile changed the superblock, be there a transaction that counts or not.
#[test]
fn once_a_machine_ran_nothing_is_completed() {
    if !oracle::available(&["debugfs", "cp"]) {
        return;
    }
    let (from, to) = CASES[1];
    let (steps, _whole) = recorded(from, to);
    let sector = |step: &Step| matches!(step, Step::Write { bytes, .. } if bytes.len() == 512);
    let commit = steps.iter().position(sector).unwrap();
    let emptied = steps.iter().rposition(sector).unwrap();
    for number in [commit, commit + 1, emptied + 1] {
        let refuses = |path: &Path| {
            let file = open(path);
            assert_eq!(inspect(&file).unwrap().state, State::NeedsRecovery, "{number}");
            assert_eq!(finish_grow(&file, true).unwrap(), Finished::Nothing, "{number}");
            let error = Grow::plan(&file, 2 * to).unwrap_err();
            assert!(
                matches!(error, GrowError::NotClean { state: State::NeedsRecovery }),
                "{number}: {error}"
            );
        };
        let image = interrupted(from, &steps[..number]);
        assert_eq!(inspect(&open(&image.path())).unwrap().state, State::GrowInterrupted, "{number}");
        let changed = copy(&image.path());
        oracle::run(oracle::command("debugfs").args(["-w", "-R", "ssv mnt_count 7"]).arg(&changed));
        refuses(&changed);
        if oracle::root() && oracle::available(&["mount"]) {
            // While it runs.
            let mount = LoopMount::read_write(&image.path());
            rustix::fs::syncfs(std::fs::File::open(mount.path()).unwrap()).unwrap();
            refuses(&copy(&image.path()));
            mount.unmount();
        }
    }
}
