//! qcow2 overlays on raw backing files: made in microseconds, inspected without trust, read and written as the
//! guest sees them. It knows nothing of filesystems, templates or clones.
//!
//! An overlay holds what differs from its backing file. This crate makes them ([`create`]), looks at their
//! header ([`inspect`]), and opens them together with a backing file that the caller names ([`Overlay::open`]):
//! the name in the header is text, and is never followed.
//!
//! ```
//! use std::fs::{self, File};
//!
//! use offshoot_qcow2::{Access, Overlay, create, inspect};
//!
//! # let directory = tempfile::tempdir()?;
//! let backing = directory.path().join("template.raw");
//! fs::write(&backing, vec![7; 1 << 20])?;
//! let path = directory.path().join("overlay.qcow2");
//! create(&path, "template.raw", 2 << 20)?;
//!
//! let info = inspect(&File::open(&path)?, &path)?;
//! assert_eq!(info.backing.unwrap().path, "template.raw");
//!
//! let overlay = Overlay::open(&path, &backing, Access::Write)?;
//! overlay.write_at(4096, b"changed")?;
//! overlay.flush()?;
//! let mut bytes = [0; 8];
//! overlay.read_at(4096, &mut bytes)?;
//! assert_eq!(&bytes, b"changed\x07");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![warn(clippy::as_conversions, clippy::arithmetic_side_effects)]

mod allocate;
mod commit;
mod create;
mod error;
mod extensions;
mod guest_view;
mod header;
mod image;
mod inspect;
mod overlay;
mod snapshot;
mod table;
mod width;

pub use create::create;
pub use error::{Corruption, Error, Unsupported};
pub use inspect::{Backing, OverlayInfo, inspect};
pub use overlay::{Access, Overlay};
