//! Overlays that this crate makes and writes, judged by QEMU's programs; and QEMU's, read by this crate.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod create;
mod hostile;
mod images;
mod qemu;
mod traced;
mod written;
