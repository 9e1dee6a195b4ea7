use std::io;

use offshoot_tree::TreePath;

/// Why a tree was not unpacked. What was made until then is left in the directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory holds something already. Nothing was changed.
    #[error("the directory is not empty")]
    NotEmpty,
    /// Something in the tree cannot be on Linux. Nothing was changed.
    #[error("{path} cannot be unpacked")]
    Unrepresentable {
        /// Which file; of several names one.
        path: TreePath,
        /// What is wrong with it.
        #[source]
        problem: Problem,
    },
    /// A name that this directory had only once in the image is taken: the filesystem takes two names for
    /// one (it folds case), or someone else writes to the directory.
    #[error("{path} exists already: the filesystem takes two names for one, or someone else writes there")]
    NameTaken {
        /// The name that was to be made.
        path: TreePath,
    },
    /// The host failed to do something.
    #[error("failed to {operation} {path}")]
    Host {
        /// What was tried: `make the directory`, `set the owner of`, …
        operation: &'static str,
        /// At which path of the tree; the root is the directory itself.
        path: TreePath,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// [`Options::cancelled`](crate::Options::cancelled) said so.
    #[error("interrupted")]
    Cancelled,
}

/// What is impossible about a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The tree itself is wrong: extents that overlap, are empty, out of order or outside of the file.
    #[error("the extent at block {logical_block} overlaps another, is empty or lies outside of the file")]
    BadExtent {
        /// Its first block within the file.
        logical_block: u64,
    },
    /// The contents are in a pack that is not there, or lie behind its end.
    #[error("the extent at block {logical_block} is not in pack {pack}")]
    NotInPack {
        /// Its first block within the file.
        logical_block: u64,
        /// The number of the pack: [`SourceId`](offshoot_tree::SourceId).
        pack: u32,
    },
    /// Files have at most 2⁶³ − 1 bytes.
    #[error("the file is {bytes} bytes long")]
    FileTooLarge {
        /// The file's size.
        bytes: u64,
    },
    /// Symbolic links have 1 to 4,095 bytes.
    #[error("the symbolic link's target is {bytes} bytes long, not 1 to {limit}")]
    SymlinkLength {
        /// What it has.
        bytes: usize,
        /// What is possible.
        limit: usize,
    },
    /// A target with a NUL byte would end there.
    #[error("the symbolic link's target has a NUL byte")]
    SymlinkNul,
    /// Linux keeps 12 bits of the major number and 20 of the minor.
    #[error("the device number {major}:{minor} is out of range")]
    DeviceNumber {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// The owner or group is 2³² − 1, which to the kernel means nobody.
    #[error("the owner {uid}:{gid} is out of range")]
    Owner {
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A time with a second or more of nanoseconds.
    #[error("the time has {nanoseconds} nanoseconds")]
    Nanoseconds {
        /// What it has.
        nanoseconds: u32,
    },
    /// A name that is not one component of a path.
    #[error("the name cannot be a file's")]
    Name,
}
