//! What a clone's disk holds, as programs of others see it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use offshoot_testkit::{Sha256, oracle, sha256_file};

/// Programs that the judgements here need.
pub(crate) const ORACLES: [&str; 5] = ["e2fsck", "dumpe2fs", "qemu-img", "qemu-io", "cp"];

/// The guest's view of a disk as a file of its own, removed when dropped.
#[derive(Debug)]
pub(crate) struct Raw(PathBuf);

impl Raw {
    pub(crate) fn of(disk: &Path, copy: PathBuf) -> Self {
        if is_overlay(disk) {
            // Clusters that nothing refers to are a leak (3), and lose nothing.
            let mut check = oracle::command("qemu-img");
            check.args(["check", "-f", "qcow2"]).arg(disk);
            let output = oracle::output(&mut check);
            assert!(matches!(output.status.code(), Some(0 | 3)), "{}", oracle::describe(&check, &output));
            let mut convert = oracle::command("qemu-img");
            oracle::run(convert.args(["convert", "-f", "qcow2", "-O", "raw"]).arg(disk).arg(&copy));
        } else {
            oracle::run(
                oracle::command("cp").args(["--sparse=auto", "--no-preserve=mode"]).arg(disk).arg(&copy),
            );
        }
        Self(copy)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn digest(&self) -> Sha256 {
        sha256_file(&self.0)
    }

    /// The filesystem is sound once its journal was replayed, and nothing else was repaired; its size in bytes then.
    pub(crate) fn sound(&self, what: &str) -> u64 {
        // With -f it would go on, and repair.
        let mut replay = oracle::command("e2fsck");
        replay.args(["-y", "-E", "journal_only"]).arg(&self.0);
        let output = oracle::output(&mut replay);
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{what}: {}",
            oracle::describe(&replay, &output)
        );
        let mut check = oracle::command("e2fsck");
        check.arg("-fn").arg(&self.0);
        let output = oracle::output(&mut check);
        assert!(output.status.success(), "{what}: {}", oracle::describe(&check, &output));
        filesystem_bytes(&self.0)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub(crate) fn is_overlay(disk: &Path) -> bool {
    disk.extension().is_some_and(|extension| extension == "qcow2")
}

/// The size that the superblock of a raw disk says.
pub(crate) fn filesystem_bytes(disk: &Path) -> u64 {
    let header = oracle::run(oracle::command("dumpe2fs").arg("-h").arg(disk));
    let field = |name: &str| -> u64 {
        let value = header.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        value.trim().parse().unwrap()
    };
    field("Block count:") * field("Block size:")
}

/// Writes 4 KiB of a byte where the filesystem of a disk of this size has nothing, as its VM might have.
pub(crate) fn scribble(disk: &Path, size: u64, byte: u8) {
    let offset = size - 4096;
    if is_overlay(disk) {
        let write = format!("write -P {byte} {offset} 4096");
        oracle::run(oracle::command("qemu-io").args(["-f", "qcow2", "-c", &write]).arg(disk));
    } else {
        let file = File::options().write(true).open(disk).unwrap();
        file.write_all_at(&[byte; 4096], offset).unwrap();
    }
}
