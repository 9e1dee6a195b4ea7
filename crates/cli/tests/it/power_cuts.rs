//! Machines that are cut off their power while the program works on their disk: what it had acknowledged is there, and
//! of the rest each thing as a whole or not at all.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use offshoot_testkit::boot::{self, Appliance, Running};
use offshoot_testkit::{Filesystem, LoopMount, WriteLog, oracle, scratch_directory, sha256};
use tempfile::TempDir;

use crate::cases::{self, Outcome, soak};
use crate::disks::{self, Raw};
use crate::left::{self, Left};
use crate::program::{Store, program};
use crate::small::Small;

/// What the machine does: `IMAGE` and `FILE` are what it has. What becomes of a clone called `grown` is judged by e2fsck.
const COMMANDS: [&[&str]; 14] = [
    &["pull", "IMAGE"],
    &["build", "IMAGE", "--name", "base", "--size", "16M"],
    &["clone", "base", "vm-1"],
    &["clone", "base", "vm-2", "--strategy", "copy"],
    &["clone", "base", "vm-3", "--strategy", "qcow2", "--size", "40M"],
    &["clone", "base", "grown"],
    &["grow", "grown", "40M"],
    &["snapshot", "vm-2", "taken"],
    &["clone", "taken", "vm-4", "--read-only"],
    &["reset", "vm-2"],
    &["import", "other", "FILE"],
    &["release", "vm-1", "vm-4"],
    &["remove", "taken"],
    &["gc", "--grace", "0s"],
];

/// The work, and what there is after each command of it.
struct Work {
    /// What the machine has at the same path.
    directory: TempDir,
    commands: Vec<Vec<String>>,
    /// Before the first command, and after each.
    states: Vec<Left>,
}

impl Work {
    fn new() -> Self {
        let directory = scratch_directory();
        let small = Small::within(directory.path());
        let mut copy = oracle::command("cp");
        oracle::run(
            copy.arg("--no-preserve=mode").arg(&small.template).arg(directory.path().join("import.ext4")),
        );
        fs::remove_dir_all(&small.store.path).unwrap();
        (cases::PULL.prepare)(&small);
        let commands: Vec<Vec<String>> =
            COMMANDS.iter().map(|&command| cases::Case { command, ..cases::PULL }.words(&small)).collect();
        let mut states = vec![left(directory.path())];
        for command in &commands {
            run(&small.store, command);
            states.push(left(directory.path()));
        }
        Self { directory, commands, states }
    }

    /// A machine that does the work on its disk and says so after each command, which it waits to be heard.
    fn machine(&self, filesystem: Filesystem) -> Appliance {
        let mut script = String::from(
            "run() { number=$1; shift
            offshoot --store /mnt/store --progress none \"$@\" >/tmp/output 2>&1 || { cat /tmp/output; poweroff -f; }
            echo \"acknowledged $number\"; read answer; }\n",
        );
        for (index, command) in self.commands.iter().enumerate() {
            script.push_str(&format!("run {} '{}'\n", index + 1, command.join("' '")));
        }
        Appliance::new(filesystem.name(), script)
            .with_program(&program(), "offshoot")
            .with(&self.directory.path().join("layout"))
            .with(&self.directory.path().join("import.ext4"))
    }

    /// An empty disk.
    fn disk(&self, filesystem: Filesystem) -> PathBuf {
        let disk = self.directory.path().join("disk");
        File::create(&disk).unwrap().set_len(320 << 20).unwrap();
        oracle::run(oracle::command(&format!("mkfs.{}", filesystem.name())).arg("-q").arg(&disk));
        disk
    }

    /// A disk on which so many commands were acknowledged holds what they made, and the next one does its work on it.
    fn check(&self, disk: &Path, filesystem: Filesystem, acknowledged: usize, what: &str) {
        let mount = LoopMount::with_options(disk, filesystem.name(), "loop");
        let found = left(mount.path());
        let before = &self.states[acknowledged];
        let next = self.states.get(acknowledged + 1).unwrap_or(before);
        assert!(found.is_of(Outcome::Whole, before, next), "{what}: {found}\nof {before}\nor {next}");
        let store = Store::at(mount.path().join("store"));
        left::verified(&store, what);
        if let Some(command) = self.commands.get(acknowledged) {
            if command.first().is_some_and(|word| word == "remove") {
                // A name goes before its template: then it is not found again, and the rest is for a collection.
                let code = oracle::output(&mut store.command(&["remove", &command[1]])).status.code();
                assert!(matches!(code, Some(0 | 3)), "{what}: {code:?}");
                store.run(&["gc", "-q", "--grace", "0s"]);
            } else {
                run(&store, command);
            }
            let after = left(mount.path());
            assert!(&after == next, "{what}: {after}\ninstead of {next}");
        }
        left::verified(&store, what);
        store.run(&["gc", "-q"]);
        for part in ["tmp", "locks", "owners", "downloads", "quarantine"] {
            let left: Vec<_> = fs::read_dir(store.path.join(part)).unwrap().flatten().collect();
            assert!(left.is_empty(), "{what}: {left:?}");
        }
    }
}

fn run(store: &Store, command: &[String]) {
    store.run(&command.iter().map(String::as_str).collect::<Vec<_>>());
}

fn left(directory: &Path) -> Left {
    let mut files = left::files(directory);
    let grown = directory.join("store/clones/grown/rootfs.ext4");
    if grown.exists() {
        // In the middle of a growth only the filesystem itself knows which size it has.
        let raw = Raw::of(&grown, directory.join("grown.raw"));
        let size = raw.sound("grown");
        files.remove("store/clones/grown/clone.json");
        files.insert("store/clones/grown/rootfs.ext4".to_owned(), sha256(&size.to_le_bytes()));
    }
    Left { clone: None, files }
}

/// Waits for the next acknowledgement, of that number; `None` where the machine has ended.
fn acknowledged(machine: &mut Running, number: usize) -> Option<()> {
    let line = machine.line("acknowledged ")?;
    assert_eq!(line, number.to_string(), "{}", machine.console());
    Some(())
}

/// Numbers that nobody can foresee, and how to have the same again.
fn random() -> (u64, impl FnMut() -> u64) {
    let seed = RandomState::new().hash_one("seed") | 1;
    let mut state = seed;
    (seed, move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    })
}

fn available(filesystem: Filesystem) -> bool {
    boot::available()
        && filesystem.available()
        && oracle::available(&["ldd", "cp"])
        && oracle::available(&disks::ORACLES)
}

/// Whatever was written and not flushed may be lost, or not.
fn cut(filesystem: Filesystem, cuts: u64) {
    if !available(filesystem) {
        return;
    }
    let work = Work::new();
    let base = work.disk(filesystem);
    let disk = work.directory.path().join("written");
    oracle::run(oracle::command("cp").arg("--sparse=always").arg(&base).arg(&disk));
    let log = WriteLog::new(&base, &work.directory.path().join("log"));
    let mut machine = work.machine(filesystem).start(&log.arguments(&disk));
    // Where in the log each command was acknowledged: what is before is older.
    let mut at = Vec::new();
    for number in 1..=work.commands.len() {
        acknowledged(&mut machine, number).unwrap_or_else(|| panic!("{}", machine.console()));
        at.push(log.position());
        machine.say("go on");
    }
    while machine.line("").is_some() {}
    let (seed, mut random) = random();
    let positions = log.positions();
    assert!(positions.len() > 100, "{}", positions.len());
    let losing = log.losing_positions();
    let (mut losses, mut requests) = (0, 0);
    for number in 0..cuts {
        // Each third one as soon as something was acknowledged.
        let from = if number % 3 == 0 { &at } else { &positions };
        // One at least where something is lost for certain.
        let from = if number == 1 { &losing } else { from };
        let position = from[usize::try_from(random()).unwrap() % from.len()];
        let done = at.iter().filter(|at| **at <= position).count();
        let percent = if number == 1 { 0 } else { [0, 50, 90, 99][usize::try_from(random() % 4).unwrap()] };
        log.cut(position, &disk, || {
            requests += 1;
            let kept = random() % 100 < percent;
            losses += u32::from(!kept);
            kept
        });
        let what = format!(
            "{}, seed {seed}, cut {number} at {position} after {done} commands, {percent} % kept",
            filesystem.name()
        );
        work.check(&disk, filesystem, done, &what);
    }
    assert!(losses > 0, "seed {seed}: nothing was lost in {cuts} cuts");
    println!("{}: {cuts} cuts, {losses} of {requests} blocks that were not flushed lost", filesystem.name());
}

/// The machine is killed; its host keeps what was written.
fn kill(filesystem: Filesystem, kills: u64) {
    if !available(filesystem) {
        return;
    }
    let work = Work::new();
    let machine = work.machine(filesystem);
    let (seed, mut random) = random();
    for number in 0..kills {
        let disk = work.disk(filesystem);
        let drive = format!("if=virtio,format=raw,cache=writeback,file={}", disk.display());
        let mut machine = machine.start(&["-drive".into(), drive.into()]);
        let mut done = 0;
        let last = usize::try_from(random()).unwrap() % work.commands.len();
        while done < last {
            acknowledged(&mut machine, done + 1).unwrap_or_else(|| panic!("{}", machine.console()));
            done += 1;
            machine.say("go on");
        }
        // In the middle of the next, or of one behind that: nobody hears of its end.
        std::thread::sleep(Duration::from_millis(random() % 500));
        machine.kill();
        while acknowledged(&mut machine, done + 1).is_some() {
            done += 1;
        }
        let what = format!("{}, seed {seed}, kill {number} after {done} commands", filesystem.name());
        work.check(&disk, filesystem, done, &what);
    }
    println!("{}: {kills} kills", filesystem.name());
}

#[test]
fn cut_on_ext4() {
    cut(Filesystem::Ext4, if soak() { 150 } else { 6 });
}

#[test]
fn cut_on_xfs() {
    cut(Filesystem::Xfs, if soak() { 150 } else { 6 });
}

#[test]
fn killed_on_ext4() {
    kill(Filesystem::Ext4, if soak() { 25 } else { 1 });
}

#[test]
fn killed_on_xfs() {
    kill(Filesystem::Xfs, if soak() { 25 } else { 1 });
}
