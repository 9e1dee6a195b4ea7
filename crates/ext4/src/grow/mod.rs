//! Makes a filesystem larger, by a handful of writes.
//!
//! [`Grow::plan`] reckons every byte and changes nothing. [`Grow::apply`] writes them to a disk that nobody else
//! sees yet; [`Grow::apply_journaled`] writes them so that an interruption at any of them leaves a valid
//! filesystem, which [`finish_grow`] then completes.

mod error;
mod finish;
mod groups;
mod journaled;
mod plan;
mod resize_inode;
mod steps;
mod supported;
mod unfinished;

pub use error::GrowError;
pub use finish::{Finished, finish_grow};
pub use plan::Grow;
pub(crate) use steps::write_backups;
pub(crate) use supported::{is_usual, unsupported};
pub(crate) use unfinished::{Unfinished, find};
