//! What a clone costs, beside the system calls that it cannot do without: `cargo xtask bench` runs this and shows it.
//!
//! Arguments: a directory on the filesystem to measure, an image, and the program. Prints a JSON object for each
//! thing measured: `{"what", "unit", "runs"}`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use offshoot::{BuildOptions, CloneOptions, DiskSize, Quiet, Store, Strategy, Template, VmId};

const RUNS: usize = 300;
const MANY: usize = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [directory, image, program] = arguments.as_slice() else {
        // `cargo test --benches` runs this too, and wants nothing measured.
        return;
    };
    let bench = Bench::new(Path::new(directory), image, program.into());
    let shares = bench.shares();
    if shares {
        bench.one_clone();
        bench.program();
        bench.threads();
    }
    bench.overlay();
    bench.growth();
    bench.first_write(shares);
    if shares {
        bench.many();
    }
}

struct Bench {
    directory: PathBuf,
    store: Store,
    template: Template,
    program: PathBuf,
}

fn report(what: &str, unit: &str, runs: &[f64]) {
    println!("{}", serde_json::json!({"what": what, "unit": unit, "runs": runs}));
}

fn microseconds(action: impl FnOnce()) -> f64 {
    let start = Instant::now();
    action();
    start.elapsed().as_secs_f64() * 1e6
}

fn vm(text: &str) -> VmId {
    text.parse().unwrap()
}

fn with(strategy: Strategy) -> CloneOptions {
    CloneOptions { strategy: Some(strategy), ephemeral: true, ..CloneOptions::default() }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Bench {
    fn new(directory: &Path, image: &str, program: PathBuf) -> Self {
        let store = Store::open(&directory.join("store")).unwrap();
        let template = store.build(&image.parse().unwrap(), &BuildOptions::default(), &Quiet).unwrap();
        Self { directory: directory.to_owned(), store, template, program }
    }

    fn shares(&self) -> bool {
        let clone =
            self.store.clone_template(&self.template, &vm("probe"), &CloneOptions::default()).unwrap();
        self.store.release(&vm("probe")).unwrap();
        clone.record.strategy == Strategy::Reflink
    }

    /// One ephemeral clone, and the same calls bare, in turns.
    fn one_clone(&self) {
        let record = fs::read(self.template.path.with_file_name("template.json")).unwrap();
        let bare = self.directory.join("bare");
        fs::create_dir_all(bare.join("tmp")).unwrap();
        fs::create_dir_all(bare.join("clones")).unwrap();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for run in 0..RUNS {
            let id = vm(&format!("vm-{run}"));
            ours.push(microseconds(|| {
                self.store.clone_template(&self.template, &id, &with(Strategy::Reflink)).unwrap();
            }));
            theirs.push(microseconds(|| bare_clone(&self.template.path, &bare, &run.to_string(), &record)));
        }
        report("library clone, ephemeral", "µs", &ours);
        report("its system calls, bare", "µs", &theirs);
        for run in 0..RUNS {
            self.store.release(&vm(&format!("vm-{run}"))).unwrap();
        }
        fs::remove_dir_all(bare).unwrap();
    }

    /// The whole program, and `cp --reflink=always`: in changing order, and what they made goes after both.
    fn program(&self) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let id = self.template.record.id.to_string();
        for index in 0..100 {
            let mut clone = Command::new(&self.program);
            clone.arg("--store").arg(self.store.path());
            clone.args(["clone", &id, &format!("vm-{index}"), "--ephemeral", "--strategy", "reflink"]);
            let target = self.directory.join(format!("copy-{index}"));
            let mut cp = Command::new("cp");
            cp.arg("--reflink=always").arg(&self.template.path).arg(&target);
            if index % 2 == 0 {
                ours.push(microseconds(|| run(&mut clone)));
                theirs.push(microseconds(|| run(&mut cp)));
            } else {
                theirs.push(microseconds(|| run(&mut cp)));
                ours.push(microseconds(|| run(&mut clone)));
            }
            fs::remove_file(target).unwrap();
            self.store.release(&vm(&format!("vm-{index}"))).unwrap();
        }
        report("program: clone --ephemeral", "µs", &ours);
        report("cp --reflink=always", "µs", &theirs);
    }

    /// Clones a second by one thread and by eight, and the bare calls by eight.
    fn threads(&self) {
        let record = fs::read(self.template.path.with_file_name("template.json")).unwrap();
        let bare = self.directory.join("bare");
        fs::create_dir_all(bare.join("tmp")).unwrap();
        fs::create_dir_all(bare.join("clones")).unwrap();
        for threads in [1, 8] {
            let ours = rate(threads, |index| {
                let id = vm(&format!("{threads}-{index}"));
                self.store.clone_template(&self.template, &id, &with(Strategy::Reflink)).unwrap();
            });
            report(&format!("clones a second, {threads} threads"), "/s", &[ours]);
            let theirs = rate(threads, |index| {
                bare_clone(&self.template.path, &bare, &format!("{threads}-{index}"), &record);
            });
            report(&format!("bare, {threads} threads"), "/s", &[theirs]);
        }
        fs::remove_dir_all(bare).unwrap();
        self.release_all();
    }

    /// An overlay, and `qemu-img create -b`.
    fn overlay(&self) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for index in 0..100 {
            let id = vm(&format!("vm-{index}"));
            ours.push(microseconds(|| {
                self.store.clone_template(&self.template, &id, &with(Strategy::Qcow2)).unwrap();
            }));
            let target = self.directory.join("overlay.qcow2");
            let mut create = Command::new("qemu-img");
            create
                .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
                .arg(&self.template.path)
                .arg(&target);
            theirs.push(microseconds(|| run(&mut create)));
            fs::remove_file(target).unwrap();
            self.store.release(&id).unwrap();
        }
        report("library clone, qcow2", "µs", &ours);
        report("qemu-img create -b", "µs", &theirs);
    }

    /// 1 to 8 GiB, by the library and by `resize2fs`.
    fn growth(&self) {
        let options = BuildOptions { size: DiskSize::Bytes(1 << 30), ..BuildOptions::default() };
        let template = self.store.build(&"scratch:".parse().unwrap(), &options, &Quiet).unwrap();
        let resize2fs =
            ["/usr/sbin/resize2fs", "/sbin/resize2fs"].into_iter().find(|path| Path::new(path).exists());
        let (mut ours, mut theirs, mut grown, mut warm) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let ephemeral = CloneOptions { ephemeral: true, ..CloneOptions::default() };
        let larger = CloneOptions { size_bytes: Some(8 << 30), ..ephemeral.clone() };
        for index in 0..50 {
            let [ours_id, theirs_id, grown_id, warm_id] =
                ["ours", "theirs", "grown", "warm"].map(|who| vm(&format!("{who}-{index}")));
            grown.push(microseconds(|| {
                self.store.clone_template(&template, &grown_id, &larger).unwrap();
            }));
            self.store.release(&grown_id).unwrap();
            self.store.clone_template(&template, &ours_id, &ephemeral).unwrap();
            ours.push(microseconds(|| {
                self.store.grow(&ours_id, 8 << 30).unwrap();
            }));
            // As after a VM that ran: what growth looks at is in memory.
            let clone = self.store.clone_template(&template, &warm_id, &ephemeral).unwrap();
            File::open(&clone.path).unwrap().read_exact_at(&mut vec![0; 1 << 20], 0).unwrap();
            warm.push(microseconds(|| {
                self.store.grow(&warm_id, 8 << 30).unwrap();
            }));
            self.store.release(&warm_id).unwrap();
            let clone = self.store.clone_template(&template, &theirs_id, &ephemeral).unwrap();
            let mut resize = Command::new(resize2fs.unwrap_or("resize2fs"));
            theirs.push(microseconds(|| run(resize.arg(&clone.path).arg("8G"))));
            self.store.release(&ours_id).unwrap();
            fs::remove_dir_all(clone.path.parent().unwrap()).unwrap();
        }
        report("library grow, 1 to 8 GiB", "µs", &ours);
        report("library grow, 1 to 8 GiB, in memory", "µs", &warm);
        report("library clone --size, 1 to 8 GiB", "µs", &grown);
        report("resize2fs, 1 to 8 GiB", "µs", &theirs);
    }

    /// What the first synced write costs after each strategy.
    fn first_write(&self, shares: bool) {
        for strategy in [Strategy::Reflink, Strategy::Copy, Strategy::Qcow2] {
            if strategy == Strategy::Reflink && !shares {
                continue;
            }
            let mut runs = Vec::new();
            for index in 0..10 {
                let id = vm(&format!("vm-{index}"));
                let options = CloneOptions { strategy: Some(strategy), ..CloneOptions::default() };
                let clone = self.store.clone_template(&self.template, &id, &options).unwrap();
                if strategy == Strategy::Qcow2 {
                    let mut io = Command::new("qemu-io");
                    io.args(["-f", "qcow2", "-t", "writeback", "-c", "write -P 7 64M 4k", "-c", "flush"]);
                    let with = microseconds(|| run(io.arg(&clone.path)));
                    let mut io = Command::new("qemu-io");
                    let without =
                        microseconds(|| run(io.args(["-f", "qcow2", "-c", "length"]).arg(&clone.path)));
                    runs.push(with - without);
                } else {
                    let disk = File::options().write(true).open(&clone.path).unwrap();
                    runs.push(microseconds(|| {
                        disk.write_all_at(&[7; 4096], 64 << 20).unwrap();
                        disk.sync_data().unwrap();
                    }));
                }
                self.store.release(&id).unwrap();
            }
            report(&format!("first synced write of 4 KiB, {strategy}"), "µs", &runs);
        }
    }

    /// Ten thousand clones in one store.
    fn many(&self) {
        let record = fs::read(self.template.path.with_file_name("template.json")).unwrap();
        let bare = self.directory.join("bare");
        fs::create_dir_all(bare.join("tmp")).unwrap();
        fs::create_dir_all(bare.join("clones")).unwrap();
        let runs: Vec<f64> = (0..MANY)
            .map(|index| microseconds(|| bare_clone(&self.template.path, &bare, &index.to_string(), &record)))
            .collect();
        report("bare, first hundred of 10,000", "µs", &runs[..100]);
        report("bare, last hundred of 10,000", "µs", &runs[MANY - 100..]);
        fs::remove_dir_all(bare).unwrap();
        let mut runs = Vec::with_capacity(MANY);
        for index in 0..MANY {
            let id = vm(&format!("many-{index}"));
            runs.push(microseconds(|| {
                self.store.clone_template(&self.template, &id, &with(Strategy::Reflink)).unwrap();
            }));
        }
        report("first hundred of 10,000 clones", "µs", &runs[..100]);
        report("last hundred of 10,000 clones", "µs", &runs[MANY - 100..]);
        let list: Vec<f64> = (0..5)
            .map(|_| microseconds(|| assert_eq!(self.store.clones().unwrap().len(), MANY)) / 1e3)
            .collect();
        report("library list of 10,000 clones", "ms", &list);
        let list: Vec<f64> = (0..5)
            .map(|_| {
                let mut clones = Command::new(&self.program);
                microseconds(|| run(clones.arg("--store").arg(self.store.path()).arg("clones"))) / 1e3
            })
            .collect();
        report("program: clones, of 10,000", "ms", &list);
        self.release_all();
    }

    fn release_all(&self) {
        for clone in self.store.clones().unwrap() {
            self.store.release(&clone.record.vm_id).unwrap();
        }
    }
}

/// Make a directory, create, FICLONE, create and write a record, rename: what a clone cannot do without.
fn bare_clone(template: &Path, directory: &Path, name: &str, record: &[u8]) {
    let staged = directory.join("tmp").join(name);
    fs::create_dir(&staged).unwrap();
    let source = File::open(template).unwrap();
    let target = File::create_new(staged.join("rootfs.ext4")).unwrap();
    rustix::fs::ioctl_ficlone(&target, &source).unwrap();
    File::create_new(staged.join("clone.json")).unwrap().write_all(record).unwrap();
    fs::rename(&staged, directory.join("clones").join(name)).unwrap();
}

/// How often a second threads do something, over a thousand times in all.
fn rate(threads: usize, action: impl Fn(usize) + Sync) -> f64 {
    const COUNT: usize = 1000;
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= COUNT {
                        return;
                    }
                    action(index);
                }
            });
        }
    });
    COUNT as f64 / start.elapsed().as_secs_f64()
}
