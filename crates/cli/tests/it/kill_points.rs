//! At which system calls a command can be stopped, so that something else is left behind.

use std::collections::HashMap;

/// Whatever changes a file, and what says that it is to last or is taken.
const CALLS: [&str; 33] = [
    "openat",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "ftruncate",
    "fallocate",
    "mkdir",
    "mkdirat",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "link",
    "linkat",
    "ioctl",
    "copy_file_range",
    "symlinkat",
    "mknodat",
    "fsetxattr",
    "lsetxattr",
    "fchown",
    "fchownat",
    "fchmod",
    "fchmodat",
    "chmod",
    "utimensat",
    "fsync",
    "fdatasync",
    "syncfs",
    "flock",
    "fcntl",
];

/// A process that dies at one of these leaves what it leaves at the next change.
const CHANGE_NOTHING: [&str; 5] = ["fsync", "fdatasync", "syncfs", "flock", "fcntl"];

/// The call of that name with that number, counted from one in each thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    call: String,
    number: u32,
}

impl Point {
    /// For strace: the process is killed as it enters the call.
    pub(crate) fn injection(&self) -> [String; 2] {
        [format!("trace={}", self.call), format!("inject={}:signal=KILL:when={}", self.call, self.number)]
    }
}

/// For strace: all calls that can be a point.
pub(crate) fn calls() -> String {
    format!("trace={}", CALLS.join(","))
}

/// Where a command can be killed, of which this is the trace: at all calls, or at those that change something.
pub(crate) fn points(trace: &str, all: bool) -> Vec<Point> {
    let mut numbers = HashMap::new();
    let mut points = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((name, arguments)) = call.trim_start().split_once('(') else { continue };
        if !CALLS.contains(&name) {
            continue;
        }
        let number = numbers.entry((thread, name)).or_insert(0);
        *number += 1;
        let point = Point { call: name.to_owned(), number: *number };
        let changes = match name {
            "openat" => arguments.contains("O_CREAT"),
            _ => all || !CHANGE_NOTHING.contains(&name),
        };
        // Threads may come to the same.
        if changes && !points.contains(&point) {
            points.push(point);
        }
    }
    points
}
