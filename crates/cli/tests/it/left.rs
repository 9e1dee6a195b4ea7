//! What a command that was stopped has left: each thing as a whole, or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use offshoot_testkit::{Sha256, oracle, sha256, sha256_file};
use serde_json::Value;

use crate::cases::{Case, Outcome};
use crate::disks::{self, Raw};
use crate::program::Store;
use crate::small::Small;

/// What there is of a clone, and of all files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) clone: Contents,
    pub(crate) files: BTreeMap<String, Sha256>,
}

impl Left {
    /// Whether this is what was there before, or what the command makes, or of each entry one of these.
    pub(crate) fn is_of(&self, outcome: Outcome, before: &Self, made: &Self) -> bool {
        if outcome == Outcome::Mended {
            return self.is_mended(before, made);
        }
        let clone = match outcome {
            Outcome::Sound => true,
            // Moved aside, and not made anew yet.
            Outcome::NewOrDamaged if self.clone.is_none() => true,
            _ => self.clone == before.clone || self.clone == made.clone,
        };
        let known = |(path, digest)| [before, made].iter().any(|state| state.files.get(path) == Some(digest));
        let kept = |path| !made.files.contains_key(path) || self.files.contains_key(path);
        clone && self.files.iter().all(known) && before.files.keys().all(kept) && self.is_whole(before, made)
    }

    /// Whether all that was good is there, and of what was damaged each entry as it was, or as it should be, or not at all.
    fn is_mended(&self, before: &Self, made: &Self) -> bool {
        let good = |(path, digest)| made.files.get(path) == Some(digest);
        let of_damaged =
            |path: &str| before.files.iter().any(|file| file.0.starts_with(entry(path)) && !good(file));
        let kept =
            |(path, digest): (&String, &Sha256)| self.files.get(path) == Some(digest) || of_damaged(path);
        let known = |(path, digest)| [before, made].iter().any(|state| state.files.get(path) == Some(digest));
        before.files.iter().all(kept) && self.files.iter().all(known) && self.is_whole(before, made)
    }

    /// Whether each entry has as many files as one of these says.
    fn is_whole(&self, before: &Self, made: &Self) -> bool {
        self.files.keys().all(|path| {
            let entry = entry(path);
            let of_entry = |state: &Self| state.files.keys().filter(|path| path.starts_with(entry)).count();
            [before, made].iter().any(|state| of_entry(state) == of_entry(self))
        })
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
            let digest = digest(&path, named);
            files.insert(named(path.strip_prefix(directory).unwrap().to_str().unwrap()), digest);
        }
    }
    files
}

/// Of a file, but for what is another each time where it is a record.
fn digest(path: &Path, named: impl Fn(&str) -> String) -> Sha256 {
    let is_record = path.extension().is_some_and(|extension| extension == "json");
    let record = is_record.then(|| serde_json::from_slice::<Value>(&fs::read(path).unwrap()));
    match record {
        Some(Ok(mut record)) => {
            for field in ["created_at", "pulled_at", "strategy", "checksum", "checksums"] {
                record.as_object_mut().unwrap().remove(field);
            }
            sha256(named(&record.to_string()).as_bytes())
        }
        _ => sha256_file(path),
    }
}

/// What was damaged is in quarantine, or as it was; but a pull replaces a document that it finds damaged.
pub(crate) fn nothing_lost(small: &Small, before: &Left) {
    let mut there: BTreeSet<Sha256> = files(&small.directory).into_values().collect();
    let mut directories = vec![small.store.path.join("quarantine")];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                there.insert(digest(&path, str::to_owned));
            }
        }
    }
    let is_document = |path: &str| path.starts_with("store/blobs/") && small.directory.join(path).is_file();
    let is_lost = |(path, digest): &(&String, &Sha256)| !there.contains(digest) && !is_document(path);
    let lost: Vec<_> = before.files.iter().filter(is_lost).collect();
    assert!(lost.is_empty(), "{lost:?}");
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
    if !matches!(case.outcome, Outcome::NewOrDamaged | Outcome::Mended) {
        verified(&small.store, what);
    }
    if case.outcome.is_of_files() {
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
    if case.outcome == Outcome::Mended {
        verified(&small.store, what);
    }
    let record = small.record("vm");
    assert_eq!(record.as_ref().and_then(|record| record.get("growing_to_bytes")), None, "{what}");
    let clones = small.clones();
    if !case.outcome.is_of_files() {
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
