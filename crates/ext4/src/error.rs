use std::io;

use offshoot_tree::TreePath;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tree does not fit into the size that was asked for.
    #[error("the filesystem needs {needed_bytes} bytes, but only {requested_bytes} were asked for")]
    TooSmall {
        /// The smallest exact size that works.
        needed_bytes: u64,
        /// What was asked for.
        requested_bytes: u64,
    },
    /// The filesystem would be larger than this profile can be.
    #[error("the filesystem would need {bytes} bytes, more than the {limit_bytes} that are possible")]
    TooLarge {
        /// What was asked for, or is needed; `u64::MAX` if that cannot be counted.
        bytes: u64,
        /// The largest size: 16 TiB.
        limit_bytes: u64,
    },
    /// The tree has more inodes than a filesystem can have.
    #[error("the tree has {inodes} files, more than the {limit} that are possible")]
    TooManyInodes {
        /// What the tree has.
        inodes: u64,
        /// What is possible.
        limit: u64,
    },
    /// A label of more than 16 bytes.
    #[error("the label is {bytes} bytes long, more than 16")]
    LabelTooLong {
        /// Its length.
        bytes: usize,
    },
    /// Something in the tree cannot be on ext4.
    #[error("{path} cannot be stored on ext4")]
    Unrepresentable {
        /// Which file; of several names one.
        path: TreePath,
        /// What is wrong with it.
        #[source]
        problem: Problem,
    },
    /// The sink failed to take something.
    #[error("failed to {operation} at byte {offset} of the image")]
    Sink {
        /// What was tried: `write`, `copy`, `share` or `set the length`.
        operation: &'static str,
        /// Where in the image.
        offset: u64,
        /// What the sink said.
        #[source]
        source: io::Error,
    },
}

/// What ext4 cannot store about a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Files end at 2³² − 1 blocks.
    #[error("the file is {bytes} bytes long, more than {limit_bytes}")]
    FileTooLarge {
        /// The file's size.
        bytes: u64,
        /// The largest size.
        limit_bytes: u64,
    },
    /// The tree itself is wrong: extents that overlap, are empty, out of order or outside of the file.
    #[error("the extent at block {logical_block} overlaps another, is empty or lies outside of the file")]
    BadExtent {
        /// Its first block within the file.
        logical_block: u64,
    },
    /// Inodes have at most 65,000 names; directories are not bound by that.
    #[error("the file has {links} names, more than {limit}")]
    TooManyLinks {
        /// What it has.
        links: u32,
        /// What is possible.
        limit: u32,
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
    /// A directory that even two full levels of index cannot hold.
    #[error("the directory has {entries} entries, more than its index can hold")]
    DirectoryTooLarge {
        /// What it has.
        entries: usize,
    },
    /// `/lost+found` must be a directory: e2fsck puts there what it finds.
    #[error("lost+found is not a directory, which e2fsck needs it to be")]
    LostAndFound,
    /// An extended attribute whose name ext4 has no place for.
    #[error("the extended attribute {:?} is in no namespace that ext4 has", name.escape_ascii().to_string())]
    XattrNamespace {
        /// Its name.
        name: Vec<u8>,
    },
    /// An extended attribute's name is longer than 255 bytes, its namespace included.
    #[error("an extended attribute's name is {bytes} bytes long, more than 255")]
    XattrNameTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The extended attributes do not fit into the inode and one block.
    #[error(
        "the extended attributes take {bytes} bytes, more than the {limit} that there are beside the inode"
    )]
    XattrsTooLarge {
        /// What does not fit into the inode.
        bytes: usize,
        /// What the block has.
        limit: usize,
    },
    /// A POSIX ACL that the kernel would not take either.
    #[error("the extended attribute {:?} is not a valid access control list", name.escape_ascii().to_string())]
    Acl {
        /// Its name.
        name: Vec<u8>,
    },
}
