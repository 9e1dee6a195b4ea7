//! Machines that boot from clones of one template, each of which keeps what it writes to itself.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use offshoot_testkit::boot::{self, Boot};
use offshoot_testkit::samples::Sample;
use offshoot_testkit::{LoopMount, Sha256, oracle, scratch_directory, sha256_file};

use crate::disks::{self, Raw};
use crate::program::{Store, text};
use crate::small::traced;

/// A store with the smallest image that boots, as `tiny`, whose disk has 1 GiB.
struct Tiny {
    store: Store,
    template: PathBuf,
    directory: tempfile::TempDir,
}

fn tiny() -> Option<Tiny> {
    let needed = boot::available() && oracle::root() && Sample::Tiny.available();
    if !needed || !oracle::available(&disks::ORACLES) || !oracle::available(&["resize2fs", "ldd", "mount"]) {
        return None;
    }
    let directory = scratch_directory();
    let store = Store::at(directory.path().join("store"));
    let image = format!("oci:{}", Sample::Tiny.reference());
    let template = store.build(&[&image, "--name", "tiny", "--size", "1G"]);
    Some(Tiny { store, template, directory })
}

fn start(disk: &Path, script: &str) -> String {
    let format = if disks::is_overlay(disk) { "qcow2" } else { "raw" };
    let booted = Boot::new(disk).format(format).run(script);
    assert_eq!(booted.status, 0, "{}", booted.console);
    booted.output
}

impl Tiny {
    fn clone(&self, template: &str, vm: &str, options: &[&str]) -> PathBuf {
        PathBuf::from(self.store.run(&[&["clone", template, vm], options].concat()))
    }

    fn raw(&self, disk: &Path) -> Raw {
        Raw::of(disk, self.directory.path().join("raw"))
    }

    /// The names of the files that the machines have written, of those that are there.
    fn written(&self, disk: &Path) -> Vec<&'static str> {
        let raw = self.raw(disk);
        raw.sound(text(disk));
        let mount = LoopMount::read_only(raw.path());
        let names = ["by-raw", "by-overlay", "by-snapshot", "before"];
        names.into_iter().filter(|name| mount.path().join(name).exists()).collect()
    }
}

#[test]
fn what_one_writes_no_other_sees() {
    let Some(tiny) = tiny() else { return };
    let before: Sha256 = sha256_file(&tiny.template);
    let raw = tiny.clone("tiny", "raw", &[]);
    let overlay = tiny.clone("tiny", "overlay", &["--strategy", "qcow2"]);
    let origin = tiny.clone("tiny", "origin", &["--strategy", "qcow2"]);
    start(&origin, "echo first > /before && sync");
    let id = tiny.store.run(&["snapshot", "origin", "taken"]);
    let taken = tiny.store.path.join("templates").join(id).join("rootfs.ext4");
    let taken_before = sha256_file(&taken);
    let snapshot = tiny.clone("taken", "snapshot", &[]);
    let above = tiny.clone("taken", "above", &["--strategy", "qcow2"]);

    start(&raw, "[ ! -e /before ] && echo kept > /by-raw && sync");
    start(&overlay, "[ ! -e /before ] && [ ! -e /by-raw ] && echo kept > /by-overlay && sync");
    start(&snapshot, "[ -e /before ] && [ ! -e /by-raw ] && echo kept > /by-snapshot && sync");
    start(&above, "[ -e /before ] && [ ! -e /by-snapshot ]");

    assert_eq!(tiny.written(&raw), ["by-raw"]);
    assert_eq!(tiny.written(&overlay), ["by-overlay"]);
    assert_eq!(tiny.written(&origin), ["before"]);
    assert_eq!(tiny.written(&snapshot), ["by-snapshot", "before"]);
    assert_eq!(tiny.written(&above), ["before"]);
    assert_eq!((sha256_file(&tiny.template), sha256_file(&taken)), (before, taken_before));
    // The clones of before the boots are as they would be now.
    assert_eq!(tiny.raw(&tiny.clone("tiny", "new", &[])).digest(), before);
}

/// Prints how large the root filesystem is, in KiB.
const DF: &str = "df -k / | while read a blocks c; do echo blocks $blocks; done\n";

/// All that `DF` printed.
fn kilobytes(output: &str) -> Vec<u64> {
    output.lines().filter_map(|line| line.strip_prefix("blocks ")?.trim().parse().ok()).collect()
}

/// Metadata takes some of it: between 90 % and all.
fn is_about(kilobytes: u64, bytes: u64) -> bool {
    (bytes / 10 * 9..=bytes).contains(&(kilobytes << 10))
}

#[test]
fn the_machine_completes_a_growth_that_was_killed() {
    let Some(tiny) = tiny() else { return };
    for (vm, strategy) in [("raw", "auto"), ("overlay", "qcow2")] {
        let mut replayed = false;
        // From the last write backwards, until the transaction lies in the journal and nowhere else.
        for point in (1..60).rev() {
            let disk = tiny.clone("tiny", vm, &["--strategy", strategy]);
            let trace = tiny.directory.path().join("trace");
            let inject = format!("inject=pwrite64:signal=KILL:when={point}");
            let command = tiny.store.command(&["grow", vm, "3G"]);
            oracle::output(&mut traced(&command, &trace, &["-e", "trace=pwrite64", "-e", &inject]));
            let raw = tiny.raw(&disk);
            if !needs_recovery(&raw) || disks::filesystem_bytes(raw.path()) != 1 << 30 {
                tiny.store.run(&["release", vm]);
                continue;
            }
            drop(raw);
            let output = start(&disk, DF);
            assert!(is_about(kilobytes(&output)[0], 3 << 30), "killed at write {point}: {output}");
            assert_eq!(tiny.raw(&disk).sound(vm), 3 << 30);
            // And our own command finds nothing left to do but its record.
            tiny.store.run(&["clone", "tiny", vm]);
            let listed = tiny.store.run(&["--format", "json", "clones"]);
            assert!(listed.contains(&format!("{}", 3_u64 << 30)), "{listed}");
            tiny.store.run(&["release", vm]);
            replayed = true;
            break;
        }
        assert!(replayed, "{strategy}: no kill left a transaction");
    }
}

/// The bit of the superblock that says that the journal is to be replayed.
fn needs_recovery(raw: &Raw) -> bool {
    let mut byte = [0];
    File::open(raw.path()).unwrap().read_exact_at(&mut byte, 1024 + 0x60).unwrap();
    byte[0] & 4 != 0
}

/// After a growth of ours the disk itself is made larger still: the guest's own resize2fs takes in the rest, online.
#[test]
fn a_grown_disk_grows_again_in_the_machine() {
    let Some(tiny) = tiny() else { return };
    let resize2fs = oracle::find("resize2fs").unwrap();
    let libraries = oracle::run(oracle::command("ldd").arg(&resize2fs));
    let mut files = vec![(resize2fs, "resize2fs".to_owned())];
    let mut loader = String::new();
    for library in
        libraries.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
    {
        let name = Path::new(library).file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("ld-") {
            loader.clone_from(&name);
        }
        files.push((fs::canonicalize(library).unwrap(), name));
    }
    let injections: Vec<String> =
        files.iter().map(|(file, name)| format!("{}:/tools/{name}:0755", text(file))).collect();
    let image = format!("oci:{}", Sample::Tiny.reference());
    let mut build = vec![image.as_str(), "--name", "tools", "--size", "1G"];
    build.extend(injections.iter().flat_map(|injection| ["--inject", injection]));
    tiny.store.build(&build);
    for (vm, strategy) in [("raw", "auto"), ("overlay", "qcow2")] {
        let disk = tiny.clone("tools", vm, &["--strategy", strategy]);
        tiny.store.run(&["grow", vm, "3G"]);
        let format = if disks::is_overlay(&disk) { "qcow2" } else { "raw" };
        let mut resize = oracle::command("qemu-img");
        oracle::run(resize.args(["resize", "-q", "-f", format]).arg(&disk).arg("5G"));
        let grow = format!("/tools/{loader} --library-path /tools /tools/resize2fs /dev/vda 2>&1");
        let output = start(&disk, &format!("{DF}{grow} || exit 1\n{DF}echo kept > /by-raw && sync"));
        let sizes = kilobytes(&output);
        assert!(sizes.len() == 2 && is_about(sizes[0], 3 << 30) && is_about(sizes[1], 5 << 30), "{output}");
        assert_eq!(tiny.written(&disk), ["by-raw"]);
        assert_eq!(tiny.raw(&disk).sound(vm), 5 << 30);
    }
}
