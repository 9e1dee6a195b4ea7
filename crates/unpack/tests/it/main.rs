//! Trees in directories, judged by the kernel, by umoci and by strace.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod check;
mod native;
mod sample;
