//! Commands that are stopped in the middle, by whatever means: what they need, and what they may leave.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use offshoot_testkit::layout::{Image, Layer, Layout, Tar};
use offshoot_testkit::{Filesystem, ScratchFilesystem, Sha256, oracle, sha256, sha256_file};
use serde_json::Value;

use crate::disks::{self, Raw};
use crate::program::Store;
use crate::small::{SIZE, Small};

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
        (self.undo)(small);
        if self.outcome == Outcome::Whole {
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

pub(crate) fn soak() -> bool {
    std::env::var_os("OFFSHOOT_SOAK").is_some()
}

/// What there is of a clone, and of all files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) clone: Contents,
    pub(crate) files: BTreeMap<String, Sha256>,
}

impl Left {
    /// Whether this is what was there before, or what the command makes, or of each entry one of these.
    pub(crate) fn is_of(&self, outcome: Outcome, before: &Self, made: &Self) -> bool {
        let clone = match outcome {
            Outcome::Sound => true,
            // Moved aside, and not made anew yet.
            Outcome::NewOrDamaged if self.clone.is_none() => true,
            _ => self.clone == before.clone || self.clone == made.clone,
        };
        let known = |(path, digest)| [before, made].iter().any(|state| state.files.get(path) == Some(digest));
        let kept = |path| !made.files.contains_key(path) || self.files.contains_key(path);
        let whole = |path: &String| {
            let entry = entry(path);
            let of_entry = |state: &Self| state.files.keys().filter(|path| path.starts_with(entry)).count();
            [before, made].iter().any(|state| of_entry(state) == of_entry(self))
        };
        clone && self.files.iter().all(known) && before.files.keys().all(kept) && self.files.keys().all(whole)
    }
}

impl fmt::Display for Left {
    /// What would be too much for a line is told by its beginning.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "clone {:?}", self.clone)?;
        self.files.iter().try_for_each(|(path, digest)| write!(f, "\n{:.8} {path}", digest.to_string()))
    }
}

/// The directory that comes into being at once, or the file.
fn entry(path: &str) -> &str {
    let depth = match path.split('/').nth(1) {
        Some("layers" | "templates" | "clones") => 2,
        _ if path.starts_with("out/") => 1,
        _ => return path,
    };
    path.match_indices('/').nth(depth).map_or(path, |(end, _)| &path[..=end])
}

/// All files that are visible in the directory's `store` and `out`, and what is in them, except for when they were made,
/// which id was drawn, and what depends on the filesystem.
pub(crate) fn files(directory: &Path) -> BTreeMap<String, Sha256> {
    let mut files = BTreeMap::new();
    let drawn = drawn_ids(directory);
    let named = |text: &str| drawn.iter().fold(text.to_owned(), |text, (id, name)| text.replace(id, name));
    let areas = ["blobs", "images", "layers", "templates", "names", "clones"];
    let areas = areas.map(|area| directory.join("store").join(area));
    let mut directories: Vec<PathBuf> = areas.into_iter().chain([directory.join("out")]).collect();
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if entry.file_type().unwrap().is_dir() {
                // Where `unpack` works before its result gets its name.
                directories.extend((!hidden).then_some(path));
                continue;
            }
            let is_record = path.extension().is_some_and(|extension| extension == "json");
            let record = is_record.then(|| serde_json::from_slice::<Value>(&fs::read(&path).unwrap()));
            let digest = match record {
                Some(Ok(mut record)) => {
                    for field in ["created_at", "pulled_at", "strategy", "checksum", "checksums"] {
                        record.as_object_mut().unwrap().remove(field);
                    }
                    sha256(named(&record.to_string()).as_bytes())
                }
                _ => sha256_file(&path),
            };
            files.insert(named(path.strip_prefix(directory).unwrap().to_str().unwrap()), digest);
        }
    }
    files
}

/// The ids of snapshots, and what they are called here.
fn drawn_ids(directory: &Path) -> Vec<(String, String)> {
    let templates = fs::read_dir(directory.join("store/templates")).into_iter().flatten().flatten();
    let drawn = templates.filter_map(|template| {
        let record = fs::read(template.path().join("template.json")).ok()?;
        let record: Value = serde_json::from_slice(&record).ok()?;
        let vm = record["origin"]["snapshot"]["vm_id"].as_str()?.to_owned();
        Some((record["id"].as_str()?.to_owned(), format!("snapshot-of-{vm}")))
    });
    drawn.collect()
}

/// What the clone's disk holds, if there is a clone; `Some(None)` where its disk is damaged, as it may be.
pub(crate) type Contents = Option<Option<Sha256>>;

/// Everything in the store is as it was written.
pub(crate) fn verified(store: &Store, what: &str) {
    let mut verify = store.command(&["verify", "-q"]);
    let output = oracle::output(&mut verify);
    assert!(output.status.success(), "{what}: {}", oracle::describe(&verify, &output));
}

/// Looks at all that there is in the store before another command tidies it up.
pub(crate) fn look_if_any(small: &Small, case: &Case, what: &str) -> Left {
    templates_are_whole(small, what);
    // What is damaged is so on purpose.
    if case.outcome != Outcome::NewOrDamaged {
        verified(&small.store, what);
    }
    if case.outcome == Outcome::Whole {
        return Left { clone: None, files: files(&small.directory) };
    }
    Left { clone: clone(small, case, what), files: BTreeMap::new() }
}

fn clone(small: &Small, case: &Case, what: &str) -> Contents {
    let entries: Vec<_> = fs::read_dir(small.store.path.join("clones")).unwrap().flatten().collect();
    assert!(entries.len() <= 1, "{what}: {entries:?}");
    if entries.is_empty() {
        return None;
    }
    let record = small.record("vm").unwrap_or_else(|| panic!("{what}: a clone without a record"));
    let directory = small.store.path.join("clones/vm");
    let disk = directory.join(if record["format"] == "qcow2" { "rootfs.qcow2" } else { "rootfs.ext4" });
    if case.outcome == Outcome::NewOrDamaged && is_damaged(&disk) {
        return Some(None);
    }
    let writable = disk.metadata().unwrap().permissions().mode() & 0o222 != 0;
    assert_eq!(writable, record["read_only"] == false, "{what}");
    let raw = Raw::of(&disk, small.directory.join("raw"));
    let length = raw.path().metadata().unwrap().len();
    // Before the journal is replayed, which the digest must not see.
    let digest = (case.outcome != Outcome::Sound).then(|| raw.digest());
    let size = raw.sound(what);
    let sizes = [record["size_bytes"].as_u64(), record["growing_to_bytes"].as_u64()];
    assert!(sizes.contains(&Some(length)) && sizes.contains(&Some(size)), "{what}: {length} {size} {record}");
    Some(digest)
}

/// The same once the command has done its work, and the program's own list.
pub(crate) fn look(small: &Small, case: &Case, what: &str) -> Left {
    let left = look_if_any(small, case, what);
    let contents = left.clone;
    let damaged = case.outcome == Outcome::NewOrDamaged && !matches!(contents, Some(Some(_)));
    assert!(!damaged, "{what}: {contents:?}");
    let record = small.record("vm");
    assert_eq!(record.as_ref().and_then(|record| record.get("growing_to_bytes")), None, "{what}");
    let clones = small.clones();
    if case.outcome != Outcome::Whole {
        assert_eq!(clones.len(), usize::from(contents.is_some()), "{what}: {clones:?}");
    }
    if let (Some(clone), Some(record)) = (clones.first(), record) {
        assert_eq!(clone["size_bytes"], record["size_bytes"], "{what}");
        assert!(Path::new(clone["path"].as_str().unwrap()).exists(), "{what}");
    }
    left
}

fn is_damaged(disk: &Path) -> bool {
    fs::read(disk).map_or(true, |bytes| disks::is_overlay(disk) && !bytes.starts_with(b"QFI\xfb"))
}

/// Each template is there as a whole and cannot be written; each name stands for one of them.
fn templates_are_whole(small: &Small, what: &str) {
    for entry in fs::read_dir(small.store.path.join("templates")).unwrap() {
        let directory = entry.unwrap().path();
        let record: Value =
            serde_json::from_slice(&fs::read(directory.join("template.json")).unwrap()).unwrap();
        let disk = directory.join("rootfs.ext4");
        let metadata = disk.metadata().unwrap();
        assert_eq!(record["size_bytes"], metadata.len(), "{what}");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o444, "{what}");
        if record["origin"] == "imported" {
            assert_eq!(record["id"], sha256_file(&disk).to_string(), "{what}");
        } else if record["origin"].get("snapshot").is_some() {
            // All snapshots here are of the same clone.
            let raw = Raw::of(&disk, small.directory.join("template"));
            assert_eq!(raw.digest(), sha256_file(&small.directory.join("snapshot.raw")), "{what}");
        }
    }
    for entry in fs::read_dir(small.store.path.join("names")).unwrap() {
        let name: Value = serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let id = name["id"].as_str().unwrap();
        assert!(small.store.path.join("templates").join(id).is_dir(), "{what}: {name}");
    }
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
        fs::File::options().write(true).open(disk).unwrap().write_all_at(b"XXXX", 0).unwrap();
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
        let second = Tar::new().file("large", 0o4755, &[9; 200_000]).file("etc/.wh.motd", 0, b"").finish();
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
