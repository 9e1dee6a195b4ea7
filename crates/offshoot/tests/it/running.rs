//! A VMM, as far as its disk can tell.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use offshoot_testkit::oracle;

/// A program of QEMU's that has a disk open until this is dropped.
pub(crate) struct Running {
    vmm: Child,
    input: Option<ChildStdin>,
}

impl Running {
    pub(crate) fn with(disk: &Path) -> Self {
        Self::start(disk, &[])
    }

    pub(crate) fn reading(disk: &Path) -> Self {
        Self::start(disk, &["-r"])
    }

    fn start(disk: &Path, options: &[&str]) -> Self {
        let mut vmm = oracle::command("qemu-io");
        vmm.args(options).args(["-f", "raw"]).arg(disk).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut vmm = vmm.spawn().unwrap();
        // An answer to a command means that the disk is open.
        let mut input = vmm.stdin.take().unwrap();
        let mut output = BufReader::new(vmm.stdout.take().unwrap());
        input.write_all(b"length\n").unwrap();
        let mut line = String::new();
        while !line.contains("iB") {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0);
        }
        Self { vmm, input: Some(input) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.input.take());
        self.vmm.wait().unwrap();
    }
}
