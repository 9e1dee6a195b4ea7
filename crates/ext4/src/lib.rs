//! Plans and emits ext4 filesystems from a tree: no mkfs, no mount, no I/O but through a [`Sink`] or a [`Device`].
//!
//! [`Plan::new`] lays out a [`Tree`](offshoot_tree::Tree) in full; [`Plan::emit`] writes it. File contents
//! are never read: the sink is told which blocks of which source go where.
//!
//! ```
//! use std::io;
//!
//! use offshoot_ext4::{Label, Options, Plan, Sink, Size, Transfer};
//! use offshoot_tree::{Merge, SourceId};
//!
//! struct Count(u64);
//!
//! impl Sink for Count {
//!     fn set_len(&mut self, _: u64) -> io::Result<()> {
//!         Ok(())
//!     }
//!     fn write_at(&mut self, _: u64, bytes: &[u8]) -> io::Result<()> {
//!         self.0 += bytes.len() as u64;
//!         Ok(())
//!     }
//!     fn copy_from(&mut self, _: SourceId, _: u64, _: u64, length: u64, _: Transfer) -> io::Result<()> {
//!         self.0 += length;
//!         Ok(())
//!     }
//! }
//!
//! let tree = Merge::new().finish();
//! let options = Options {
//!     uuid: [1; 16],
//!     hash_seed: [2; 16],
//!     created_seconds: 0,
//!     label: Label::new(b"scratch")?,
//!     size: Size::Exact { bytes: 10 << 30 },
//!     journal: true,
//! };
//! let mut sink = Count(0);
//! Plan::new(&tree, &options)?.emit(&mut sink)?;
//! assert!(sink.0 < 1 << 20); // what there is to write for an empty filesystem of 10 GiB
//! # Ok::<(), offshoot_ext4::Error>(())
//! ```
//!
//! What lies on a [`Device`] already is looked at by [`inspect`], made larger by [`Grow`], and gets another UUID by
//! [`set_uuid`]:
//!
//! ```no_run
//! use offshoot_ext4::{Grow, finish_grow, inspect};
//!
//! let disk = std::fs::File::options().read(true).write(true).open("rootfs.ext4")?;
//! println!("{} bytes, {}", inspect(&disk)?.size_bytes, inspect(&disk)?.features);
//! finish_grow(&disk, true)?; // of an earlier time, if it was interrupted
//! let grow = Grow::plan(&disk, 8 << 30)?;
//! grow.apply_journaled(&disk, true)?; // an interruption does no harm
//! assert_eq!(inspect(&disk)?.size_bytes, grow.new_size_bytes());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::as_conversions, clippy::arithmetic_side_effects)]

mod acl;
mod bitmap;
mod checksum;
mod contents;
mod device;
mod dir_entry;
mod directory;
mod emit;
mod error;
mod extent;
mod features;
mod filesystem;
mod geometry;
mod group_descriptor;
mod grow;
mod halves;
mod hash;
mod htree;
mod inode;
mod inspect;
mod journal;
mod layout;
mod options;
mod output;
mod path;
mod placement;
mod plan;
mod records;
mod resize_inode;
mod set_uuid;
mod sink;
mod sums;
mod superblock;
mod survey;
mod xattr;

pub use device::{Device, DeviceError};
pub use error::{Error, Problem};
pub use features::Features;
pub use grow::{Finished, Grow, GrowError, finish_grow};
pub use inspect::{Filesystem, InspectError, JournalKind, State, check_structure, inspect};
pub use journal::JournalProblem;
pub use options::{Label, Options, Size};
pub use plan::{Plan, Summary};
pub use set_uuid::{SetUuidError, set_uuid};
pub use sink::{Sink, Transfer};

/// The writer's version, part of a template's identity: it grows when the same tree and options give other
/// bytes than before.
pub const WRITER_VERSION: u32 = 1;

/// Bytes of a block.
const BLOCK_BYTES: u64 = offshoot_tree::BLOCK_SIZE;
