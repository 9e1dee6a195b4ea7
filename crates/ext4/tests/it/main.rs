//! What the writer makes, judged by others: e2fsck, debugfs, resize2fs, the kernel, ext4-view.

mod boundaries;
mod check;
mod hostile;
mod image;
mod layout;
mod random;
mod sample;
mod sizes;
