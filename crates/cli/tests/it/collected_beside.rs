//! Processes that work on a few templates, and others that collect beside them all the time.

use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use offshoot_testkit::{oracle, scratch_directory};

use crate::cases::soak;
use crate::program::Store;
use crate::small::Small;

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// Runs a command, which ends with one of these codes.
fn run(store: &Store, arguments: &[&str], codes: &[i32]) -> Option<String> {
    let mut command = store.command(arguments);
    let output = oracle::output(&mut command);
    assert!(codes.contains(&code(&output)), "{}", oracle::describe(&command, &output));
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

#[test]
fn no_command_fails_beside_a_collection() {
    let directory = scratch_directory();
    let small = Small::within(directory.path());
    let store = &small.store;
    let rounds = if soak() { 400 } else { 8 };
    let (done, collections) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let collectors: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        run(store, &["gc", "--grace", "0s", "--quiet"], &[0]);
                        collections.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let workers: Vec<_> = (0..3)
            .map(|worker| {
                let directory = directory.path();
                scope.spawn(move || (0..rounds).for_each(|round| work(store, directory, worker, round)))
            })
            .collect();
        let ended: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        collectors.into_iter().for_each(|collector| collector.join().unwrap());
        ended.into_iter().for_each(|ended| ended.unwrap());
    });
    let collections = collections.into_inner();
    assert!(collections > 1, "{collections}");
    println!("{collections} collections");
    store.run(&["gc", "--grace", "0s"]);
    small.nothing_unfinished("in the end");
    assert!(small.clones().is_empty());
    // The first image is as it was, and each of the others as it was last.
    assert!(small.template.is_file());
    assert_eq!(store.run(&["images"]).lines().count(), 1 + 1 + 3);
}

/// An image of its own that moves on each time, a name that all move, and clones of both.
fn work(store: &Store, directory: &Path, worker: usize, round: usize) {
    let files = directory.join(format!("files-{worker}"));
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("round"), (round % 3).to_string()).unwrap();
    let image = format!("dir:{}", files.display());
    let vm = format!("vm-{worker}");
    let small = ["--size", "16M"];
    let built = run(store, &[&["build", &image, "--name", "moving"], &small[..]].concat(), &[0]).unwrap();
    let strategy = ["qcow2", "copy"][round % 2];
    // What was built just now has no name any more if somebody else was faster, and may be gone.
    run(store, &["clone", "base", &vm, "--strategy", strategy], &[0]).unwrap();
    let disk = run(store, &["reset", &vm], &[0]).unwrap();
    assert!(Path::new(&disk).is_file());
    run(store, &["snapshot", &vm, &format!("snapshot-{worker}")], &[0]).unwrap();
    run(store, &["release", &vm], &[0]).unwrap();
    run(store, &["clone", &format!("snapshot-{worker}"), &vm], &[0]).unwrap();
    run(store, &["grow", &vm, "40M"], &[0]).unwrap();
    run(store, &["release", &vm], &[0]).unwrap();
    let form = ["disk", "dir"][round % 2];
    let path = run(store, &["clone", &image, &vm, "--as", form], &[0]).unwrap();
    assert!(Path::new(&path).exists());
    run(store, &["reset", &vm], &[0]).unwrap();
    run(store, &["release", &vm], &[0]).unwrap();
    // Nobody else's clones stand on these, but somebody may use them, or have removed them.
    run(store, &["remove", &built], &[0, 3, 4]);
    run(store, &["remove", "moving"], &[0, 3, 4]);
    run(store, &["remove", &format!("snapshot-{worker}")], &[0]).unwrap();
}
