use serde::{Deserialize, Serialize};

use crate::{Content, Device, Metadata, TreePath};

/// One thing that a layer says about the filesystem.
///
/// Paths are as the layer wrote them: they may lead through symbolic links of lower layers, which
/// [`Merge`](crate::Merge) follows inside the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A directory is there, with these attributes; what it holds stays.
    Directory {
        /// Where.
        path: TreePath,
        /// Its attributes.
        metadata: Metadata,
    },
    /// Anything but a directory is there, instead of whatever was.
    Leaf {
        /// Where.
        path: TreePath,
        /// Its attributes.
        metadata: Metadata,
        /// What it is.
        leaf: Leaf,
    },
    /// One more name for an inode that exists already.
    HardLink {
        /// The new name.
        path: TreePath,
        /// An existing name.
        target: TreePath,
    },
    /// The lower layers' entry of that name is gone.
    Whiteout {
        /// The path without the `.wh.` prefix.
        path: TreePath,
    },
    /// Whatever lower layers put into that directory is gone.
    OpaqueWhiteout {
        /// The directory.
        path: TreePath,
    },
}

impl Change {
    /// The path that the change is about.
    pub fn path(&self) -> &TreePath {
        match self {
            Self::Directory { path, .. }
            | Self::Leaf { path, .. }
            | Self::HardLink { path, .. }
            | Self::Whiteout { path }
            | Self::OpaqueWhiteout { path } => path,
        }
    }

    /// Whether the change only hides what lower layers have.
    pub fn is_whiteout(&self) -> bool {
        matches!(self, Self::Whiteout { .. } | Self::OpaqueWhiteout { .. })
    }
}

/// What an inode is when it is not a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leaf {
    /// A regular file.
    File(Content),
    /// A symbolic link and its target, any bytes but NUL.
    Symlink(#[serde(with = "serde_bytes")] Box<[u8]>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
}
