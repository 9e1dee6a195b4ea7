//! Commands on a disk that is full, but for so and so much: they do their work, or say that there is no space, and leave
//! what they found; what makes room works without any.

use std::fs::{self, File};
use std::path::Path;

use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle};
use rustix::fs::FallocateFlags;

use crate::cases::{self, Case, Outcome, soak};
use crate::disks;
use crate::left::{look, look_if_any};
use crate::program::failure;
use crate::small::Small;

const NO_SPACE: i32 = 6;
/// How much is left free, in KiB; in the long form these and what lies between.
const FREE: [u64; 3] = [0, 1700, 3000];

/// What has all the space of a filesystem but so many bytes, until it is dropped.
struct Ballast {
    path: std::path::PathBuf,
}

impl Ballast {
    fn leaving(mounted: &Path, free: u64) -> Self {
        let path = mounted.join("ballast");
        let file = File::create(&path).unwrap();
        rustix::fs::syncfs(&file).unwrap();
        let (mut size, mut piece) = (0, 1 << 30);
        // Where the filesystem says no is not where its sums do.
        while piece >= 4096 {
            let filesystem = rustix::fs::fstatvfs(&file).unwrap();
            let left = filesystem.f_bfree * filesystem.f_frsize;
            let fits = left >= free + piece;
            if fits && rustix::fs::fallocate(&file, FallocateFlags::empty(), size, piece).is_ok() {
                size += piece;
            } else {
                piece /= 2;
            }
        }
        Self { path }
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn fill(filesystem: Filesystem, bytes: u64, cases: &[(Case, bool)]) {
    if !filesystem.available() || !oracle::available(&disks::ORACLES) {
        return;
    }
    let scratch = ScratchFilesystem::new(filesystem, bytes);
    let small = Small::within(scratch.path());
    for (case, makes_room) in cases {
        let command = case.words(&small);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        (case.prepare)(&small);
        let before = look_if_any(&small, case, "untouched");
        small.store.run(&command);
        let made = look(&small, case, "untouched");
        case.undo(&small, &before);
        let more = (1..if soak() { 100 } else { 1 }).map(|step| step * 30);
        let (mut full, mut done) = (0, 0);
        for free in FREE.into_iter().chain(more) {
            let what = format!("{}: {command:?} with {free} KiB free", filesystem.name());
            (case.prepare)(&small);
            let before = look_if_any(&small, case, &what);
            let ballast = Ballast::leaving(scratch.path(), free << 10);
            let mut program = small.store.command(&command);
            let output = oracle::output(&mut program);
            if *makes_room {
                assert!(output.status.success(), "{what}: {}", oracle::describe(&program, &output));
            }
            drop(ballast);
            let left = look_if_any(&small, case, &what);
            if output.status.success() {
                done += 1;
                assert!(case.outcome == Outcome::Sound || left == made, "{what}: {left}");
            } else {
                full += 1;
                let (message, code) = failure(&output, &program);
                assert!(code == NO_SPACE, "{what}: {code} {message}");
                assert!(left.is_of(case.outcome, &before, &made), "{what}: {left}");
                small.nothing_staged(&what);
            }
            if !case.done(&left, &made) {
                small.store.run(&command);
            }
            let after = look(&small, case, &what);
            assert!(case.outcome == Outcome::Sound || after == made, "{what}: {after}");
            small.nothing_unfinished(&what);
            case.undo(&small, &before);
        }
        assert!(*makes_room || full > 0, "{}: {command:?} never ran out of space", filesystem.name());
        println!("{}: {command:?}: {done} done, {full} without space", filesystem.name());
    }
}

const CASES: [(Case, bool); 13] = [
    (cases::CLONE_BY_COPY, false),
    (cases::CLONE_BY_OVERLAY, false),
    (cases::CLONE_OF_ANOTHER_SIZE_AND_UUID, false),
    (cases::GROW_IN_PLACE, false),
    (cases::GROW_INSIDE_AN_OVERLAY, false),
    (cases::RESET, false),
    (cases::RELEASE_OF_A_CLONE, true),
    (cases::IMPORT, false),
    (cases::PULL, false),
    (cases::BUILD, false),
    (cases::UNPACK, false),
    (cases::COLLECT, true),
    (cases::REMOVE, true),
];

#[test]
fn ext4() {
    fill(Filesystem::Ext4, 64 << 20, &CASES);
}

#[test]
fn xfs() {
    // What makes room on the filesystem that has the least to spare; all in the long form.
    let makes_room = |(case, makes_room)| (makes_room || soak()).then_some((case, makes_room));
    let cases: Vec<(Case, bool)> = CASES.into_iter().filter_map(makes_room).collect();
    fill(Filesystem::Xfs, 320 << 20, &cases);
}

#[test]
fn btrfs() {
    let makes_room = |(case, makes_room)| (makes_room || soak()).then_some((case, makes_room));
    let cases: Vec<(Case, bool)> = CASES.into_iter().filter_map(makes_room).collect();
    fill(Filesystem::Btrfs, 256 << 20, &cases);
}
