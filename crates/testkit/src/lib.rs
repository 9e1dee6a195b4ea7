//! Sample images and independent oracles for offshoot's tests. Never part of the program.
//!
//! Everything here panics with a message that says what went wrong, since it only runs in tests and in
//! the project's own tasks. What needs a program that may be missing asks [`oracle::available`] first.

pub mod boot;
pub mod hostile;
pub mod layout;
pub mod oracle;
pub mod registry;
pub mod samples;

mod listing;
mod locked;
mod mount;
mod reflink;
mod scratch;
mod sha256;
mod write_log;

pub use listing::{Entry, Ignore, Kind, Listing};
pub use locked::Locked;
pub use mount::LoopMount;
pub use reflink::reflink_supported;
pub use scratch::{
    Filesystem, ScratchFilesystem, memory_directory, scratch_directory, target_directory, used_bytes,
};
pub use sha256::{Sha256, sha256, sha256_file};
pub use write_log::WriteLog;
