//! The testkit's own parts, tried against each other, and the shape of the workspace.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod boot;
mod dependencies;
mod samples;
