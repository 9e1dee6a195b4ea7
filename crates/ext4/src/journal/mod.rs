//! The journal: what jbd2 keeps in the filesystem's own journal inode, and what of it growth needs: a log that
//! is read and written at known places, and transactions of one descriptor after the other and one commit.

mod log;
mod problem;
mod superblock;
mod tag;
mod transaction;

pub(crate) use log::{Log, LogError};
pub use problem::JournalProblem;
pub(crate) use superblock::{JournalSuperblock, MIN_FILESYSTEM_BLOCKS, default_blocks};
pub(crate) use transaction::{Marker, Piece, Transaction};
