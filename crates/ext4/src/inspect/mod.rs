//! Looks at a filesystem and says what it is, changing nothing.

mod disk;
mod error;
mod filesystem;
mod shape;
mod state;
mod structure;

pub(crate) use disk::{Disk, StoredInode};
pub use error::InspectError;
pub use filesystem::{Filesystem, JournalKind, inspect};
pub(crate) use shape::Shape;
pub use state::State;
pub use structure::check_structure;
