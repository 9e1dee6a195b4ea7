//! Sessions whose process is killed, and what a collection makes of them.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use offshoot::{
    CloneOptions, Collectable, CollectionOptions, CollectionReason, Error, KeptReason, Store, Strategy,
};
use offshoot_testkit::oracle;

use crate::image::{Fixture, fixture, names, vm};
use crate::running::Running;

/// Where the process finds its store that is to be killed; it is this very program, told to run one test.
const STORE: &str = "OFFSHOOT_TEST_SESSIONS_STORE";

/// A process with sessions of a disk and of a directory, a clone that it keeps, and something half-made.
struct Sessions(Child);

impl Sessions {
    fn start(store: &Store, template: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "killed_sessions::has_sessions_until_it_is_killed", "--nocapture"]);
        command.env(STORE, store.path()).env("OFFSHOOT_TEST_SESSIONS_TEMPLATE", template);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"), "it ended early");
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn has_sessions_until_it_is_killed() {
    let Some(path) = std::env::var_os(STORE).map(PathBuf::from) else { return };
    let store = Store::open(&path).unwrap();
    let template = std::env::var("OFFSHOOT_TEST_SESSIONS_TEMPLATE").unwrap();
    let template = store.find_template(&template).unwrap().unwrap();
    let options = CloneOptions::default();
    let overlay = CloneOptions { strategy: Some(Strategy::Qcow2), ..CloneOptions::default() };
    let directory = CloneOptions { as_directory: true, ephemeral: true, ..CloneOptions::default() };
    let _disk = store.clone_for_session(&template, &vm("disk"), &options).unwrap();
    let _overlay = store.clone_for_session(&template, &vm("over/lay"), &overlay).unwrap();
    let _directory = store.clone_for_session(&template, &vm("directory"), &directory).unwrap();
    store.clone_for_session(&template, &vm("kept"), &options).unwrap().keep().unwrap();
    store.clone_template(&template, &vm("plain"), &options).unwrap();
    println!("\nready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    unreachable!("it is killed before");
}

fn clones(store: &Store) -> Vec<String> {
    store.clones().unwrap().into_iter().map(|clone| clone.record.vm_id.to_string()).collect()
}

#[test]
fn a_killed_processes_sessions_are_collected_and_nothing_else() {
    if !oracle::available(&["qemu-io"]) {
        return;
    }
    let Fixture { directory: _directory, store, template } = fixture();
    let sessions = Sessions::start(&store, &template.record.id.to_string());
    let default = CollectionOptions::default();
    let plan = store.plan_collection(&default).unwrap();
    assert!(plan.entries.is_empty(), "its process is alive: {plan:?}");
    assert_eq!(clones(&store).len(), 5);
    let error = store.clone_template(&template, &vm("disk"), &CloneOptions::default()).unwrap_err();
    assert!(matches!(error, Error::CloneConflict { field: "lifetime", .. }), "{error}");
    sessions.kill();

    // As a VMM has its disk, which need not have died with whoever started it.
    let disk = store.find_clone(&vm("disk")).unwrap().unwrap().path;
    let running = Running::with(&disk);
    let plan = store.plan_collection(&default).unwrap();
    let sessions = plan.entries.iter().filter(|entry| entry.what == Collectable::Clone);
    let going: Vec<_> = sessions.map(|entry| (entry.id.as_str(), entry.reason)).collect();
    let gone = CollectionReason::SessionGone;
    assert_eq!(going, [("directory", gone), ("disk", gone), ("over/lay", gone)]);
    let collection = store.collect(&plan).unwrap();
    for collected in collection.entries {
        let kept = matches!(collected.outcome, offshoot::CollectionOutcome::Kept(KeptReason::InUse));
        assert_eq!(kept, collected.entry.id == "disk", "{collected:?}");
    }
    assert_eq!(clones(&store), ["disk", "kept", "plain"]);
    drop(running);
    crate::collecting::collect(&store);
    assert_eq!(clones(&store), ["kept", "plain"]);
    assert_eq!(names(&store, "owners").len(), 1, "this process's own");
    store.clone_for_session(&template, &vm("disk"), &CloneOptions::default()).unwrap();
}

#[test]
fn two_open_stores_of_a_process_are_two_owners() {
    let Fixture { directory: _directory, store, template } = fixture();
    let other = Store::open(store.path()).unwrap();
    let options = CloneOptions { as_directory: true, ..CloneOptions::default() };
    let first = store.clone_for_session(&template, &vm("first"), &options).unwrap();
    let second = other.clone_for_session(&template, &vm("second"), &options).unwrap();
    assert_ne!(first.path, second.path);
    assert!(first.record.session.is_some() && first.record.session != second.record.session);
    // One that is forgotten lives as long as its store is open.
    std::mem::forget(second);
    crate::collecting::collect(&store);
    assert_eq!(clones(&store), ["first", "second"]);
    drop(other);
    crate::collecting::collect(&store);
    assert_eq!(clones(&store), ["first"]);
    drop(first);
    assert_eq!(clones(&store), [""; 0]);
}

#[test]
fn what_somebody_else_made_of_a_session_stays() {
    let Fixture { directory: _directory, store, template } = fixture();
    let options = CloneOptions::default();
    let session = store.clone_for_session(&template, &vm("a"), &options).unwrap();
    // Released under it, and made again.
    store.release(&vm("a")).unwrap();
    store.clone_template(&template, &vm("a"), &options).unwrap();
    drop(session);
    assert_eq!(clones(&store), ["a"]);
    // The same where it cannot be said whose it is.
    let session = store.clone_for_session(&template, &vm("c"), &options).unwrap();
    store.release(&vm("c")).unwrap();
    let another = store.clone_template(&template, &vm("c"), &options).unwrap();
    let record = another.path.with_file_name("clone.json");
    let kept = std::fs::read(&record).unwrap();
    std::fs::write(&record, "{").unwrap();
    session.release().unwrap_err();
    std::fs::write(&record, kept).unwrap();
    assert_eq!(store.find_clone(&vm("c")).unwrap(), Some(another));
    let session = store.clone_for_session(&template, &vm("b"), &options).unwrap();
    store.release(&vm("b")).unwrap();
    assert_eq!(session.keep().unwrap_err().kind(), offshoot::ErrorKind::NotFound);
}

#[test]
fn a_guard_releases_its_own_clone_alone() {
    let Fixture { directory: _directory, store, template } = fixture();
    let options = CloneOptions::default();
    let first = store.clone_for_session(&template, &vm("a"), &options).unwrap();
    store.release(&vm("a")).unwrap();
    let second = store.clone_for_session(&template, &vm("a"), &options).unwrap();
    drop(first);
    assert!(second.path.exists());
    let first = second;
    store.release(&vm("a")).unwrap();
    let second = store.clone_for_session(&template, &vm("a"), &options).unwrap();
    assert!(matches!(first.keep(), Err(Error::CloneContested { .. })));
    assert!(second.record.session.is_some() && second.path.exists());
    crate::collecting::collect(&store);
    assert_eq!(clones(&store), ["a"], "its owner is alive");
    drop(second);
    assert_eq!(clones(&store), [""; 0]);
}
