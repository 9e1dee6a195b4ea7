//! A durable directory: digests, blobs, records, locks and staging. It knows no OCI and no ext4.
//!
//! Everything that becomes visible in a [`StoreDir`] does so by one rename of something complete, and
//! everything that is under way lies in `tmp/`, so a process or machine that dies leaves nothing half
//! made under a final name. Locks are the kernel's (`flock`) and die with their holder.

#![deny(unsafe_op_in_unsafe_fn)]
mod area;
mod blobs;
mod capacity;
mod causes;
mod checksum;
mod descent;
mod digest;
mod durable;
mod entry_name;
mod error;
mod exposure;
mod extents;
mod fiemap;
mod lease;
mod leftovers;
mod lock;
mod new_directory;
mod owner;
mod part;
mod private;
mod quarantine;
mod record;
mod removal;
mod reserve;
mod seal;
mod space;
mod staging;
mod store_dir;
mod transfer;
mod verify;
mod writeback;

pub use area::{Area, RecordArea};
pub use capacity::Capacity;
pub use causes::with_causes;
pub use checksum::Checksum;
pub use descent::open_beneath;
pub use digest::{Digest, DigestError, Hasher};
pub use durable::{Durability, NewFile};
pub use entry_name::EntryName;
pub use error::Error;
pub use extents::same_blocks;
pub use lease::{Claim, Claimed, Lease};
pub use leftovers::{Leftover, LeftoverKind};
pub use lock::{KeyLock, lock_disk, unlock_disk};
pub use new_directory::NewDirectory;
pub use owner::{OwnerId, OwnerIdError, SessionId};
pub use part::{Content, Part};
pub use private::{new_private_directory, new_private_file, open_own_file, read_own_file};
pub use quarantine::Quarantined;
pub use record::{Each, sealed_record};
pub use removal::{RemoveError, remove_tree};
pub use space::{Holder, Space, Survey};
pub use staging::{Published, Staging, unique};
pub use store_dir::StoreDir;
pub use transfer::{clone_file, copy_holes, copy_range, copy_range_in_kernel, next_data, share_range};
pub use verify::{Expected, VerifyError, VerifyingReader};
pub use writeback::Writeback;
