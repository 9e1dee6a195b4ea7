//! A disk in the words of a VMM's own configuration, which always say the disk's format: a guest can write the
//! header of a qcow2 image into a raw disk. Which versions these are the words of: `docs/vmm.md`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::json;

/// Whose configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Vmm {
    /// JSON: an element of `drives`, and the body of `PUT /drives/rootfs`
    Firecracker,
    /// Arguments for a shell
    CloudHypervisor,
    /// Arguments for a shell
    Qemu,
    /// A call in C
    Libkrun,
}

/// A VM's root disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk<'a> {
    pub(crate) path: &'a Path,
    pub(crate) format: Format<'a>,
    pub(crate) read_only: bool,
}

/// What a VM's root filesystem lies in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Format<'a> {
    /// The filesystem's own bytes.
    Raw,
    /// An overlay on a raw file.
    Qcow2 {
        /// The raw file.
        backing: &'a Path,
    },
    /// Files of the host's.
    Directory,
}

/// What a VMM cannot be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unsupported {
    FirecrackerQcow2,
    Directory,
    ReadOnlyDirectory,
    Path { path: PathBuf, reason: &'static str },
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirecrackerQcow2 => {
                f.write_str("Firecracker takes raw disks only; use another strategy than qcow2")
            }
            Self::Directory => f.write_str(
                "only libkrun takes a directory without another program that serves it; leave --print out",
            ),
            Self::ReadOnlyDirectory => f.write_str("libkrun's krun_set_root has no read-only directories"),
            Self::Path { path, reason } => {
                write!(f, "{} cannot be said to this VMM: {reason}", path.display())
            }
        }
    }
}

impl std::error::Error for Unsupported {}

/// The configuration of one disk, as lines.
pub(crate) fn configuration(vmm: Vmm, disk: &Disk) -> Result<String, Unsupported> {
    let path = text(disk.path)?;
    match vmm {
        Vmm::Firecracker => firecracker(path, disk),
        Vmm::CloudHypervisor => cloud_hypervisor(path, disk),
        Vmm::Qemu => qemu(path, disk),
        Vmm::Libkrun => libkrun(path, disk),
    }
}

/// Firecracker has one format. `Writeback` lets the guest's flushes reach the disk; its default does not.
fn firecracker(path: &str, disk: &Disk) -> Result<String, Unsupported> {
    match disk.format {
        Format::Raw => {}
        Format::Qcow2 { .. } => return Err(Unsupported::FirecrackerQcow2),
        Format::Directory => return Err(Unsupported::Directory),
    }
    let drive = json!({
        "drive_id": "rootfs",
        "path_on_host": path,
        "is_root_device": true,
        "is_read_only": disk.read_only,
        "cache_type": "Writeback",
        "io_engine": "Sync",
    });
    Ok(format!("{drive:#}\n"))
}

/// Its qcow2 follows backing files only where it is told so.
fn cloud_hypervisor(path: &str, disk: &Disk) -> Result<String, Unsupported> {
    let format = match disk.format {
        Format::Raw => "image_type=raw",
        Format::Qcow2 { .. } => "image_type=qcow2,backing_files=on,num_queues=1",
        Format::Directory => return Err(Unsupported::Directory),
    };
    let refuse = |reason| Err(Unsupported::Path { path: disk.path.to_owned(), reason });
    // Its parser drops double quotes, counts brackets even between them, and trims.
    if path.contains(['"', '[', ']']) {
        return refuse("it has a double quote or a square bracket");
    }
    if path.trim() != path {
        return refuse("it begins or ends with a space");
    }
    let quote = if path.contains(',') { "\"" } else { "" };
    let read_only = if disk.read_only { "on" } else { "off" };
    let value = format!("path={quote}{path}{quote},{format},readonly={read_only}");
    Ok(format!("--disk {}\n", for_shell(&value)))
}

/// Each node is named with its driver, so nothing is probed and no name in a header is followed.
fn qemu(path: &str, disk: &Disk) -> Result<String, Unsupported> {
    let file = |path: &str| json!({ "driver": "file", "filename": path });
    let (driver, backing) = match disk.format {
        Format::Raw => ("raw", None),
        Format::Qcow2 { backing } => ("qcow2", Some(text(backing)?)),
        Format::Directory => return Err(Unsupported::Directory),
    };
    let mut node = json!({
        "driver": driver,
        "node-name": "rootfs",
        "read-only": disk.read_only,
        "discard": "unmap",
        "file": file(path),
    });
    if let (Some(backing), Some(node)) = (backing, node.as_object_mut()) {
        let backing = json!({ "driver": "raw", "read-only": true, "file": file(backing) });
        node.insert("backing".to_owned(), backing);
    }
    let node = for_shell(&node.to_string());
    Ok(format!("-blockdev {node} -device virtio-blk-pci,drive=rootfs\n"))
}

fn libkrun(path: &str, disk: &Disk) -> Result<String, Unsupported> {
    let path = c_string(path);
    let format = match disk.format {
        Format::Raw => "KRUN_DISK_FORMAT_RAW",
        Format::Qcow2 { .. } => "KRUN_DISK_FORMAT_QCOW2",
        Format::Directory if disk.read_only => return Err(Unsupported::ReadOnlyDirectory),
        Format::Directory => return Ok(format!("krun_set_root(ctx, {path});\n")),
    };
    Ok(format!("krun_add_disk2(ctx, \"root\", {path}, {format}, {});\n", disk.read_only))
}

/// A path as the text that all four take.
fn text(path: &Path) -> Result<&str, Unsupported> {
    let refuse = |reason| Unsupported::Path { path: path.to_owned(), reason };
    let text = path.to_str().ok_or_else(|| refuse("it is not valid UTF-8"))?;
    if text.contains('\0') { Err(refuse("it has a NUL byte")) } else { Ok(text) }
}

/// One word for a POSIX shell.
fn for_shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A string literal of C: what is not printable ASCII is in octal, which always has three digits.
fn c_string(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        // `??` begins a trigraph.
        b'?' => "\\?".to_owned(),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests;
