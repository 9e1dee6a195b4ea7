//! Commands whose disk fails them once, at each call with which they ask something of it: they say so, or did their work
//! all the same; what they leave is whole, and the same command again does what it should.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::process::{Command, Output};

use offshoot_testkit::{Filesystem, oracle};

use crate::cases::{self, Case, Outcome, on_filesystem, rehearse, soak, trace_file};
use crate::fault_points::{self, Fault};
use crate::left::{look, look_if_any};
use crate::small::{Small, is_lost, traced};

const INTEGRITY: i32 = 5;
const NO_SPACE: i32 = 6;
/// The program could not be loaded.
const NOT_LOADED: i32 = 127;
/// How many faults are tried of a command in the short form, drawn at random.
const SAMPLE: usize = 5;

fn fail(case: &Case) {
    on_filesystem(None, |small, place| fail_everywhere(case, small, place));
}

/// Where blocks can be shared.
fn fail_sharing(case: &Case) {
    on_filesystem(Some(Filesystem::Xfs), |small, place| fail_everywhere(case, small, place));
}

fn fail_everywhere(case: &Case, small: &Small, place: &str) {
    let command = case.words(small);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let program = small.store.command(&command);
    let trace = trace_file(small);
    let (made, calls) = rehearse(case, small, &program, &["-y", "-e", &fault_points::calls()]);
    let directory = small.directory.display().to_string();
    let faults = fault_points::faults(&calls, &directory);
    assert!(faults.len() > 20, "{faults:?}");

    let (mut failed, mut succeeded, mut injected) = (0, 0, 0);
    for fault in sample(faults) {
        let what = format!("{place}: {command:?}: {fault:?}");
        (case.prepare)(small);
        let before = look_if_any(small, case, &what);
        let injection = fault.injection();
        let mut strace = traced(&program, &trace, &["-e", &injection[0], "-e", &injection[1]]);
        let output = oracle::output(&mut strace);
        injected += u32::from(fs::read_to_string(&trace).unwrap().contains("(INJECTED)"));
        let left = look_if_any(small, case, &what);
        if output.status.code() == Some(NOT_LOADED) || is_lost(&output) {
            // The same call of another thread came first, or nobody knows.
        } else if output.status.success() {
            succeeded += 1;
            let done = case.outcome == Outcome::Sound || left == made;
            assert!(done, "{what}: it says that it is done: {left}");
        } else {
            failed += 1;
            let (message, code) = one_line(&output, &strace);
            assert!(message.starts_with("offshoot: "), "{what}: {code} {message}");
            let full = matches!(fault.error, "ENOSPC" | "EDQUOT");
            // What cannot be made right for want of space is still wrong.
            let wrong = case.outcome == Outcome::Mended && code == INTEGRITY;
            assert!(!full || code == NO_SPACE || wrong, "{what}: {code} {message}");
            assert!(left.is_of(case.outcome, &before, &made), "{what}: {left}");
            if !fault.may_leave_staging {
                small.nothing_staged(&format!("{what}: {message}"));
            }
        }
        if !case.done(&left, &made) {
            small.store.run(&command);
        }
        let after = look(small, case, &what);
        assert!(case.outcome == Outcome::Sound || after == made, "{what}: {after}");
        small.nothing_unfinished(&what);
        case.undo(small, &before);
    }
    // Threads come to their calls in another order now and then; else all that are counted were struck.
    assert!(injected * 2 > failed + succeeded, "{place}: {command:?}: only {injected} injected");
    println!("{place}: {command:?}: {failed} failed, {succeeded} went on");
}

/// What it says, and its exit code; its result may have been printed before.
fn one_line(output: &Output, command: &Command) -> (String, i32) {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(stderr.lines().count(), 1, "{}", oracle::describe(command, output));
    let code = output.status.code();
    (stderr, code.unwrap_or_else(|| panic!("{}", oracle::describe(command, output))))
}

/// All of them in the long form, else a few.
fn sample(mut faults: Vec<Fault>) -> Vec<Fault> {
    if !soak() {
        let random = RandomState::new();
        faults.sort_by_cached_key(|fault| random.hash_one(format!("{fault:?}")));
        faults.truncate(SAMPLE);
    }
    faults
}

#[test]
fn clone_by_reflink() {
    fail_sharing(&cases::CLONE);
}

#[test]
fn clone_by_copy() {
    fail(&cases::CLONE_BY_COPY);
}

#[test]
fn clone_by_overlay() {
    fail(&cases::CLONE_BY_OVERLAY);
}

#[test]
fn clone_by_hard_link() {
    fail(&cases::CLONE_BY_HARD_LINK);
}

#[test]
fn clone_of_another_size_and_uuid() {
    fail(&cases::CLONE_OF_ANOTHER_SIZE_AND_UUID);
}

#[test]
fn clone_that_is_not_synced() {
    fail(&cases::CLONE_THAT_IS_NOT_SYNCED);
}

#[test]
fn clone_with_files_of_its_own() {
    fail(&cases::CLONE_WITH_FILES_OF_ITS_OWN);
}

#[test]
fn clone_in_the_place_of_a_damaged_one() {
    fail(&cases::CLONE_IN_THE_PLACE_OF_A_DAMAGED_ONE);
}

#[test]
fn grow_in_place() {
    fail(&cases::GROW_IN_PLACE);
}

#[test]
fn grow_inside_an_overlay() {
    fail(&cases::GROW_INSIDE_AN_OVERLAY);
}

#[test]
fn grow_on_a_copy() {
    fail(&cases::GROW_ON_A_COPY);
}

#[test]
fn reset() {
    fail_sharing(&cases::RESET);
}

#[test]
fn reset_of_a_grown_overlay() {
    fail(&cases::RESET_OF_A_GROWN_OVERLAY);
}

#[test]
fn release_of_a_clone() {
    fail(&cases::RELEASE_OF_A_CLONE);
}

#[test]
fn snapshot() {
    fail_sharing(&cases::SNAPSHOT);
}

#[test]
fn snapshot_of_an_overlay() {
    fail(&cases::SNAPSHOT_OF_AN_OVERLAY);
}

#[test]
fn import() {
    fail(&cases::IMPORT);
}

#[test]
fn pull() {
    fail(&cases::PULL);
}

#[test]
fn build() {
    fail_sharing(&cases::BUILD);
}

#[test]
fn build_to_a_file() {
    fail(&cases::BUILD_TO_A_FILE);
}

#[test]
fn unpack() {
    fail(&cases::UNPACK);
}

#[test]
fn clone_as_a_directory() {
    fail(&cases::CLONE_AS_A_DIRECTORY);
}

#[test]
fn collect() {
    fail(&cases::COLLECT);
}

#[test]
fn remove() {
    fail(&cases::REMOVE);
}

#[test]
fn repair() {
    fail(&cases::REPAIR);
}

#[test]
fn quarantine() {
    fail(&cases::QUARANTINE);
}
