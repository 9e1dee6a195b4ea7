//! A VM's own disk: made, found again, released.

mod agreement;
mod damage;
mod directory;
mod existing;
mod guard;
mod make;
mod options;
mod staged_disk;

pub use damage::Damage;
pub use existing::Clone;
pub use guard::CloneGuard;
pub use options::{CloneOptions, Strategy, UnknownStrategy};
pub(crate) use staged_disk::DiskRequest;
