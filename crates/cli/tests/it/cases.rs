//! Commands that are stopped in the middle, by whatever means: what they need, and what they may leave.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use offshoot_testkit::layout::{Image, Layer, Layout, Tar};
use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle};
use serde_json::Value;

use crate::disks::{self, Raw};
use crate::left::{Left, files, look, look_if_any, nothing_lost};
use crate::small::{SIZE, Small, traced};

/// A command that changes something.
pub(crate) struct Case {
    /// Makes what the command needs.
    pub(crate) prepare: fn(&Small),
    /// `FILE`, `IMAGE` and `OUT` stand for paths.
    pub(crate) command: &'static [&'static str],
    /// Takes away what the command made.
    pub(crate) undo: fn(&Small),
    pub(crate) outcome: Outcome,
    /// Stopped at so many points, evenly chosen; at all of them in the long form.
    pub(crate) points: usize,
}

/// What the command leaves that was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// In the clone's disk what it held before, or what the command makes of it, always the same.
    OldOrNew,
    /// A sound filesystem of the old or the new size.
    Sound,
    /// As `OldOrNew`, but what it held before is damaged.
    NewOrDamaged,
    /// Of all files that the command makes, always the same, each entry of the store as a whole or not at all.
    Whole,
    /// As `Whole`, but what is there before is damaged in part; that is replaced, or gone, and then in quarantine.
    Mended,
}

impl Outcome {
    /// Whether it is told by all files, not by a clone.
    pub(crate) fn is_of_files(self) -> bool {
        matches!(self, Self::Whole | Self::Mended)
    }
}

impl Case {
    /// The command's words for this store.
    pub(crate) fn words(&self, small: &Small) -> Vec<String> {
        let path = |name: &str| small.directory.join(name).display().to_string();
        let words = self.command.iter().map(|&word| match word {
            "FILE" => path("import.ext4"),
            "IMAGE" => format!("oci:{}:x", path("layout")),
            "OUT" => path("out/of-it"),
            word => word.to_owned(),
        });
        words.collect()
    }

    /// Whether a command is done for good that has left this: what is outside of the store it does not write again, and what is
    /// removed it does not find.
    pub(crate) fn done(&self, left: &Left, made: &Left) -> bool {
        let once = self.command.contains(&"OUT") || self.command.first() == Some(&"remove");
        once && left == made
    }

    /// Takes away what the command made, and what else was made of what it made.
    pub(crate) fn undo(&self, small: &Small, before: &Left) {
        if self.outcome == Outcome::Mended {
            nothing_lost(small, before);
        }
        (self.undo)(small);
        if self.outcome.is_of_files() {
            let now = files(&small.directory);
            for path in now.keys().filter(|path| !before.files.contains_key(*path)) {
                fs::remove_file(small.directory.join(path)).unwrap();
            }
            for area in ["store/layers", "store/templates", "store/clones", "out"] {
                for entry in fs::read_dir(small.directory.join(area)).into_iter().flatten().flatten() {
                    let path = entry.path();
                    let kept = |known: &String| small.directory.join(known).starts_with(&path);
                    if !before.files.keys().any(kept) {
                        fs::remove_dir_all(path).unwrap();
                    }
                }
            }
        }
    }
}

/// A store on a new filesystem, or on the one where everything else is.
pub(crate) fn on_filesystem(filesystem: Option<Filesystem>, with: impl FnOnce(&Small, &str)) {
    if !oracle::available(&["strace"]) || !oracle::available(&disks::ORACLES) {
        return;
    }
    match filesystem {
        None => with(&Small::new(), "here"),
        Some(filesystem) if filesystem.available() => {
            let scratch = ScratchFilesystem::new(filesystem, 2 << 30);
            with(&Small::within(scratch.path()), filesystem.name());
        }
        Some(_) => {}
    }
}

/// Runs a case undisturbed, and undoes it: what it makes, and the trace of its system calls.
pub(crate) fn rehearse(case: &Case, small: &Small, program: &Command, options: &[&str]) -> (Left, String) {
    let trace = trace_file(small);
    (case.prepare)(small);
    let prepared = look_if_any(small, case, "untouched");
    oracle::run(&mut traced(program, &trace, options));
    let made = look(small, case, "untouched");
    small.nothing_unfinished("untouched");
    case.undo(small, &prepared);
    (made, fs::read_to_string(&trace).unwrap())
}

pub(crate) fn trace_file(small: &Small) -> PathBuf {
    small.directory.join("trace")
}

pub(crate) fn soak() -> bool {
    std::env::var_os("OFFSHOOT_SOAK").is_some()
}

fn nothing(_: &Small) {}

fn release(small: &Small) {
    small.store.run(&["release", "vm"]);
}

/// A clone in which its VM has written.
fn used(small: &Small, options: &[&str]) {
    let disk = small.clone("vm", options);
    disks::scribble(&disk, SIZE, 5);
}

/// Takes away all templates but the first; nobody has the store open.
fn forget(small: &Small, name: &str) {
    let base = small.template.parent();
    for entry in fs::read_dir(small.store.path.join("templates")).unwrap() {
        let template = entry.unwrap().path();
        if Some(template.as_path()) != base {
            fs::remove_dir_all(template).unwrap();
        }
    }
    let _ = fs::remove_file(small.store.path.join("names").join(name).with_extension("json"));
}

pub(crate) const CLONE: Case = Case {
    prepare: nothing,
    command: &["clone", "base", "vm"],
    undo: release,
    outcome: Outcome::OldOrNew,
    points: 20,
};

pub(crate) const SNAPSHOT: Case = Case {
    prepare: |small| {
        let expected = small.directory.join("snapshot.raw");
        if !expected.exists() {
            used(small, &[]);
            let raw = Raw::of(&small.store.path.join("clones/vm/rootfs.ext4"), small.directory.join("raw"));
            fs::rename(raw.path(), expected).unwrap();
        }
    },
    command: &["snapshot", "vm", "name"],
    undo: |small| forget(small, "name"),
    ..CLONE
};

pub(crate) const CLONE_BY_COPY: Case =
    Case { command: &["clone", "base", "vm", "--strategy", "copy"], ..CLONE };

pub(crate) const CLONE_BY_OVERLAY: Case =
    Case { command: &["clone", "base", "vm", "--strategy", "qcow2", "--size", "40M"], ..CLONE };

pub(crate) const CLONE_BY_HARD_LINK: Case =
    Case { command: &["clone", "base", "vm", "--strategy", "hardlink", "--read-only"], ..CLONE };

pub(crate) const CLONE_OF_ANOTHER_SIZE_AND_UUID: Case = Case {
    command: &["clone", "base", "vm", "--size", "1G", "--fresh-uuid"],
    outcome: Outcome::Sound,
    ..CLONE
};

pub(crate) const CLONE_THAT_IS_NOT_SYNCED: Case =
    Case { command: &["clone", "base", "vm", "--ephemeral", "--read-only"], ..CLONE };

pub(crate) const CLONE_WITH_FILES_OF_ITS_OWN: Case =
    Case { command: &["clone", "base", "vm", "--inject", "/bin/sh:/bin/sh"], points: 25, ..CLONE };

pub(crate) const CLONE_IN_THE_PLACE_OF_A_DAMAGED_ONE: Case = Case {
    prepare: |small| {
        let disk = small.clone("vm", &["--strategy", "qcow2"]);
        fs::File::options().write(true).open(disk).unwrap().write_all_at(b"none", 0).unwrap();
    },
    command: &["clone", "base", "vm", "--strategy", "qcow2", "--recreate"],
    outcome: Outcome::NewOrDamaged,
    ..CLONE
};

pub(crate) const GROW_IN_PLACE: Case = Case {
    prepare: |small| used(small, &[]),
    command: &["grow", "vm", "1G"],
    outcome: Outcome::Sound,
    points: 20,
    ..CLONE
};

pub(crate) const GROW_INSIDE_AN_OVERLAY: Case = Case {
    // What is written then has its place in the overlay already: nothing is hidden until a table says so.
    prepare: |small| {
        used(small, &["--strategy", "qcow2"]);
        small.store.run(&["grow", "vm", "40M"]);
    },
    command: &["grow", "vm", "1G"],
    outcome: Outcome::Sound,
    points: 20,
    ..CLONE
};

pub(crate) const GROW_ON_A_COPY: Case = Case {
    prepare: |small| {
        small.store.run(&["build", "scratch:", "--no-journal", "--size", "16M", "--name", "plain"]);
        small.store.run(&["clone", "plain", "vm"]);
    },
    command: &["grow", "vm", "40M"],
    outcome: Outcome::OldOrNew,
    ..CLONE
};

pub(crate) const RESET: Case = Case { prepare: |small| used(small, &[]), command: &["reset", "vm"], ..CLONE };

pub(crate) const RESET_OF_A_GROWN_OVERLAY: Case = Case {
    prepare: |small| {
        used(small, &["--strategy", "qcow2"]);
        small.store.run(&["grow", "vm", "40M"]);
    },
    command: &["reset", "vm"],
    ..CLONE
};

pub(crate) const RELEASE_OF_A_CLONE: Case =
    Case { prepare: |small| used(small, &[]), command: &["release", "vm"], undo: nothing, ..CLONE };

pub(crate) const SNAPSHOT_OF_AN_OVERLAY: Case = Case {
    prepare: |small| {
        let expected = small.directory.join("snapshot.raw");
        if !expected.exists() {
            used(small, &["--strategy", "qcow2"]);
            let disk = small.store.path.join("clones/vm/rootfs.qcow2");
            let raw = Raw::of(&disk, small.directory.join("raw"));
            fs::rename(raw.path(), expected).unwrap();
        }
    },
    ..SNAPSHOT
};

pub(crate) const IMPORT: Case = Case {
    prepare: |small| {
        let file = small.directory.join("import.ext4");
        if !file.exists() {
            oracle::run(oracle::command("cp").arg(&small.template).arg(&file));
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            disks::scribble(&file, SIZE, 9);
        }
    },
    command: &["import", "name", "FILE"],
    undo: |small| forget(small, "name"),
    ..CLONE
};

/// An image of two layers that no other case has.
fn image(small: &Small) {
    let layout = small.directory.join("layout");
    if !layout.exists() {
        let first = Tar::new().directory("etc", 0o755).file("etc/motd", 0o640, &[7; 100_000]).finish();
        let mut second = Tar::new();
        second.file("large", 0o4755, &[9; 200_000]).file("etc/.wh.motd", 0, b"");
        let second = second.symlink("soft", "large").hard_link("hard", "large").finish();
        let image = Image::new().layer(Layer::gzip(&first)).layer(Layer::zstd(&second));
        Layout::create(&layout).add("x", &image);
        fs::create_dir(small.directory.join("out")).unwrap();
    }
}

pub(crate) const PULL: Case =
    Case { prepare: image, command: &["pull", "IMAGE"], undo: nothing, outcome: Outcome::Whole, points: 20 };

pub(crate) const BUILD: Case = Case { command: &["build", "IMAGE", "--name", "name"], ..PULL };

pub(crate) const BUILD_TO_A_FILE: Case = Case {
    prepare: |small| {
        image(small);
        small.store.run(&["build", &BUILD.words(small)[1]]);
    },
    command: &["build", "IMAGE", "-o", "OUT"],
    ..PULL
};

pub(crate) const UNPACK: Case = Case { command: &["unpack", "IMAGE", "OUT"], ..PULL };

pub(crate) const CLONE_AS_A_DIRECTORY: Case =
    Case { command: &["clone", "base", "vm", "--as", "dir"], undo: release, ..PULL };

/// A template that nobody needs: its name has moved on, and it is older than the grace period.
fn unneeded(small: &Small) {
    image(small);
    let import = small.directory.join("unneeded.ext4");
    if !import.exists() {
        oracle::run(oracle::command("cp").arg("--no-preserve=mode").arg(&small.template).arg(&import));
        disks::scribble(&import, SIZE, 3);
    }
    small.store.run(&["import", "moving", import.to_str().unwrap()]);
    small.store.run(&["import", "moving", small.template.to_str().unwrap()]);
    small.store.run(&["pull", &PULL.words(small)[1]]);
    small.store.run(&["remove", &PULL.words(small)[1]]);
}

pub(crate) const COLLECT: Case = Case { prepare: unneeded, command: &["gc", "-q", "--grace", "0s"], ..PULL };

pub(crate) const REMOVE: Case = Case {
    prepare: |small| {
        image(small);
        small.store.run(&["build", &PULL.words(small)[1], "--name", "name"]);
    },
    command: &["remove", "IMAGE"],
    ..PULL
};

/// Changes a byte of a file that keeps its mode.
fn damage(path: &Path, offset: u64) {
    let mode = path.metadata().unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 4], offset).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

fn only(directory: &Path) -> PathBuf {
    let mut entries = fs::read_dir(directory).unwrap();
    let path = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none(), "{}", directory.display());
    path
}

fn forget_quarantine(small: &Small) {
    release(small);
    for entry in fs::read_dir(small.store.path.join("quarantine")).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
}

pub(crate) const REPAIR: Case = Case {
    // The template, its pack and its manifest, and a mode; a clone is a link to the template.
    prepare: |small| {
        small.clone("vm", &["--strategy", "hardlink", "--read-only"]);
        damage(&small.template, 12 << 20);
        damage(&only(&small.store.path.join("layers")).join("data"), 5000);
        let image: Value =
            serde_json::from_slice(&fs::read(only(&small.store.path.join("images"))).unwrap()).unwrap();
        let (_, manifest) = image["manifest_digest"].as_str().unwrap().split_once(':').unwrap();
        damage(&small.store.path.join("blobs/sha256").join(manifest), 20);
        fs::set_permissions(small.store.path.join("names"), fs::Permissions::from_mode(0o755)).unwrap();
    },
    command: &["verify", "--repair"],
    undo: forget_quarantine,
    outcome: Outcome::Mended,
    points: 25,
};

pub(crate) const QUARANTINE: Case = Case {
    // A clone and a name whose records are not believed, a pack, and something that nobody knows.
    prepare: |small| {
        let image = format!("dir:{}", small.directory.join("files").display());
        small.store.run(&["build", &image, "--size", "16M", "--name", "other"]);
        small.clone("vm", &["--strategy", "qcow2"]);
        for record in ["names/other.json", "clones/vm/clone.json"] {
            let mut file = fs::File::options().append(true).open(small.store.path.join(record)).unwrap();
            file.write_all(b" ").unwrap();
        }
        damage(&only(&small.store.path.join("layers")).join("data"), 5000);
        fs::write(small.store.path.join("layers/stray"), "whose?").unwrap();
    },
    command: &["verify", "--quarantine"],
    ..REPAIR
};
