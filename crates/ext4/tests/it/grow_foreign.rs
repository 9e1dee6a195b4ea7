//! Filesystems that others made, grown.

use std::fs;
use std::path::{Path, PathBuf};

use offshoot_ext4::{Grow, GrowError, State, finish_grow, inspect};
use offshoot_testkit::{LoopMount, oracle, scratch_directory};
use tempfile::TempDir;

use crate::grow_sizes::{grow, open};

const MIB: u64 = 1 << 20;

/// A filesystem by mke2fs, with a few files.
struct Made {
    directory: TempDir,
}

impl Made {
    fn new(arguments: &[&str], megabytes: u64) -> Self {
        let directory = scratch_directory();
        let files = directory.path().join("files");
        fs::create_dir_all(files.join("d")).unwrap();
        for number in 0..300 {
            fs::write(files.join(format!("d/{number}")), vec![b'x'; number * 37]).unwrap();
        }
        let image = directory.path().join("image");
        let mut make = oracle::command("mke2fs");
        make.arg("-q").args(arguments).arg("-d").arg(&files).arg(&image).arg(format!("{megabytes}M"));
        oracle::run(&mut make);
        // mke2fs does not count what it copies towards quotas, and e2fsck not what it adds to say so.
        for _ in 0..2 {
            oracle::output(oracle::command("e2fsck").arg("-fy").arg(&image));
        }
        Self { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("image")
    }
}

fn e2fsck(image: &Path, what: &str) {
    let mut check = oracle::command("e2fsck");
    check.arg("-fn").arg(image);
    let output = oracle::output(&mut check);
    let text = oracle::describe(&check, &output);
    assert!(output.status.success(), "{what}: {text}");
}

/// Kernels use it, also what is new, and leave it whole.
fn used(image: &Path, what: &str) {
    // Not every kernel has quotas.
    let quota = inspect(&open(image)).unwrap().features.names().iter().any(|name| name == "quota");
    if quota || !oracle::root() || !oracle::available(&["mount"]) {
        return;
    }
    let mount = LoopMount::read_write(image);
    assert_eq!(fs::read(mount.path().join("d/299")).unwrap(), vec![b'x'; 299 * 37], "{what}");
    for directory in 0..40 {
        let directory = mount.path().join(format!("new-{directory}"));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("file"), vec![7; 300_000]).unwrap();
    }
    fs::remove_dir_all(mount.path().join("new-3")).unwrap();
    mount.unmount();
    e2fsck(image, what);
}

/// What mke2fs of several versions and options makes.
const FEATURES: [&[&str]; 17] = [
    &["-t", "ext4"],
    &["-t", "ext4", "-b", "4096"],
    &["-t", "ext4", "-b", "4096", "-O", "^64bit,^metadata_csum,uninit_bg,^resize_inode"],
    &["-t", "ext4", "-O", "metadata_csum_seed"],
    &["-t", "ext4", "-O", "metadata_csum_seed,orphan_file"],
    &["-t", "ext4", "-O", "orphan_file"],
    &["-t", "ext4", "-O", "^64bit"],
    &["-t", "ext4", "-O", "^64bit,^metadata_csum,uninit_bg"],
    &["-t", "ext4", "-O", "^metadata_csum,uninit_bg"],
    &["-t", "ext4", "-O", "^flex_bg"],
    &["-t", "ext4", "-O", "^has_journal"],
    &["-t", "ext4", "-O", "quota,project"],
    &["-t", "ext4", "-O", "inline_data,ea_inode,large_dir"],
    &["-t", "ext4", "-I", "128", "-O", "^metadata_csum,uninit_bg"],
    &["-t", "ext4", "-I", "1024", "-m", "0"],
    &["-t", "ext4", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-N", "3000"],
    &["-t", "ext4", "-G", "64"],
];

#[test]
fn of_many_features() {
    if !oracle::available(&["mke2fs", "e2fsck"]) {
        return;
    }
    for arguments in FEATURES {
        for (from, to) in [(100, 127), (200, 900), (1000, 9000)] {
            let made = Made::new(arguments, from);
            let what = format!("{arguments:?} {from} to {to}");
            let before = inspect(&open(&made.path())).unwrap();
            let plan = grow(&made.path(), to * MIB, false).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(plan.grows());
            e2fsck(&made.path(), &what);
            used(&made.path(), &what);
            // After a kernel had it, in place.
            let file = open(&made.path());
            assert_eq!(inspect(&file).unwrap().state, State::Clean, "{what}");
            let limit = inspect(&file).unwrap().growth_limit_bytes;
            let plan = Grow::plan(&file, limit.min(2 * to * MIB));
            let plan = plan.unwrap_or_else(|error| panic!("{what}: {error}"));
            match plan.apply_journaled(&file, false) {
                Ok(()) => {}
                Err(GrowError::NoSafeJournal { .. }) if arguments.contains(&"^has_journal") => {
                    plan.apply(&file).unwrap();
                }
                Err(error) => panic!("{what}: {error}"),
            }
            e2fsck(&made.path(), &what);
            used(&made.path(), &what);
            let after = inspect(&open(&made.path())).unwrap();
            assert_eq!(
                (after.uuid, &after.label, after.features),
                (before.uuid, &before.label, after.features)
            );
            assert_eq!(after.size_bytes, plan.new_size_bytes());
        }
    }
}

#[test]
fn of_smaller_blocks() {
    if !oracle::available(&["mke2fs", "e2fsck"]) {
        return;
    }
    for block in ["1024", "2048"] {
        for options in ["^orphan_file", "^64bit,^metadata_csum,uninit_bg"] {
            for (from, to) in [(5, 30), (30, 300), (100, 700)] {
                let arguments = ["-t", "ext4", "-b", block, "-O", options];
                let made = Made::new(&arguments, from);
                let what = format!("{arguments:?} {from} to {to}");
                match grow(&made.path(), to * MIB, from != 30) {
                    Ok(plan) => assert!(plan.grows()),
                    // mke2fs reserves for 1,024 times as much, but no more than a block of addresses.
                    Err(GrowError::PastReservation { limit_bytes }) => {
                        assert!(limit_bytes < to * MIB, "{what}");
                        grow(&made.path(), limit_bytes, false).unwrap();
                    }
                    Err(error) => panic!("{what}: {error}"),
                }
                e2fsck(&made.path(), &what);
                used(&made.path(), &what);
            }
        }
    }
}

/// Grown by kernels and resize2fs before us, and after us.
#[test]
fn in_turns_with_resize2fs() {
    if !oracle::available(&["mke2fs", "e2fsck", "resize2fs"]) {
        return;
    }
    for arguments in [FEATURES[0], FEATURES[4], FEATURES[7]] {
        let made = Made::new(arguments, 150);
        let resize = |megabytes: u64| {
            e2fsck(&made.path(), "before");
            let mut resize = oracle::command("resize2fs");
            resize.arg("-f").arg(made.path()).arg(format!("{megabytes}M"));
            oracle::run(&mut resize);
            e2fsck(&made.path(), &format!("{arguments:?}, resize2fs to {megabytes}"));
        };
        resize(400);
        for (megabytes, journaled) in [(700, true), (1500, false)] {
            grow(&made.path(), megabytes * MIB, journaled).unwrap();
            e2fsck(&made.path(), &format!("{arguments:?}, {megabytes}"));
        }
        resize(3000);
        grow(&made.path(), 12_000 * MIB, true).unwrap();
        e2fsck(&made.path(), &format!("{arguments:?}, 12000"));
        resize(20_000);
        used(&made.path(), "in the end");
    }
}

/// What this crate does not grow it leaves as it is, and says why.
#[test]
fn not_grown() {
    if !oracle::available(&["mke2fs", "e2fsck"]) {
        return;
    }
    let features: [(&[&str], &str); 9] = [
        (&["-t", "ext4", "-O", "meta_bg,^resize_inode"], "meta_bg"),
        (&["-t", "ext4", "-O", "bigalloc"], "bigalloc"),
        (&["-t", "ext4", "-O", "sparse_super2"], "sparse_super2"),
        (&["-t", "ext4", "-O", "mmp"], "mmp"),
        (&["-t", "ext4", "-O", "^sparse_super,^resize_inode"], "without sparse_super"),
        (&["-t", "ext4", "-O", "^metadata_csum,^uninit_bg"], "without checksums"),
        (&["-t", "ext4", "-b", "4096", "-g", "8192"], "with groups of fewer blocks"),
        (&["-t", "ext2"], "without checksums"),
        (&["-t", "ext4", "-E", "resize=300M"], "can grow to"),
    ];
    for (arguments, says) in features {
        let made = Made::new(arguments, 70);
        let file = open(&made.path());
        let before = fs::read(made.path()).unwrap();
        let error = Grow::plan(&file, 900 << 30).unwrap_err();
        assert!(error.to_string().contains(says), "{arguments:?}: {error}");
        assert!(
            matches!(
                error,
                GrowError::UnknownFeatures { .. }
                    | GrowError::UnknownLayout { .. }
                    | GrowError::PastReservation { .. }
            ),
            "{error:?}"
        );
        assert_eq!(fs::read(made.path()).unwrap(), before);
    }
}

/// A machine was stopped while it was mounted: its journal is its own.
#[test]
fn a_machines_journal_is_not_touched() {
    if !oracle::root() || !oracle::available(&["mke2fs", "e2fsck", "mount", "cp", "debugfs"]) {
        return;
    }
    let made = Made::new(FEATURES[0], 200);
    let mount = LoopMount::read_write(&made.path());
    fs::write(mount.path().join("new"), vec![1; 1 << 20]).unwrap();
    rustix::fs::syncfs(fs::File::open(mount.path()).unwrap()).unwrap();
    let stopped = made.path().with_extension("stopped");
    oracle::run(oracle::command("cp").arg(made.path()).arg(&stopped));
    mount.unmount();
    let written = made.path().with_extension("written");
    oracle::run(oracle::command("cp").arg(made.path()).arg(&written));
    // A journal with a transaction that debugfs wrote.
    let block = made.path().with_extension("block");
    fs::write(&block, vec![5; 4096]).unwrap();
    let commands = made.path().with_extension("commands");
    fs::write(&commands, format!("jo\njw -b 40000 {}\njc\n", block.display())).unwrap();
    oracle::run(oracle::command("debugfs").arg("-w").arg("-f").arg(&commands).arg(&written));
    for image in [stopped, written] {
        let file = open(&image);
        assert_eq!(inspect(&file).unwrap().state, State::NeedsRecovery, "{}", image.display());
        let before = fs::read(&image).unwrap();
        assert_eq!(finish_grow(&file, true).unwrap(), offshoot_ext4::Finished::Nothing);
        let error = Grow::plan(&file, 400 * MIB).unwrap_err();
        assert!(matches!(error, GrowError::NotClean { state: State::NeedsRecovery }), "{error:?}");
        // Of its own size already: there is nothing to do.
        assert!(!Grow::plan(&file, 200 * MIB).unwrap().grows());
        assert_eq!(fs::read(&image).unwrap(), before);
    }
}
