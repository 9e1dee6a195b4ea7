//! Files of the host that an image might want, and a look at them afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use offshoot_testkit::{memory_directory, oracle};
use tempfile::TempDir;

/// Where a hostile image is tried: a store and a place to unpack to, and beside them, above them, in the working
/// directory and in that for temporary files, what must stay as it is.
#[derive(Debug)]
pub(crate) struct Ground {
    directory: TempDir,
    before: BTreeMap<PathBuf, Seen>,
}

/// What changes when somebody touches a file. Reading it changes nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    links: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
    contents: Vec<u8>,
}

/// What the commands themselves make and remove, and so change the times of.
const WORKED_IN: [&str; 4] = ["", "stores", "out", "sources"];

impl Ground {
    pub(crate) fn new() -> Self {
        let directory = memory_directory();
        for place in ["victim/dir", "work", "tmp", "stores", "out", "sources"] {
            let place = directory.path().join(place);
            fs::create_dir_all(&place).unwrap();
            bait(&place);
        }
        bait(directory.path());
        bait(&directory.path().join("victim"));
        let mut ground = Self { directory, before: BTreeMap::new() };
        ground.before = ground.look();
        ground
    }

    fn at(&self, place: &str) -> PathBuf {
        self.directory.path().join(place)
    }

    /// The directory that images are after.
    pub(crate) fn victim(&self) -> PathBuf {
        self.at("victim")
    }

    /// The directory to be in.
    pub(crate) fn work(&self) -> PathBuf {
        self.at("work")
    }

    /// The place for temporary files.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.at("tmp")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.at("stores/store")
    }

    /// Where an image is unpacked to.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.at("out/rootfs")
    }

    /// Where an image is built to.
    pub(crate) fn disk(&self) -> PathBuf {
        self.at("out/disk")
    }

    /// An empty directory for the image.
    pub(crate) fn source(&self) -> PathBuf {
        let place = self.at("sources/source");
        remove(&place);
        fs::create_dir(&place).unwrap();
        place
    }

    /// Takes away what a command has made.
    pub(crate) fn clear(&self) {
        for place in [self.store(), self.rootfs(), self.disk()] {
            remove(&place);
        }
    }

    /// Nothing was touched but the store and what the command was to make, which is taken away.
    pub(crate) fn check(&self, what: &str) {
        self.clear();
        remove(&self.at("sources/source"));
        let after = self.look();
        for (path, before) in &self.before {
            assert_eq!(after.get(path), Some(before), "{what}: {}", path.display());
        }
        let new: Vec<_> = after.keys().filter(|path| !self.before.contains_key(*path)).collect();
        assert!(new.is_empty(), "{what}: {new:?}");
    }

    fn look(&self) -> BTreeMap<PathBuf, Seen> {
        let mut seen = BTreeMap::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(path) = pending.pop() {
            let full = self.directory.path().join(&path);
            let metadata = full.symlink_metadata().unwrap();
            if metadata.is_dir() {
                let entries = fs::read_dir(&full).unwrap();
                pending.extend(entries.map(|entry| path.join(entry.unwrap().file_name())));
            }
            let contents = if metadata.is_file() {
                fs::read(&full).unwrap()
            } else if metadata.is_symlink() {
                fs::read_link(&full).unwrap().as_os_str().as_bytes().to_owned()
            } else {
                Vec::new()
            };
            let worked_in = WORKED_IN.iter().any(|place| path == Path::new(place));
            let time = |seconds, nanoseconds| if worked_in { (0, 0) } else { (seconds, nanoseconds) };
            let one = Seen {
                inode: metadata.ino(),
                mode: metadata.mode(),
                owner: (metadata.uid(), metadata.gid()),
                links: if worked_in { 0 } else { metadata.nlink() },
                size: if metadata.is_dir() { 0 } else { metadata.size() },
                mtime: time(metadata.mtime(), metadata.mtime_nsec()),
                ctime: time(metadata.ctime(), metadata.ctime_nsec()),
                contents,
            };
            seen.insert(path, one);
        }
        seen
    }
}

/// What is worth stealing, breaking and following.
fn bait(place: &Path) {
    let precious = place.join("precious");
    fs::write(&precious, b"precious").unwrap();
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("precious", place.join("link")).unwrap();
}

/// However deep it is.
fn remove(path: &Path) {
    let Ok(metadata) = path.symlink_metadata() else { return };
    let removed = if metadata.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if removed.is_err() {
        // It has more directories below each other than can be open at once.
        oracle::run(oracle::command("rm").arg("-rf").arg(path));
    }
}
