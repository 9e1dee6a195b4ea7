//! What the filesystem under a store can do.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use offshoot_store::{Capacity, clone_file, new_private_file, next_data, same_blocks, share_range};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, XattrFlags};

use super::{Probe, ProbeState};

/// So much must be there to be of use.
const LEAST_FREE_BYTES: u64 = 1 << 30;
const LEAST_FREE_INODES: u64 = 10_000;
/// What blocks are shared in: a multiple of every filesystem's.
const SHARED_BYTES: usize = 64 << 10;

/// Tries it in an empty directory; whether blocks can be shared.
pub(super) fn probe(directory: &Path, probes: &mut Vec<Probe>) -> bool {
    probes.push(kind(directory));
    probes.push(space(directory));
    let shares = said(reflink(directory));
    probes.push(verdict(
        "reflink",
        &shares,
        ProbeState::Limited,
        "clones are copies that keep holes; a store on XFS or btrfs shares blocks",
    ));
    let tries: [(&str, io::Result<bool>, ProbeState, &str); 8] = [
        (
            "reflink of ranges",
            ranges(directory),
            ProbeState::Limited,
            "templates are copied out of packs; a store on XFS or btrfs shares their blocks",
        ),
        ("holes", holes(directory), ProbeState::Limited, "disks take all of their size on this filesystem"),
        (
            "extent maps",
            maps(directory),
            ProbeState::Limited,
            "reflinks are checked by reading samples; 'df' estimates",
        ),
        (
            "user xattrs",
            xattrs(directory),
            ProbeState::Limited,
            "'unpack' without root cannot record owners; mount the filesystem with user_xattr",
        ),
        (
            "unnamed files",
            unnamed(directory),
            ProbeState::Limited,
            "a killed 'build -o' may leave a file whose name begins with a dot and ends in .offshoot-…",
        ),
        (
            "exchange",
            exchange(directory),
            ProbeState::Missing,
            "'reset', and 'grow' without a journal, do not work; use a local filesystem",
        ),
        ("hard links", links(directory), ProbeState::Missing, "'--strategy hardlink' does not work"),
        (
            "locks",
            locks(directory),
            ProbeState::Unusable,
            "processes would change the same things at once; use a local filesystem, or NFS 4 with its lock service",
        ),
    ];
    for (name, tried, otherwise, advice) in tries {
        probes.push(verdict(name, &said(tried), otherwise, advice));
    }
    matches!(shares, Ok(true))
}

/// What was tried; what the system said if it could not be.
fn said(tried: io::Result<bool>) -> Result<bool, String> {
    tried.map_err(|error| error.to_string())
}

fn verdict(
    name: &'static str,
    tried: &Result<bool, String>,
    otherwise: ProbeState,
    advice: &'static str,
) -> Probe {
    match tried {
        Ok(true) => Probe::ok(name, "works"),
        Ok(false) => Probe::less(name, otherwise, "does not work here", advice),
        Err(error) => Probe::less(name, otherwise, error.as_str(), advice),
    }
}

/// `f_type` of `statfs(2)`.
fn kind(directory: &Path) -> Probe {
    const REMOTE: &str = "locks and times are other machines'; a local filesystem is safer and faster";
    let name = "filesystem";
    let magic = match rustix::fs::statfs(directory) {
        // The kernel's type for it differs from one machine to the next; the value has 32 bits.
        Ok(found) => found.f_type & 0xffff_ffff,
        Err(error) => return Probe::less(name, ProbeState::Limited, error.to_string(), "it cannot be asked"),
    };
    match magic {
        0x5846_5342 => Probe::ok(name, "XFS"),
        0x9123_683e => Probe::ok(name, "btrfs"),
        0xef53 => Probe::ok(name, "ext4"),
        0x0102_1994 => Probe::less(
            name,
            ProbeState::Limited,
            "tmpfs",
            "what is in the store is lost when the machine stops",
        ),
        0x794c_7630 => Probe::less(
            name,
            ProbeState::Limited,
            "overlayfs",
            "a store in a container's own filesystem goes with it; mount a volume",
        ),
        0x2fc1_2fc1 => Probe::ok(name, "ZFS"),
        0xca45_1a4e => Probe::ok(name, "bcachefs"),
        0xf2f5_2010 => Probe::ok(name, "F2FS"),
        0x6969 => Probe::less(name, ProbeState::Limited, "NFS", REMOTE),
        0xff53_4d42 | 0xfe53_4d42 => Probe::less(name, ProbeState::Limited, "SMB", REMOTE),
        0x6573_5546 => Probe::less(name, ProbeState::Limited, "FUSE", "it depends on what is behind it"),
        other => Probe::ok(name, format!("of type {other:#x}")),
    }
}

fn space(directory: &Path) -> Probe {
    const SMALL: &str =
        "make room, or name a store elsewhere with --store; 'offshoot gc' frees what nobody needs";
    let name = "free space";
    match Capacity::of(directory) {
        Ok(Capacity { available_bytes, available_inodes, .. }) => {
            let mut text = format!("{:.1} GiB", available_bytes as f64 / f64::from(1 << 30));
            if let Some(inodes) = available_inodes {
                text.push_str(&format!(", {inodes} inodes"));
            }
            let is_little = available_bytes < LEAST_FREE_BYTES
                || available_inodes.is_some_and(|inodes| inodes < LEAST_FREE_INODES);
            if is_little {
                Probe::less(name, ProbeState::Limited, text, SMALL)
            } else {
                Probe::ok(name, text)
            }
        }
        Err(error) => Probe::less(name, ProbeState::Limited, error.to_string(), "it cannot be asked"),
    }
}

/// A file with something in it, that is on the disk.
fn sample(path: &Path) -> io::Result<File> {
    let file = new_private_file(path)?;
    file.write_all_at(&vec![7; SHARED_BYTES], 0)?;
    file.sync_data()?;
    Ok(file)
}

fn reflink(directory: &Path) -> io::Result<bool> {
    let source = sample(&directory.join("source"))?;
    let target = new_private_file(&directory.join("clone"))?;
    Ok(clone_file(&source, &target)? && target.metadata()?.len() == SHARED_BYTES as u64)
}

fn ranges(directory: &Path) -> io::Result<bool> {
    let source = sample(&directory.join("ranges"))?;
    let target = new_private_file(&directory.join("range"))?;
    target.set_len(4 * SHARED_BYTES as u64)?;
    let (offset, length) = (2 * SHARED_BYTES as u64, SHARED_BYTES as u64);
    let mut byte = [0];
    Ok(share_range(&source, 0, &target, offset, length)?
        && target.read_exact_at(&mut byte, offset).is_ok()
        && byte == [7])
}

fn holes(directory: &Path) -> io::Result<bool> {
    let file = new_private_file(&directory.join("holes"))?;
    let middle = 32 << 20;
    file.set_len(2 * middle)?;
    file.write_all_at(&[7; 4096], middle)?;
    file.sync_data()?;
    let data = next_data(&file, 0)?;
    Ok(data.is_some_and(|data| data.start == middle) && file.metadata()?.blocks() * 512 < middle)
}

fn maps(directory: &Path) -> io::Result<bool> {
    let file = sample(&directory.join("maps"))?;
    Ok(same_blocks(&file, &file, &[0])? == Some(true))
}

fn xattrs(directory: &Path) -> io::Result<bool> {
    let file = new_private_file(&directory.join("xattrs"))?;
    rustix::fs::fsetxattr(&file, "user.offshoot", b"value", XattrFlags::empty())?;
    let mut value = [0; 8];
    let count = rustix::fs::fgetxattr(&file, "user.offshoot", &mut value)?;
    Ok(value.get(..count) == Some(b"value"))
}

fn unnamed(directory: &Path) -> io::Result<bool> {
    use std::os::fd::AsRawFd;
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, directory, flags, Mode::RUSR | Mode::WUSR)?;
    let named = directory.join("named");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, path, CWD, &named, AtFlags::SYMLINK_FOLLOW)?;
    Ok(named.is_file())
}

fn exchange(directory: &Path) -> io::Result<bool> {
    let [one, other] = ["one", "other"].map(|name| directory.join(name));
    fs::create_dir(&one)?;
    fs::create_dir(&other)?;
    fs::write(one.join("file"), b"")?;
    rustix::fs::renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE)?;
    Ok(other.join("file").exists() && one.exists())
}

fn links(directory: &Path) -> io::Result<bool> {
    let path = directory.join("linked");
    drop(new_private_file(&path)?);
    fs::hard_link(&path, directory.join("link"))?;
    Ok(path.metadata()?.nlink() == 2)
}

/// A lock that is held must be seen by whoever opens the file anew.
fn locks(directory: &Path) -> io::Result<bool> {
    let path = directory.join("lock");
    let holder = new_private_file(&path)?;
    let other = File::open(&path)?;
    rustix::fs::flock(&holder, FlockOperation::LockExclusive)?;
    let refused = rustix::fs::flock(&other, FlockOperation::NonBlockingLockShared);
    rustix::fs::flock(&holder, FlockOperation::Unlock)?;
    let granted = rustix::fs::flock(&other, FlockOperation::NonBlockingLockShared);
    Ok(refused == Err(rustix::io::Errno::WOULDBLOCK) && granted.is_ok())
}
