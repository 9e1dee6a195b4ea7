//! What is garbage, and what becomes of it: `docs/collection.md`.

mod bytes;
mod carry_out;
mod choose;
mod options;
mod plan;
mod planning;
mod problems;
mod references;

pub use carry_out::{Collected, Collection, CollectionOutcome};
pub use options::{CollectionOptions, KeepFree};
pub use plan::{Collectable, CollectionEntry, CollectionPlan, CollectionReason, Kept, KeptReason, Room};
pub(crate) use references::{Records, References};
