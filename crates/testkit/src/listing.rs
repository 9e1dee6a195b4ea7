use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Sha256, sha256_file};

/// Everything below a directory, by its path relative to it; the directory itself is the empty path.
///
/// Paths, link targets, names and values of extended attributes are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing(BTreeMap<Vec<u8>, Entry>);

/// What kind of thing an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
}

/// One path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its type.
    pub kind: Kind,
    /// Its permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// In bytes; of files and symbolic links alone, since a directory's size is the filesystem's affair.
    pub size: Option<u64>,
    /// When its contents last changed: seconds since 1970, nanoseconds.
    pub mtime: (i64, i64),
    /// How many names it has; not of directories.
    pub links: Option<u64>,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    /// Every extended attribute with its raw value, `system.posix_acl_*` too.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Of a file's contents.
    pub sha256: Option<Sha256>,
    /// Where a symbolic link leads.
    pub target: Option<Vec<u8>>,
    /// The first path, in byte order, of those that name the same inode; none for a single name.
    pub same_as: Option<Vec<u8>>,
}

/// What [`Listing::differences`] leaves out. Each needs its reason where it is used.
#[derive(Clone, Debug, Default)]
pub struct Ignore<'a> {
    /// Paths that are not compared, with all below them.
    pub paths: &'a [&'a str],
    /// Extended attributes that are not compared.
    pub xattrs: &'a [&'a str],
    /// Paths whose `mtime` is not compared; `""` is the root.
    pub mtime_of: &'a [&'a str],
    /// Compares `mtime` by the second alone.
    pub nanoseconds: bool,
}

impl Listing {
    /// Lists a directory; other filesystems mounted in it are listed with it.
    pub fn of(directory: &Path) -> Self {
        let mut found = Vec::new();
        walk(directory, PathBuf::new(), &mut found);
        let mut names: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
        for (path, metadata) in &found {
            if !metadata.is_dir() && metadata.nlink() > 1 {
                let path = path.as_os_str().as_bytes();
                let first = names.entry((metadata.dev(), metadata.ino())).or_insert_with(|| path.to_owned());
                if path < first.as_slice() {
                    path.clone_into(first);
                }
            }
        }
        // Contents are read by several threads; of the names of one inode, only by way of the first.
        let (next, entries) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some((path, metadata)) = found.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let same_as = names.get(&(metadata.dev(), metadata.ino())).cloned();
                        let entry = Entry::of(directory, path, metadata, same_as);
                        let path = path.as_os_str().as_bytes().to_owned();
                        entries.lock().unwrap_or_else(|error| panic!("{error}")).insert(path, entry);
                    }
                });
            }
        });
        let mut entries = entries.into_inner().unwrap_or_else(|error| panic!("{error}"));
        let digests: Vec<(Vec<u8>, Option<Sha256>)> = entries
            .iter()
            .filter(|(path, entry)| entry.same_as.as_ref().is_some_and(|first| first != *path))
            .map(|(path, entry)| {
                let first = entry.same_as.as_ref().and_then(|first| entries.get(first));
                (path.clone(), first.and_then(|first| first.sha256))
            })
            .collect();
        for (path, sha256) in digests {
            if let Some(entry) = entries.get_mut(&path) {
                entry.sha256 = sha256;
            }
        }
        Self(entries)
    }

    /// The entries in byte order of their paths.
    pub fn entries(&self) -> &BTreeMap<Vec<u8>, Entry> {
        &self.0
    }

    /// How the other listing differs from this one: a line for each path and field, empty where nothing does.
    pub fn differences(&self, other: &Self, ignore: &Ignore<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, left) in &self.0 {
            if ignore.skips(path) {
                continue;
            }
            match other.0.get(path) {
                None => lines.push(format!("{}: only on the left ({:?})", show(path), left.kind)),
                Some(right) => left.compare(right, path, ignore, &mut lines),
            }
        }
        for (path, right) in &other.0 {
            if !self.0.contains_key(path) && !ignore.skips(path) {
                lines.push(format!("{}: only on the right ({:?})", show(path), right.kind));
            }
        }
        lines
    }

    /// Panics with the first differences, if there are any.
    pub fn assert_same(&self, other: &Self, ignore: &Ignore<'_>) {
        let lines = self.differences(other, ignore);
        let shown = &lines[..lines.len().min(40)];
        assert!(lines.is_empty(), "{} differences (left, right):\n{}", lines.len(), shown.join("\n"));
        assert!(!self.0.is_empty() && !other.0.is_empty(), "nothing was compared");
    }
}

impl Ignore<'_> {
    fn skips(&self, path: &[u8]) -> bool {
        self.paths.iter().any(|skipped| {
            path.strip_prefix(skipped.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        })
    }
}

impl Entry {
    fn of(directory: &Path, path: &Path, metadata: &Metadata, same_as: Option<Vec<u8>>) -> Self {
        let full = if path.as_os_str().is_empty() { directory.to_owned() } else { directory.join(path) };
        let kind = Kind::of(metadata);
        let first = same_as.as_deref().is_none_or(|first| first == path.as_os_str().as_bytes());
        let device = matches!(kind, Kind::CharacterDevice | Kind::BlockDevice)
            .then(|| (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev())));
        Self {
            kind,
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            size: matches!(kind, Kind::File | Kind::Symlink).then_some(metadata.size()),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            links: (kind != Kind::Directory).then_some(metadata.nlink()),
            device,
            xattrs: xattrs(&full),
            sha256: (kind == Kind::File && first).then(|| sha256_file(&full)),
            target: (kind == Kind::Symlink).then(|| {
                std::fs::read_link(&full)
                    .unwrap_or_else(|error| fail(&full, &error))
                    .into_os_string()
                    .into_vec()
            }),
            same_as,
        }
    }

    fn compare(&self, other: &Self, path: &[u8], ignore: &Ignore<'_>, lines: &mut Vec<String>) {
        let mut check = |field: &str, left: String, right: String| {
            if left != right {
                lines.push(format!("{}: {field}: {left}, {right}", show(path)));
            }
        };
        let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let bytes = |value: &Option<Vec<u8>>| value.as_deref().map_or_else(|| "-".to_owned(), show);
        check("kind", format!("{:?}", self.kind), format!("{:?}", other.kind));
        check("mode", format!("{:04o}", self.mode), format!("{:04o}", other.mode));
        check("uid", self.uid.to_string(), other.uid.to_string());
        check("gid", self.gid.to_string(), other.gid.to_string());
        check("size", number(self.size), number(other.size));
        if !ignore.mtime_of.iter().any(|ignored| ignored.as_bytes() == path) {
            let time = |(seconds, nanoseconds): (i64, i64)| {
                format!("{seconds}.{:09}", if ignore.nanoseconds { 0 } else { nanoseconds })
            };
            check("mtime", time(self.mtime), time(other.mtime));
        }
        check("links", number(self.links), number(other.links));
        check("device", format!("{:?}", self.device), format!("{:?}", other.device));
        check("sha256", format!("{:?}", self.sha256), format!("{:?}", other.sha256));
        check("target", bytes(&self.target), bytes(&other.target));
        check("same inode as", bytes(&self.same_as), bytes(&other.same_as));
        let xattrs = |entry: &Self| {
            let kept = entry.xattrs.iter().filter(|(name, _)| {
                !ignore.xattrs.iter().any(|ignored| ignored.as_bytes() == name.as_slice())
            });
            kept.map(|(name, value)| format!("{}={}", show(name), show(value))).collect::<Vec<_>>().join(" ")
        };
        check("xattrs", xattrs(self), xattrs(other));
    }
}

impl Kind {
    fn of(metadata: &Metadata) -> Self {
        use rustix::fs::FileType;
        match FileType::from_raw_mode(metadata.mode()) {
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::CharacterDevice => Self::CharacterDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            _ => Self::File,
        }
    }
}

fn walk(directory: &Path, path: PathBuf, found: &mut Vec<(PathBuf, Metadata)>) {
    let full = if path.as_os_str().is_empty() { directory.to_owned() } else { directory.join(&path) };
    let metadata = std::fs::symlink_metadata(&full).unwrap_or_else(|error| fail(&full, &error));
    if metadata.is_dir() {
        for entry in std::fs::read_dir(&full).unwrap_or_else(|error| fail(&full, &error)) {
            let entry = entry.unwrap_or_else(|error| fail(&full, &error));
            walk(directory, path.join(entry.file_name()), found);
        }
    }
    found.push((path, metadata));
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 64 * 1024];
    let length = match rustix::fs::llistxattr(path, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(error) => fail(path, &error.into()),
    };
    let mut value = vec![0; 64 * 1024];
    let mut found = BTreeMap::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = CString::new(name).unwrap_or_else(|error| panic!("{error}"));
        match rustix::fs::lgetxattr(path, &name, &mut value[..]) {
            Ok(length) => drop(found.insert(name.into_bytes(), value[..length].to_owned())),
            // A `user.` attribute on a link: the kernel lists what a disk has, and gives it to nobody.
            Err(rustix::io::Errno::NODATA) => {}
            Err(error) => fail(path, &error.into()),
        }
    }
    found
}

fn show(bytes: &[u8]) -> String {
    if bytes.is_empty() { "/".to_owned() } else { bytes.escape_ascii().to_string() }
}

fn fail(path: &Path, error: &std::io::Error) -> ! {
    panic!("cannot list {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn sample(directory: &Path) {
        fs::create_dir(directory.join("d")).unwrap();
        fs::write(directory.join("d/file"), b"one").unwrap();
        fs::hard_link(directory.join("d/file"), directory.join("b")).unwrap();
        fs::write(directory.join("single"), b"two").unwrap();
        symlink("d/file", directory.join("link")).unwrap();
        for path in ["", "d", "d/file", "single", "link"] {
            let path = directory.join(path);
            let time = rustix::fs::Timespec { tv_sec: 1, tv_nsec: 5 };
            rustix::fs::utimensat(
                rustix::fs::CWD,
                &path,
                &rustix::fs::Timestamps { last_access: time, last_modification: time },
                rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
            )
            .unwrap();
        }
    }

    #[test]
    fn every_field_counts() {
        type Change = fn(&Path);
        let changes: [(&str, Change); 7] = [
            ("single: mode", |d| {
                fs::set_permissions(d.join("single"), fs::Permissions::from_mode(0o4755)).unwrap();
            }),
            ("single: sha256", |d| fs::write(d.join("single"), b"owt").unwrap()),
            ("single: size", |d| fs::write(d.join("single"), b"three").unwrap()),
            ("link: target", |d| {
                fs::remove_file(d.join("link")).unwrap();
                symlink("d/eile", d.join("link")).unwrap();
            }),
            ("d/file: links", |d| {
                fs::remove_file(d.join("b")).unwrap();
                fs::write(d.join("b"), b"one").unwrap();
            }),
            ("single: xattrs", |d| {
                rustix::fs::lsetxattr(d.join("single"), "user.a", b"\0b", rustix::fs::XattrFlags::CREATE)
                    .unwrap();
            }),
            ("new: only on the right", |d| fs::write(d.join("new"), b"").unwrap()),
        ];
        for (expected, change) in changes {
            let (left, right) =
                (tempfile::tempdir_in("/var/tmp").unwrap(), tempfile::tempdir_in("/var/tmp").unwrap());
            sample(left.path());
            sample(right.path());
            let before = Listing::of(left.path());
            before.assert_same(&Listing::of(right.path()), &Ignore::default());
            change(right.path());
            let after = before.differences(&Listing::of(right.path()), &Ignore::default());
            assert!(after.iter().any(|line| line.starts_with(expected)), "{expected}: {after:?}");
        }
    }

    #[test]
    fn names_of_one_inode() {
        let directory = tempfile::tempdir().unwrap();
        sample(directory.path());
        let listing = Listing::of(directory.path());
        let entry = &listing.entries()[&b"d/file"[..]];
        assert_eq!(entry.same_as.as_deref(), Some(&b"b"[..]));
        assert_eq!((entry.links, entry.mtime), (Some(2), (1, 5)));
        assert_eq!(entry.sha256, Some(crate::sha256(b"one")));
        assert_eq!(listing.entries()[&b"single"[..]].same_as, None);
        let ignore = Ignore { paths: &["d", "b", "single", "link"], ..Ignore::default() };
        let empty = tempfile::tempdir().unwrap();
        let left = listing.differences(&Listing::of(empty.path()), &ignore);
        assert!(left.iter().all(|line| line.starts_with("/: ")), "{left:?}");
    }
}
