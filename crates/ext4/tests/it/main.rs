//! What the writer makes, judged by others: e2fsck, debugfs, resize2fs, the kernel, ext4-view.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod backups;
mod boundaries;
mod check;
mod grow_again;
mod grow_foreign;
mod grow_interrupted;
mod grow_refused;
mod grow_sizes;
mod hostile;
mod image;
mod layout;
mod random;
mod recorder;
mod sample;
mod set_uuid;
mod sizes;
mod structure;
mod written;
