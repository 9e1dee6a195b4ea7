use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::durable::{self, Durability};
use crate::owner::{OWNERS, Owner};
use crate::{Area, EntryName, Error, KeyLock, RecordArea, exposure, new_private_directory, record};

const FORMAT: u32 = 1;
pub(crate) const FORMAT_FILE: &str = "offshoot.json";
const OTHER_DIRECTORIES: [&str; 7] =
    ["blobs", "blobs/sha256", "downloads", "quarantine", "tmp", "locks", OWNERS];

/// An open store. As long as it is open, what it has under way is known to be somebody's.
#[derive(Debug)]
pub struct StoreDir {
    root: PathBuf,
    /// From the first thing that is made.
    owner: OnceLock<Owner>,
}

#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
    #[serde(default)]
    compat: Vec<String>,
    #[serde(default)]
    incompat: Vec<String>,
}

impl StoreDir {
    /// Opens the store at `root`, and makes it first where there is nothing yet.
    ///
    /// Refused: a directory that holds something else, a store of another user's or one that others could change, and
    /// one whose format or incompatible features this version does not know. Nothing is ever removed by opening a store.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let root = std::path::absolute(root).map_err(Error::io("find", root))?;
        if !find(&root)? {
            create(&root)?;
        }
        Ok(Self { root, owner: OnceLock::new() })
    }

    /// Whether there is a store at `root` already; nothing is made. Refused is what [`open`](Self::open) would refuse by
    /// what is there; that a store could be made where there is none, only making it shows.
    pub fn check(root: &Path) -> Result<bool, Error> {
        find(&std::path::absolute(root).map_err(Error::io("find", root))?)
    }

    /// The store's directory, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn as_owner(&self) -> Result<&Owner, Error> {
        if let Some(owner) = self.owner.get() {
            return Ok(owner);
        }
        // Of two threads that make one, the second's goes again.
        let owner = Owner::new(&self.root)?;
        Ok(self.owner.get_or_init(|| owner))
    }

    /// All directories that a store has, the store's own first; those of entries are not among them.
    pub fn directories(&self) -> impl Iterator<Item = PathBuf> {
        std::iter::once(self.root.clone()).chain(directories().map(|directory| self.root.join(directory)))
    }

    /// The record of the store's format.
    pub fn format_file(&self) -> PathBuf {
        self.root.join(FORMAT_FILE)
    }

    /// A directory for downloads under way, which outlive whoever made them; stores made long ago may not have it.
    pub fn downloads(&self) -> PathBuf {
        self.root.join("downloads")
    }

    /// Where an entry of that name is, or would be.
    pub fn entry_path(&self, area: Area, name: &EntryName) -> PathBuf {
        self.root.join(area.directory()).join(name.as_str())
    }

    /// Where a record of that name is, or would be.
    pub fn record_path(&self, area: RecordArea, name: &EntryName) -> PathBuf {
        self.root.join(area.directory()).join(format!("{name}.json"))
    }

    /// Makes sure that entries which somebody else published last: they may be visible before they are durable.
    pub fn sync_area(&self, area: Area) -> Result<(), Error> {
        Durability::Durable.sync_directory(&self.root.join(area.directory()))
    }

    /// Whether there is an entry of that name.
    pub fn contains(&self, area: Area, name: &EntryName) -> Result<bool, Error> {
        let path = self.entry_path(area, name);
        path.try_exists().map_err(Error::io("look for", &path))
    }

    /// The record `file` within an entry; `None` where there is no such entry or no such record.
    pub fn entry_record<T: DeserializeOwned>(
        &self,
        area: Area,
        name: &EntryName,
        file: &str,
    ) -> Result<Option<T>, Error> {
        record::read(&self.entry_path(area, name).join(file))
    }

    /// Waits for the right to make the entry of that name; held until the guard is dropped.
    pub fn lock_key(&self, area: Area, name: &EntryName) -> Result<KeyLock, Error> {
        KeyLock::wait(self.key_path(area, name))
    }

    /// The same without waiting; `None` where somebody has it.
    pub fn try_lock_key(&self, area: Area, name: &EntryName) -> Result<Option<KeyLock>, Error> {
        KeyLock::take(self.key_path(area, name))
    }

    /// Waits for the right to change the record of that name; held until the guard is dropped. It is the last lock that
    /// anybody takes: who has it waits for nothing.
    pub fn lock_record(&self, area: RecordArea, name: &EntryName) -> Result<KeyLock, Error> {
        KeyLock::wait(self.lock_path(area.directory(), name))
    }

    fn key_path(&self, area: Area, name: &EntryName) -> PathBuf {
        self.lock_path(area.directory(), name)
    }

    fn lock_path(&self, area: &str, name: &EntryName) -> PathBuf {
        self.root.join("locks").join(format!("{area}-{name}"))
    }
}

/// The names in one of the store's directories, sorted; every name in a store is ASCII, others are not the store's.
pub(crate) fn list(directory: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(Error::io("list", directory))? {
        let entry = entry.map_err(Error::io("list", directory))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether there is a store; what is there and is none that can be used, or made into one, is an error.
fn find(root: &Path) -> Result<bool, Error> {
    exposure::check(root)?;
    let file = root.join(FORMAT_FILE);
    let format = match record::read(&file)? {
        Some(format) => format,
        None if !root.is_dir() || is_unfinished(root)? => return Ok(false),
        // Somebody else may have finished it, and begun to use it, while we looked.
        None => record::read(&file)?.ok_or_else(|| Error::NotAStore { path: root.to_owned() })?,
    };
    let Format { format, incompat, .. } = format;
    if format == FORMAT && incompat.is_empty() {
        return Ok(true);
    }
    let found = match incompat.as_slice() {
        [] => format.to_string(),
        features => format!("{format} with {}", features.join(", ")),
    };
    Err(Error::Format { path: root.to_owned(), found })
}

/// Makes the store's directories, and the format record last, so that a store is either whole or made anew.
fn create(root: &Path) -> Result<(), Error> {
    let parent = durable::parent(root);
    if !parent.is_dir() {
        // Whatever the umask: a store below a directory that everybody can write to is refused.
        let made = DirBuilder::new().recursive(true).mode(0o755).create(parent);
        made.map_err(Error::io("create the directory", parent))?;
    }
    private_directory(root)?;
    // What is there now may be somebody else's work.
    if find(root)? {
        return Ok(());
    }
    // It may have been made for us by others.
    fs::set_permissions(root, Permissions::from_mode(0o700)).map_err(Error::io("set the mode of", root))?;
    for directory in directories() {
        private_directory(&root.join(directory))?;
    }
    let format = Format { format: FORMAT, compat: Vec::new(), incompat: Vec::new() };
    let staged = root.join(format!(".offshoot-{}", crate::staging::unique()));
    record::write_new(&staged, &format, Durability::Durable)?;
    durable::rename(&staged, &root.join(FORMAT_FILE), Durability::Durable)?;
    Durability::Durable.sync_directory(durable::parent(root))
}

fn directories() -> impl Iterator<Item = &'static str> {
    let areas = Area::ALL.into_iter().map(Area::directory);
    areas.chain(RecordArea::ALL.into_iter().map(RecordArea::directory)).chain(OTHER_DIRECTORIES)
}

/// Whether a directory holds nothing, or no more than what is made before a store is finished: files of ours and
/// empty directories. Anything else might be somebody's.
fn is_unfinished(root: &Path) -> Result<bool, Error> {
    for entry in fs::read_dir(root).map_err(Error::io("list", root))? {
        let name = entry.map_err(Error::io("list", root))?.file_name();
        let ours = directories().any(|known| name == known)
            || name.to_str().is_some_and(|name| name.starts_with(".offshoot-"));
        if !ours {
            return Ok(false);
        }
    }
    for directory in directories() {
        let path = root.join(directory);
        if !path.is_dir() {
            continue;
        }
        let allowed = if directory == "blobs" { ["sha256"].as_slice() } else { &[] };
        for entry in fs::read_dir(&path).map_err(Error::io("list", &path))? {
            let name = entry.map_err(Error::io("list", &path))?.file_name();
            if !allowed.iter().any(|&known| name == known) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn private_directory(path: &Path) -> Result<(), Error> {
    match new_private_directory(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(Error::io("create the directory", path)(error)),
    }
}
