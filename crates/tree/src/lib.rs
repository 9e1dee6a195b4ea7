//! The filesystem model and the OCI merge rules: pure, no I/O.
//!
//! A layer says what it changes as a list of [`Change`]s. [`Merge`] applies the layers of an image in
//! order, by the rules of the OCI image specification (`layer.md`), and gives a [`Tree`]: inodes and
//! the names that lead to them. File contents stay where they are; a [`Content`] only says where.
//!
//! ```
//! use offshoot_tree::{Change, Leaf, Merge, Metadata, SourceId, TreePath};
//!
//! let mut merge = Merge::new();
//! merge.apply(
//!     SourceId(0),
//!     vec![Change::Leaf {
//!         path: TreePath::parse(b"etc/os")?,
//!         metadata: Metadata::default(),
//!         leaf: Leaf::Symlink(b"../usr/os"[..].into()),
//!     }],
//! )?;
//! let tree = merge.finish();
//! assert_eq!(tree.len(), 3); // the root, etc and etc/os
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod change;
mod content;
mod error;
mod merge;
mod metadata;
mod name;
mod path;
mod tree;

pub use change::{Change, Leaf};
pub use content::{BLOCK_SIZE, Content, Extent, SourceId};
pub use error::{MergeError, MergeProblem, NameError};
pub use merge::Merge;
pub use metadata::{Device, Metadata, Timestamp, Xattrs};
pub use name::Name;
pub use path::TreePath;
pub use tree::{Directory, Inode, InodeId, Node, Tree};
