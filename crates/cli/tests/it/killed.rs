//! Commands that are killed at each call with which they change something: what they leave is whole, and the same
//! command again does what it should.

use std::os::unix::process::ExitStatusExt;

use offshoot_testkit::{Filesystem, oracle};

use crate::cases::{self, Case, Outcome, on_filesystem, rehearse, soak, trace_file};
use crate::kill_points::{self, Point};
use crate::left::{look, look_if_any};
use crate::small::{Small, is_lost, traced};

/// On the filesystem where everything else is; in the long form also where blocks can be shared.
fn kill(case: &Case) {
    kill_on(case, &[None]);
    if soak() {
        kill_on(case, &[Some(Filesystem::Xfs), Some(Filesystem::Btrfs)]);
    }
}

/// The same where blocks can be shared, in the short form too.
fn kill_sharing(case: &Case) {
    kill_on(case, &[Some(Filesystem::Xfs)]);
    if soak() {
        kill_on(case, &[None, Some(Filesystem::Btrfs)]);
    }
}

fn kill_on(case: &Case, filesystems: &[Option<Filesystem>]) {
    for &filesystem in filesystems {
        on_filesystem(filesystem, |small, place| kill_everywhere(case, small, place));
    }
}

fn kill_everywhere(case: &Case, small: &Small, place: &str) {
    let command = case.words(small);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let program = small.store.command(&command);
    let trace = trace_file(small);
    let (made, calls) = rehearse(case, small, &program, &["-e", &kill_points::calls()]);
    let points = kill_points::points(&calls, soak());
    assert!(!points.is_empty(), "nothing changes");

    let run_killed = |point: &Point| {
        let injection = point.injection();
        let mut strace = traced(&program, &trace, &["-e", &injection[0], "-e", &injection[1]]);
        let output = oracle::output(&mut strace);
        let killed = output.status.signal() == Some(9);
        let is_known = killed || output.status.success() || is_lost(&output);
        assert!(is_known, "{point:?}: {}", oracle::describe(&strace, &output));
        killed
    };
    let mut killed = 0;
    let chosen = chosen(&points, if soak() { usize::MAX } else { case.points });
    for (index, point) in chosen.iter().enumerate() {
        let what = format!("{place}: {command:?}, killed at {point:?}");
        (case.prepare)(small);
        let before = look_if_any(small, case, &what);
        killed += u32::from(run_killed(point));
        let mut left = look_if_any(small, case, &what);
        assert!(left.is_of(case.outcome, &before, &made), "{what}: {left}");
        if soak() && !case.done(&left, &made) {
            // Its second run meets the same fate somewhere else.
            let again = chosen[index * 7 % chosen.len()];
            killed += u32::from(run_killed(again));
            left = look_if_any(small, case, &format!("{what}, then at {again:?}"));
        }
        if !case.done(&left, &made) {
            small.store.run(&command);
        }
        let after = look(small, case, &what);
        assert!(case.outcome == Outcome::Sound || after == made, "{what}");
        small.nothing_unfinished(&what);
        case.undo(small, &before);
    }
    println!("{place}: {command:?}: {} points, {killed} killed", chosen.len());
    let kills = chosen.len() * if soak() { 2 } else { 1 };
    // Threads do not always come to the same calls, and a second run has less to do.
    assert!(killed as usize * 2 > kills, "{killed} of {kills}");
}

/// So many of them: the first, the last, and evenly what lies between.
fn chosen(points: &[Point], count: usize) -> Vec<&Point> {
    if points.len() <= count {
        return points.iter().collect();
    }
    (0..count).map(|index| &points[index * (points.len() - 1) / (count - 1)]).collect()
}

#[test]
fn clone_by_reflink() {
    kill_sharing(&cases::CLONE);
}

#[test]
fn clone_by_copy() {
    kill(&cases::CLONE_BY_COPY);
}

#[test]
fn clone_by_overlay() {
    kill(&cases::CLONE_BY_OVERLAY);
}

#[test]
fn clone_by_hard_link() {
    kill(&cases::CLONE_BY_HARD_LINK);
}

#[test]
fn clone_of_another_size_and_uuid() {
    kill(&cases::CLONE_OF_ANOTHER_SIZE_AND_UUID);
}

#[test]
fn clone_that_is_not_synced() {
    kill(&cases::CLONE_THAT_IS_NOT_SYNCED);
}

#[test]
fn clone_with_files_of_its_own() {
    kill(&cases::CLONE_WITH_FILES_OF_ITS_OWN);
}

#[test]
fn clone_in_the_place_of_a_damaged_one() {
    kill(&cases::CLONE_IN_THE_PLACE_OF_A_DAMAGED_ONE);
}

#[test]
fn grow_in_place() {
    kill(&cases::GROW_IN_PLACE);
}

#[test]
fn grow_inside_an_overlay() {
    kill(&cases::GROW_INSIDE_AN_OVERLAY);
}

#[test]
fn grow_on_a_copy() {
    kill(&cases::GROW_ON_A_COPY);
}

#[test]
fn reset() {
    kill_sharing(&cases::RESET);
}

#[test]
fn reset_of_a_grown_overlay() {
    kill(&cases::RESET_OF_A_GROWN_OVERLAY);
}

#[test]
fn release_of_a_clone() {
    kill(&cases::RELEASE_OF_A_CLONE);
}

#[test]
fn snapshot() {
    kill_sharing(&cases::SNAPSHOT);
}

#[test]
fn snapshot_of_an_overlay() {
    kill(&cases::SNAPSHOT_OF_AN_OVERLAY);
}

#[test]
fn import() {
    kill(&cases::IMPORT);
}

#[test]
fn pull() {
    kill(&cases::PULL);
}

#[test]
fn build() {
    kill_sharing(&cases::BUILD);
}

#[test]
fn build_to_a_file() {
    kill(&cases::BUILD_TO_A_FILE);
}

#[test]
fn clone_as_a_directory() {
    kill(&cases::CLONE_AS_A_DIRECTORY);
}

#[test]
fn unpack() {
    kill(&cases::UNPACK);
}

#[test]
fn collect() {
    kill(&cases::COLLECT);
}

#[test]
fn remove() {
    kill(&cases::REMOVE);
}

#[test]
fn repair() {
    kill(&cases::REPAIR);
}

#[test]
fn quarantine() {
    kill(&cases::QUARANTINE);
}
