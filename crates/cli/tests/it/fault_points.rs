//! At which system calls the disk of a command can fail it, and how.

use std::collections::{HashMap, HashSet};

/// What takes space: it can be full, or all that a user may have.
const TAKE_SPACE: [&str; 22] = [
    "openat",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "ftruncate",
    "fallocate",
    "mkdir",
    "mkdirat",
    "mknodat",
    "rename",
    "renameat2",
    "link",
    "linkat",
    "symlinkat",
    "ioctl",
    "copy_file_range",
    "fsync",
    "fdatasync",
    "fsetxattr",
    "lsetxattr",
    "syncfs",
];

/// What else asks something of the disk. Not `close`: a kernel closes in any case, strace would leave the file open, and
/// whatever lock is on it.
const USE_DISK: [&str; 22] = [
    "openat2",
    "read",
    "readv",
    "pread64",
    "preadv",
    "lseek",
    "getdents64",
    "statx",
    "newfstatat",
    "unlink",
    "unlinkat",
    "rmdir",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "utimensat",
    "flock",
    "statfs",
    "fstatfs",
    "fgetxattr",
];

/// Where these fail, what the command would have tidied up is left to a collection: they are part of that, or without them it
/// cannot be known whether what is in its place will last.
const TIDY_UP: [&str; 6] = ["unlink", "unlinkat", "rmdir", "getdents64", "openat2", "fsync"];

/// The call of that name with that number, counted from one in each thread, fails so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    call: String,
    number: u32,
    pub(crate) error: &'static str,
    /// It is one of [`TIDY_UP`], or opens what is to be synced.
    pub(crate) may_leave_staging: bool,
}

impl Fault {
    /// For strace.
    pub(crate) fn injection(&self) -> [String; 2] {
        let Self { call, number, error, .. } = self;
        [format!("trace={call}"), format!("inject={call}:error={error}:when={number}")]
    }
}

/// For strace: all calls that can fail, with the paths of their files.
pub(crate) fn calls() -> String {
    format!("trace={},{}", TAKE_SPACE.join(","), USE_DISK.join(","))
}

/// How a command can fail, of which this is the trace: at each call on something in that directory.
pub(crate) fn faults(trace: &str, directory: &str) -> Vec<Fault> {
    let mut numbers = HashMap::new();
    let synced: HashSet<&str> = trace.lines().filter_map(synced).collect();
    let mut first = HashSet::new();
    let mut faults: Vec<Fault> = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((name, arguments)) = call.trim_start().split_once('(') else { continue };
        let takes_space = TAKE_SPACE.contains(&name);
        if !takes_space && !USE_DISK.contains(&name) {
            continue;
        }
        let number = numbers.entry((thread, name)).or_insert(0);
        *number += 1;
        if !arguments.contains(directory) {
            continue;
        }
        let takes_space = match name {
            "openat" => ["O_CREAT", "O_TMPFILE"].iter().any(|flag| arguments.contains(flag)),
            "ioctl" => arguments.contains("CLONE"),
            _ => takes_space,
        };
        // All that is full is alike: the first call of each kind is enough for the second.
        let errors: &[&'static str] = match takes_space {
            true if first.insert(name) => &["EIO", "ENOSPC", "EDQUOT"],
            true => &["EIO", "ENOSPC"],
            false => &["EIO"],
        };
        let may_leave_staging =
            TIDY_UP.contains(&name) || !takes_space && synced.contains(named(arguments).unwrap_or_default());
        for &error in errors {
            let fault = Fault { call: name.to_owned(), number: *number, error, may_leave_staging };
            // Threads may come to the same.
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
    }
    faults
}

/// The path of the file or directory that is synced.
fn synced(line: &str) -> Option<&str> {
    let (_, arguments) = line.split_once(" fsync(")?;
    Some(arguments.split_once('<')?.1.split_once('>')?.0)
}

/// The path that a call names.
fn named(arguments: &str) -> Option<&str> {
    Some(arguments.split_once('"')?.1.split_once('"')?.0)
}
