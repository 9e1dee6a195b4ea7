use std::fmt;

use rustix::thread::CapabilitySet;

/// How to unpack.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What becomes of owners, modes and devices.
    pub ownership: Ownership,
    /// Whether everything is on the disk when [`unpack`](crate::unpack) returns: one `syncfs` in the end.
    pub sync: bool,
    /// Called, by several threads, with the bytes of contents that were shared or copied since the last call.
    pub progress: Option<&'a (dyn Fn(u64) + Sync)>,
    /// Asked, by several threads, before every file whether to stop.
    pub cancelled: Option<&'a (dyn Fn() -> bool + Sync)>,
}

impl Default for Options<'_> {
    /// As this process can, without a sync, and nobody listens.
    fn default() -> Self {
        Self { ownership: Ownership::for_this_process(), sync: false, progress: None, cancelled: None }
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("ownership", &self.ownership)
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}

/// What becomes of owners, modes and devices on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// They are the image's. Needs root, unless all files belong to the caller and none is a device.
    Native,
    /// Everything belongs to the caller, and what the image says is kept beside each file and directory in
    /// the extended attribute [`OVERRIDE_STAT`](crate::OVERRIDE_STAT), as containers/storage, fuse-overlayfs
    /// and libkrun (its virtiofs on macOS) read it.
    ///
    /// On the host, files have the image's mode without setuid, setgid and sticky bits, and their owner may
    /// read and write them, and enter directories. Devices, FIFOs and sockets are empty files. Access
    /// control lists are left out, since their ids would be the host's. Linux keeps no such attribute for
    /// symbolic links, so their owner is lost. A virtiofs server that does not know the attribute shows a
    /// guest the host's owner and mode.
    OverrideXattr,
}

impl Ownership {
    /// [`Native`](Self::Native) if this process may set any owner and mode and make devices, outside of any
    /// user namespace; else [`OverrideXattr`](Self::OverrideXattr).
    pub fn for_this_process() -> Self {
        let needed = CapabilitySet::CHOWN
            | CapabilitySet::DAC_OVERRIDE
            | CapabilitySet::FOWNER
            | CapabilitySet::FSETID
            | CapabilitySet::MKNOD;
        let capable = rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed));
        if capable && maps_all_ids() { Self::Native } else { Self::OverrideXattr }
    }
}

/// Whether every user id here is the same on the host.
fn maps_all_ids() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}
