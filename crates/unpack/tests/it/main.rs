//! Trees in directories, judged by the kernel and by the programs that come with filesystems.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod attacked;
mod check;
mod deep;
mod native;
mod overriding;
mod random;
mod refused;
mod removed;
mod sample;
mod shared;
mod traced;
mod user;
