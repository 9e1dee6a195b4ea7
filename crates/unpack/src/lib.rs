//! Writes a [`Tree`](offshoot_tree::Tree) into a directory of the host, for virtiofs and libkrun.
//!
//! It is the one place where names out of images become names on the host, so nothing here is ever looked up
//! by a path that an image decides alone: every call names one component relative to an open directory, or
//! goes down from the target with `openat2`, which follows no link and leaves neither the target nor its
//! filesystem. While [`unpack`] works, only its own user can enter the target.
//!
//! What is unpacked may hold setuid programs and device nodes. Keep it below a directory that only its owner
//! can enter.
//!
//! ```
//! use std::fs::File;
//!
//! use offshoot_tree::{Change, Leaf, Merge, Metadata, SourceId, TreePath};
//! use offshoot_unpack::{Options, unpack};
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
//! let parent = tempfile::tempdir()?;
//! let path = parent.path().join("rootfs");
//! std::fs::create_dir(&path)?;
//! let summary = unpack(&merge.finish(), &[], &File::open(&path)?, &Options::default())?;
//! assert_eq!((summary.directories, summary.symlinks), (2, 1));
//! offshoot_store::remove_tree(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![warn(clippy::as_conversions)]

mod attributes;
mod contents;
mod descent;
mod directory;
mod error;
mod failure;
mod links;
mod options;
mod override_stat;
mod packs;
mod queue;
mod summary;
mod survey;
mod target;
mod umask;
mod unpack;
mod xattrs;

pub use contents::content_bytes;
pub use error::{Error, Problem};
pub use options::{Options, Ownership};
pub use override_stat::OVERRIDE_STAT;
pub use summary::{RefusedXattr, Summary};
pub use unpack::unpack;
