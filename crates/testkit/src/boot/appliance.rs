use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use tempfile::TempDir;

use super::cpio::Cpio;
use super::kernel::Kernel;
use crate::oracle;

/// The kernel's first process.
const INIT: &str = r"#!/bin/busybox sh
/bin/busybox mkdir -p /dev /proc /tmp /mnt
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
for module in /modules/*; do [ -f $module ] && insmod $module; done
exec </dev/console >/dev/console 2>&1
stty -echo
mount -t FILESYSTEM /dev/vda /mnt && . /script
echo 'the script is over'
umount /mnt
poweroff -f
";

/// A machine that has all it needs in memory, and a disk, mounted at `/mnt`, that it works on.
///
/// Its script runs in busybox; it is talked to over its console, a line at a time.
#[derive(Debug)]
pub struct Appliance {
    filesystem: &'static str,
    script: String,
    /// Where from, and where to, without the first `/`.
    files: Vec<(PathBuf, String)>,
}

impl Appliance {
    /// One that runs this script, with a disk of this filesystem, by the kernel's name of it.
    pub fn new(filesystem: &'static str, script: impl Into<String>) -> Self {
        Self { filesystem, script: script.into(), files: Vec::new() }
    }

    /// The same with a file of this host's, or a directory and all in it, at the same path.
    pub fn with(mut self, path: &Path) -> Self {
        if path.is_dir() {
            let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            return paths.iter().fold(self, |appliance, path| appliance.with(path));
        }
        self.files.push((path.to_owned(), path.display().to_string().trim_start_matches('/').to_owned()));
        self
    }

    /// The same with a program of this host's as `/bin/NAME`, and the libraries that it needs.
    pub fn with_program(mut self, program: &Path, name: &str) -> Self {
        let libraries = oracle::run(oracle::command("ldd").arg(program));
        let paths =
            libraries.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
        for library in paths {
            self = self.with(Path::new(library));
        }
        self.files.push((program.to_owned(), format!("bin/{name}")));
        self
    }

    /// Starts the machine, with QEMU's own arguments for its only disk.
    pub fn start(&self, disk: &[OsString]) -> Running {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let kernel = Kernel::obtain(self.filesystem);
        let initramfs = directory.path().join("initramfs");
        fs::write(&initramfs, self.initramfs(&kernel)).unwrap_or_else(|error| panic!("{error}"));
        let mut command = oracle::command("qemu-system-x86_64");
        command.args(["-M", "q35,accel=tcg", "-cpu", "max", "-m", "768"]);
        command.args(["-nic", "none", "-nographic", "-no-reboot"]);
        command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(&initramfs);
        command.args(["-append", "console=ttyS0 panic=-1 quiet"]).args(disk);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let (sender, lines) = mpsc::channel();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout?).split(b'\n') {
                let line = String::from_utf8_lossy(&line.ok()?).trim().to_owned();
                sender.send(line).ok()?;
            }
            Some(())
        });
        Running { child, stdin, lines, seen: String::new(), _directory: directory }
    }

    fn initramfs(&self, kernel: &Kernel) -> Vec<u8> {
        let read = |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let busybox = oracle::find("busybox").unwrap_or_else(|| panic!("busybox is not installed"));
        let mut cpio = Cpio::default();
        let mut file = |path: &str, mode: u32, contents: &[u8]| {
            cpio.directories(path);
            cpio.file(path, mode, contents);
        };
        file("bin/busybox", 0o755, &read(&busybox));
        for (index, module) in kernel.modules.iter().enumerate() {
            file(&format!("modules/{index:02}.ko"), 0o644, &read(module));
        }
        for (from, to) in &self.files {
            file(to, 0o755, &read(from));
        }
        file("init", 0o755, INIT.replace("FILESYSTEM", self.filesystem).as_bytes());
        file("script", 0o644, self.script.as_bytes());
        cpio.finish()
    }
}

/// An [`Appliance`] that runs; killed, as by a power cut, when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: String,
    _directory: TempDir,
}

impl Running {
    /// Waits for the next line with that in it, and gives what follows; `None` once the machine has ended.
    ///
    /// # Panics
    ///
    /// Where that takes longer than three minutes; says what was on the console.
    pub fn line(&mut self, mark: &str) -> Option<String> {
        loop {
            let line = match self.lines.recv_timeout(Duration::from_secs(180)) {
                Ok(line) => line,
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("the machine says nothing more:\n{}", self.seen)
                }
            };
            self.seen.push_str(&line);
            self.seen.push('\n');
            // The firmware leaves what it says to a terminal before the first line.
            if let Some((_, rest)) = line.split_once(mark) {
                return Some(rest.to_owned());
            }
        }
    }

    /// Gives it a line.
    pub fn say(&mut self, line: &str) {
        if let Some(stdin) = &mut self.stdin {
            writeln!(stdin, "{line}")
                .unwrap_or_else(|error| panic!("the machine has gone: {error}\n{}", self.seen));
        }
    }

    /// Cuts its power. What it said before can still be read.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it has said so far.
    pub fn console(&self) -> &str {
        &self.seen
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
