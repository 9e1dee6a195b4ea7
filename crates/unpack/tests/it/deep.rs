//! Deep and wide trees take neither files nor stack.

use std::fs::File;

use offshoot_store::remove_tree;
use offshoot_testkit::oracle;
use offshoot_tree::{Leaf, Metadata, Timestamp};
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::check::{Directory, overriding};
use crate::sample::{metadata, sample};

const LEVELS: usize = 10_000;
/// How few files may be open when the first test runs once more.
const FEW_FILES: &str = "--nofile=100:100";

#[test]
fn a_deep_tree_comes_and_goes() {
    let sample = sample(|layer| {
        let mtime = Timestamp { seconds: 5, nanoseconds: 6 };
        let deepest = "d/".repeat(LEVELS);
        layer.leaf(&format!("{deepest}file"), Metadata { mtime, ..metadata() }, Leaf::Fifo);
        layer.link("link", &format!("{deepest}file"));
        layer.directory(&format!("{deepest}closed"), Metadata { mode: 0, mtime, ..metadata() });
        // A directory with more than one child at many levels.
        for level in (0..LEVELS).step_by(100) {
            layer.file(&format!("{}e/file", "d/".repeat(level)), b"x");
            layer.link(&format!("{}e/link", "d/".repeat(level)), "e/file");
        }
    });
    let directory = Directory::new();
    let summary = directory.unpack(&sample, &overriding()).unwrap();
    assert_eq!(summary.directories, LEVELS as u64 + 2 + LEVELS as u64 / 100);
    let mut at = File::open(&directory.path).unwrap();
    for _ in 0..LEVELS {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        at = rustix::fs::openat(&at, "d", flags, Mode::empty()).unwrap().into();
    }
    for name in ["file", "closed"] {
        let stat = rustix::fs::statat(&at, name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        assert_eq!((stat.st_mtime, stat.st_mtime_nsec), (5, 6));
    }
    drop(at);
    remove_tree(&directory.path).unwrap();
    assert!(!directory.path.exists());
}

#[test]
fn many_in_one_directory() {
    let sample = sample(|layer| {
        for number in 0..100_000 {
            layer.leaf(&format!("d/{number}"), metadata(), Leaf::Symlink(b"x"[..].into()));
        }
        for number in 0..1000 {
            layer.directory(&format!("e/{number}/f"), metadata());
        }
    });
    let directory = Directory::new();
    let summary = directory.unpack(&sample, &overriding()).unwrap();
    assert_eq!((summary.symlinks, summary.directories), (100_000, 2003));
    assert_eq!(std::fs::read_dir(directory.path.join("d")).unwrap().count(), 100_000);
    remove_tree(&directory.path).unwrap();
}

#[test]
fn with_few_open_files() {
    if !oracle::available(&["prlimit"]) {
        return;
    }
    let mut prlimit = oracle::command("prlimit");
    prlimit.arg(FEW_FILES).arg(std::env::current_exe().unwrap());
    let printed = oracle::run(prlimit.args(["--exact", "deep::a_deep_tree_comes_and_goes"]));
    assert!(printed.contains("1 passed"), "{printed}");
}
