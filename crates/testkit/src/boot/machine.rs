use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::cpio::Cpio;
use super::kernel::Kernel;
use crate::oracle;

const BEGIN: &str = "offshoot-boot: begin";
const STATUS: &str = "offshoot-boot: status ";

/// The kernel's first process. What the second stage needs goes to `/dev`, which stays in memory.
const INIT: &str = r"#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do [ -f $module ] && /bin/busybox insmod $module; done
/bin/busybox mount -t ext4 -o OPTIONS /dev/vda /root || { echo 'cannot mount the disk'; exec /bin/busybox poweroff -f; }
/bin/busybox mkdir -p /root/dev /dev/.offshoot
/bin/busybox cp /bin/busybox /script /stage2 /dev/.offshoot/
/bin/busybox mount -o move /dev /root/dev
exec /bin/busybox switch_root /root /dev/.offshoot/busybox sh /dev/.offshoot/stage2 </root/dev/console >/root/dev/console 2>&1
";

/// The first process of the disk's own system: runs the script in the disk's own shell.
const STAGE2: &str = r#"busybox=/dev/.offshoot/busybox
[ -d /proc ] && $busybox mount -t proc proc /proc
echo 'offshoot-boot: begin'
/bin/sh /dev/.offshoot/script
echo "offshoot-boot: status $?"
[ -d /proc ] && $busybox umount /proc
$busybox sync
$busybox mount -o remount,ro /dev/vda /
$busybox poweroff -f
"#;

/// A machine with a disk to boot from.
#[derive(Debug)]
pub struct Boot {
    disk: PathBuf,
    format: &'static str,
    read_only: bool,
    timeout: Duration,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Booted {
    /// Everything the machine wrote to its console.
    pub console: String,
    /// What the script wrote.
    pub output: String,
    /// The script's exit status.
    pub status: i32,
}

impl Boot {
    /// A machine with this raw disk image.
    pub fn new(disk: impl AsRef<Path>) -> Self {
        Self {
            disk: disk.as_ref().to_owned(),
            format: "raw",
            read_only: false,
            timeout: Duration::from_secs(180),
        }
    }

    /// The disk image is of another format of QEMU's: `qcow2`.
    pub fn format(mut self, format: &'static str) -> Self {
        self.format = format;
        self
    }

    /// The disk is not writable, and mounted so.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Another time limit than three minutes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Mounts the disk as the root, runs the script with its `/bin/sh`, unmounts it and powers off.
    ///
    /// # Panics
    ///
    /// Where the machine does not get as far as the script's end within its time; says what was on the console.
    pub fn run(&self, script: &str) -> Booted {
        let kernel = Kernel::obtain("ext4");
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let initramfs = directory.path().join("initramfs");
        fs::write(&initramfs, self.initramfs(&kernel, script)).unwrap_or_else(|error| panic!("{error}"));
        let mut command = oracle::command("qemu-system-x86_64");
        command
            .args([
                "-M",
                "q35,accel=tcg",
                "-cpu",
                "max",
                "-m",
                "512",
                "-nic",
                "none",
                "-nographic",
                "-no-reboot",
            ])
            .arg("-kernel")
            .arg(&kernel.image)
            .arg("-initrd")
            .arg(&initramfs)
            .args(["-append", "console=ttyS0 panic=-1 quiet"])
            .arg("-drive")
            .arg(format!(
                "if=virtio,format={},readonly={},file={}",
                self.format,
                if self.read_only { "on" } else { "off" },
                self.disk.display().to_string().replace(',', ",,")
            ))
            .stdout(Stdio::piped());
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let console = Machine(child).console(self.timeout);
        Booted::parse(console)
    }

    fn initramfs(&self, kernel: &Kernel, script: &str) -> Vec<u8> {
        let read = |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let busybox = oracle::find("busybox").unwrap_or_else(|| panic!("busybox is not installed"));
        let mut cpio = Cpio::default();
        for directory in ["bin", "dev", "modules", "root"] {
            cpio.directory(directory);
        }
        cpio.file("bin/busybox", 0o755, &read(&busybox));
        for (index, module) in kernel.modules.iter().enumerate() {
            cpio.file(&format!("modules/{index:02}.ko"), 0o644, &read(module));
        }
        let init = INIT.replace("OPTIONS", if self.read_only { "ro" } else { "rw" });
        cpio.file("init", 0o755, init.as_bytes());
        cpio.file("stage2", 0o644, STAGE2.as_bytes());
        cpio.file("script", 0o644, script.as_bytes());
        cpio.finish()
    }
}

impl Booted {
    fn parse(console: String) -> Self {
        let after = console.split_once(&format!("{BEGIN}\n")).map(|(_, after)| after);
        let parts = after.and_then(|after| after.rsplit_once(STATUS));
        let status = parts.and_then(|(_, status)| status.lines().next()?.trim().parse().ok());
        let (Some((output, _)), Some(status)) = (parts, status) else {
            panic!("the machine did not run its script to the end:\n{console}");
        };
        Self { output: output.to_owned(), status, console }
    }
}

/// A running QEMU; killed when dropped.
#[derive(Debug)]
struct Machine(Child);

impl Machine {
    /// All it writes until it ends.
    fn console(mut self, timeout: Duration) -> String {
        let (sender, receiver) = mpsc::channel();
        if let Some(mut stdout) = self.0.stdout.take() {
            std::thread::spawn(move || {
                let mut buffer = vec![0; 4096];
                while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                    if sender.send(buffer[..length].to_owned()).is_err() {
                        return;
                    }
                }
            });
        }
        let deadline = std::time::Instant::now() + timeout;
        let mut bytes = Vec::new();
        let timed_out = loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            match receiver.recv_timeout(left) {
                Ok(more) => bytes.extend(more),
                Err(error) => break error == mpsc::RecvTimeoutError::Timeout,
            }
        };
        let console = String::from_utf8_lossy(&bytes).replace('\r', "");
        assert!(!timed_out, "the machine was still running after {} s:\n{console}", timeout.as_secs());
        console
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
