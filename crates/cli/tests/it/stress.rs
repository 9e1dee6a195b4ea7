//! Eight people who do whatever comes to their minds in one store, and one who collects all the while: nothing that was
//! acknowledged is lost, nothing strange is left, nobody waits for ever.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::cases::soak;
use crate::disks::{is_overlay, scribble};
use crate::program::text;
use crate::small::{SIZE, Small};

const PEOPLE: u8 = 8;
/// Longer than anything takes here, on however busy a machine; what takes longer waits for ever.
const FOR_EVER: Duration = Duration::from_secs(300);
/// Of the long form, on each filesystem.
const LONG: Duration = Duration::from_secs(240);

/// What somebody does. `vm` is one of their own two, of which nobody else knows, unless it is said to be shared.
#[derive(Clone, Copy, Debug)]
enum Step {
    Clone {
        vm: u8,
        of: Of,
        strategy: &'static str,
        larger: bool,
        ephemeral: bool,
    },
    Grow {
        vm: u8,
    },
    Write {
        vm: u8,
        byte: u8,
    },
    Reset {
        vm: u8,
    },
    Snapshot {
        vm: u8,
    },
    Release {
        vm: u8,
    },
    RemoveSnapshot,
    /// A command on one of a few VMs that everybody uses.
    Shared {
        vm: u8,
        command: u8,
    },
    Look {
        command: u8,
    },
}

/// What is cloned.
#[derive(Clone, Copy, Debug)]
enum Of {
    /// A template with a name.
    Base,
    /// An image whose template has no name: evicted or removed whenever nobody uses it, and then made again.
    Image,
    /// What this one took a snapshot of last.
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    let vm = 0u8..2;
    let of = prop_oneof![2 => Just(Of::Base), 3 => Just(Of::Image), 2 => Just(Of::Snapshot)];
    let strategy = prop_oneof![Just("auto"), Just("qcow2"), Just("copy")];
    prop_oneof![
        6 => (vm.clone(), of, strategy, any::<bool>(), any::<bool>())
            .prop_map(|(vm, of, strategy, larger, ephemeral)| Step::Clone { vm, of, strategy, larger, ephemeral }),
        2 => vm.clone().prop_map(|vm| Step::Grow { vm }),
        3 => (vm.clone(), 1u8..).prop_map(|(vm, byte)| Step::Write { vm, byte }),
        1 => vm.clone().prop_map(|vm| Step::Reset { vm }),
        2 => vm.clone().prop_map(|vm| Step::Snapshot { vm }),
        3 => vm.prop_map(|vm| Step::Release { vm }),
        1 => Just(Step::RemoveSnapshot),
        4 => (0u8..3, any::<u8>()).prop_map(|(vm, command)| Step::Shared { vm, command }),
        2 => any::<u8>().prop_map(|command| Step::Look { command }),
    ]
}

/// A template, as far as it is known here.
#[derive(Clone, Debug)]
struct Known {
    id: String,
    /// What it has where `scribble` writes.
    byte: u8,
}

/// A VM's disk, as it was acknowledged.
#[derive(Debug)]
struct Vm {
    /// The arguments that made it.
    made_by: Vec<String>,
    disk: PathBuf,
    template: Known,
    byte: u8,
    bytes: u64,
}

struct Person<'a> {
    small: &'a Small,
    number: u8,
    vms: [Option<Vm>; 2],
    snapshot: Option<Known>,
    commands: &'a AtomicU64,
}

impl Person<'_> {
    fn vm(&self, vm: u8) -> String {
        format!("{}/{vm}", self.number)
    }

    fn snapshot_name(&self) -> String {
        format!("of-{}", self.number)
    }

    /// Runs a command, which must end in one of these ways; what it printed where it succeeded.
    fn run(&self, arguments: &[&str], codes: &[i32]) -> Option<String> {
        let output = run(self.small, arguments);
        self.commands.fetch_add(1, Ordering::Relaxed);
        let code = output.status.code().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(codes.contains(&code), "{arguments:?}: exit code {code}, of {codes:?}: {said}");
        (code == 0).then(|| String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Clone { vm, of, strategy, larger, ephemeral } => {
                self.clone(vm, of, strategy, larger, ephemeral);
            }
            Step::Shared { vm, command } => self.shared(vm, command),
            Step::Look { command } => {
                let looks: [&[&str]; 6] =
                    [&["clones"], &["templates"], &["images"], &["df"], &["verify", "--quick"], &["verify"]];
                self.run(looks[usize::from(command) % looks.len()], &[0]);
            }
            Step::RemoveSnapshot => {
                let codes: &[i32] = if self.snapshot.is_some() { &[0, 4] } else { &[3] };
                if self.run(&["remove", &self.snapshot_name()], codes).is_some() {
                    self.snapshot = None;
                }
            }
            Step::Grow { vm }
            | Step::Write { vm, .. }
            | Step::Reset { vm }
            | Step::Snapshot { vm }
            | Step::Release { vm } => {
                let id = self.vm(vm);
                match self.vms[usize::from(vm)].take() {
                    Some(clone) => self.vms[usize::from(vm)] = self.change(clone, &id, step),
                    None => self.absent(&id, step),
                }
            }
        }
        for vm in self.vms.iter().flatten() {
            vm.check();
        }
    }

    fn clone(&mut self, vm: u8, of: Of, strategy: &str, larger: bool, ephemeral: bool) {
        let id = self.vm(vm);
        if let Some(clone) = &self.vms[usize::from(vm)] {
            let arguments: Vec<&str> = clone.made_by.iter().map(String::as_str).collect();
            // A name may stand for something else now. For nothing, it would be taken for an image, of a network.
            let by_name = arguments[1] == self.snapshot_name();
            let codes: &[i32] = match &self.snapshot {
                None if by_name => return,
                Some(snapshot) if by_name && snapshot.id != clone.template.id => &[4],
                _ => &[0],
            };
            if let Some(path) = self.run(&arguments, codes) {
                assert_eq!(Path::new(&path), clone.disk, "{arguments:?}");
            }
            return;
        }
        let name = match of {
            Of::Base => "base".to_owned(),
            Of::Image => format!("dir:{}", text(&self.small.directory.join("other"))),
            Of::Snapshot => self.snapshot_name(),
        };
        let mut arguments = vec!["clone", &name, &id, "--strategy", strategy];
        // Who knows how large a snapshot is by now.
        let larger = larger && !matches!(of, Of::Snapshot);
        arguments.extend(larger.then_some("--size=700M"));
        arguments.extend(ephemeral.then_some("--ephemeral"));
        if matches!(of, Of::Snapshot) && self.snapshot.is_none() {
            // Nothing of that name.
            assert!(run(self.small, &["inspect", &name]).status.code() == Some(3));
            return;
        }
        let disk = PathBuf::from(self.run(&arguments, &[0]).unwrap());
        let record = record(&disk);
        let template = Known {
            id: record["template"]["id"].as_str().unwrap().to_owned(),
            byte: if let (Of::Snapshot, Some(snapshot)) = (of, &self.snapshot) { snapshot.byte } else { 0 },
        };
        if let (Of::Snapshot, Some(snapshot)) = (of, &self.snapshot) {
            assert_eq!(template.id, snapshot.id);
        }
        let bytes = record["size_bytes"].as_u64().unwrap();
        let made_by = arguments.into_iter().map(str::to_owned).collect();
        self.vms[usize::from(vm)] = Some(Vm { made_by, disk, byte: template.byte, template, bytes });
    }

    /// Does something to a VM's disk; what it is then.
    fn change(&mut self, mut clone: Vm, id: &str, step: Step) -> Option<Vm> {
        match step {
            Step::Grow { .. } => {
                let bytes = clone.bytes + (64 << 20);
                let path = self.run(&["grow", id, &bytes.to_string()], &[0]).unwrap();
                assert_eq!(Path::new(&path), clone.disk);
                clone.bytes = bytes;
            }
            Step::Write { byte, .. } => {
                scribble(&clone.disk, SIZE, byte);
                clone.byte = byte;
            }
            Step::Reset { .. } => {
                let path = self.run(&["reset", id], &[0]).unwrap();
                assert_eq!(Path::new(&path), clone.disk);
                clone.byte = clone.template.byte;
                clone.bytes = record(&clone.disk)["size_bytes"].as_u64().unwrap();
            }
            Step::Snapshot { .. } => {
                let taken = self.run(&["snapshot", id, &self.snapshot_name()], &[0]).unwrap();
                self.snapshot = Some(Known { id: taken, byte: clone.byte });
            }
            _ => {
                self.run(&["release", id], &[0]).unwrap();
                assert!(!clone.disk.exists());
                return None;
            }
        }
        Some(clone)
    }

    /// The same where there is no such VM.
    fn absent(&self, id: &str, step: Step) {
        match step {
            Step::Grow { .. } => self.run(&["grow", id, "900M"], &[3]),
            Step::Reset { .. } => self.run(&["reset", id], &[3]),
            Step::Snapshot { .. } => self.run(&["snapshot", id, "never"], &[3]),
            Step::Release { .. } => self.run(&["release", id], &[0]),
            _ => None,
        };
    }

    /// Whatever others do at the same time, it succeeds, does not find the thing, or says that somebody else was there.
    fn shared(&self, vm: u8, command: u8) {
        let id = format!("shared/{vm}");
        let image = format!("dir:{}", text(&self.small.directory.join("other")));
        let directory = format!("{}/unpacked-{}", text(&self.small.directory), self.number);
        let commands: [&[&str]; 10] = [
            &["clone", "base", &id],
            &["clone", &image, &id, "--strategy", "qcow2"],
            &["clone", &image, &id, "--ephemeral"],
            &["grow", &id, "900M"],
            &["reset", &id],
            &["snapshot", &id, "everybodys"],
            &["release", &id],
            &["remove", "everybodys"],
            &["remove", &image],
            &["unpack", &image, &directory],
        ];
        self.run(commands[usize::from(command) % commands.len()], &[0, 3, 4]);
        let _ = fs::remove_dir_all(directory);
    }
}

impl Vm {
    /// It is as it was acknowledged, and its template is there.
    fn check(&self) {
        let Self { disk, byte, .. } = self;
        if is_overlay(disk) {
            let read = format!("read -P {byte} {} 4096", SIZE - 4096);
            let said =
                oracle::run(oracle::command("qemu-io").args(["-r", "-f", "qcow2", "-c", &read]).arg(disk));
            assert!(!said.contains("failed"), "{self:?}: {said}");
        } else {
            let mut found = [0; 4096];
            File::open(disk).unwrap().read_exact_at(&mut found, SIZE - 4096).unwrap();
            assert!(found.iter().all(|found| found == byte), "{self:?}: {}", found[0]);
            assert_eq!(disk.metadata().unwrap().len(), self.bytes, "{self:?}");
        }
        let templates = disk.ancestors().nth(3).unwrap().join("templates");
        assert!(templates.join(&self.template.id).join("rootfs.ext4").is_file(), "{self:?}");
        let record = record(disk);
        assert_eq!(record["size_bytes"], self.bytes, "{self:?}");
        assert_eq!(record["template"]["id"], self.template.id.as_str(), "{self:?}");
    }
}

fn record(disk: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(disk.with_file_name("clone.json")).unwrap()).unwrap()
}

/// Runs a command that must end.
fn run(small: &Small, arguments: &[&str]) -> Output {
    let child = small.store.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || sender.send(child.wait_with_output().unwrap()));
        receiver.recv_timeout(FOR_EVER).unwrap_or_else(|_| {
            // So that the test ends.
            oracle::run(oracle::command("kill").args(["-KILL", &id.to_string()]));
            panic!("{arguments:?} waits for ever");
        })
    })
}

#[test]
fn nothing_is_lost_in_the_bustle() {
    if !oracle::available(&["qemu-io", "qemu-img"]) {
        return;
    }
    if !soak() {
        return bustle(&Small::new(), Duration::ZERO);
    }
    bustle(&Small::new(), LONG);
    for filesystem in
        [Filesystem::Xfs, Filesystem::Btrfs].into_iter().filter(|filesystem| filesystem.available())
    {
        let scratch = ScratchFilesystem::new(filesystem, 8 << 30);
        bustle(&Small::within(scratch.path()), LONG);
    }
}

/// For so long, and for 25 steps of each at the least.
fn bustle(small: &Small, long: Duration) {
    fs::create_dir(small.directory.join("other")).unwrap();
    fs::write(small.directory.join("other/file"), [5; 50_000]).unwrap();
    let seed: [u8; 32] = std::array::from_fn(|_| random_byte());
    println!("seed {seed:?}");
    let (end, commands, done) = (Instant::now() + long, AtomicU64::new(0), AtomicBool::new(false));
    let mut collections = 0;
    std::thread::scope(|scope| {
        let people: Vec<_> = (0..PEOPLE)
            .map(|number| {
                let commands = &commands;
                scope.spawn(move || {
                    let mut seed = seed;
                    seed[0] ^= number;
                    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
                    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
                    let mut person = Person { small, number, vms: [None, None], snapshot: None, commands };
                    let mut steps = 0;
                    while steps < 25 || Instant::now() < end {
                        person.act(step().new_tree(&mut runner).unwrap().current());
                        steps += 1;
                    }
                    let vms = person.vms.into_iter().flatten();
                    vms.map(|vm| vm.disk).collect::<Vec<_>>()
                })
            })
            .collect();
        let done = &done;
        let collector = scope.spawn(move || {
            let mut collections = 0;
            while !done.load(Ordering::Relaxed) {
                // In turns also what somebody may want again: so much room there never is.
                let (arguments, code): (&[&str], _) = match collections % 2 {
                    0 => (&["gc", "--grace", "0s"], 0),
                    _ => (&["gc", "--grace", "0s", "--keep-free", "100%"], 6),
                };
                let output = run(small, arguments);
                assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
                collections += 1;
            }
            collections
        });
        let ended: Vec<_> = people.into_iter().map(ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        collections = collector.join().unwrap();
        let own: HashSet<PathBuf> = ended.into_iter().flat_map(|disks| disks.unwrap()).collect();
        at_the_end(small, &own);
    });
    assert!(collections > 1, "{collections}");
    println!("{} commands beside {collections} collections, nothing lost", commands.into_inner());
}

/// Everything is sound, everything can be let go, and then there is nothing.
fn at_the_end(small: &Small, own: &HashSet<PathBuf>) {
    small.store.run(&["verify"]);
    let clones = small.clones();
    let listed: HashSet<PathBuf> = clones
        .iter()
        .filter(|clone| !clone["vm_id"].as_str().unwrap().starts_with("shared/"))
        .map(|clone| clone["path"].as_str().unwrap().into())
        .collect();
    assert_eq!(listed, *own);
    for clone in &clones {
        small.store.run(&["release", clone["vm_id"].as_str().unwrap()]);
    }
    let names = fs::read_dir(small.store.path.join("names")).unwrap();
    for name in names {
        let record: serde_json::Value =
            serde_json::from_slice(&fs::read(name.unwrap().path()).unwrap()).unwrap();
        small.store.run(&["remove", record["name"].as_str().unwrap()]);
    }
    let images: serde_json::Value =
        serde_json::from_str(&small.store.run(&["--format", "json", "images"])).unwrap();
    for image in images["items"].as_array().unwrap() {
        small.store.run(&["remove", image["reference"].as_str().unwrap()]);
    }
    small.store.run(&["gc", "--grace", "0s"]);
    assert_eq!(small.store.made(), [""; 0]);
    small.nothing_unfinished("collected");
    let blobs = fs::read_dir(small.store.path.join("blobs/sha256")).unwrap().count();
    assert_eq!(blobs, 0);
}

/// A random byte from the standard library's own source of them.
fn random_byte() -> u8 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0).to_le_bytes()[0]
}
