//! Every fuzz target's short form, and its entry point.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod entry_points;
mod short;
