//! What each of offshoot's fuzz targets does with an input, and where its inputs begin. Never part of the program.
//!
//! A target is a function of bytes that panics when offshoot does what it never may: panic itself, contradict itself,
//! a model or another program, or follow what it should refuse. libFuzzer calls it (`fuzz/`, `cargo xtask fuzz`), and
//! so do this crate's tests, with the seeds, what comes of damaging them, and noise.

#![expect(clippy::unwrap_used, reason = "a panic is how a target says that something is wrong")]

mod document;
mod ext4_disk;
mod ext4_tree;
mod image_source;
mod judge;
mod merge;
mod noise;
mod pack;
mod pack_index;
mod parts;
mod qcow2;
mod reference;
mod registry_answers;
mod registry_settings;
mod sparse_disk;
mod target;

pub use document::document;
pub use ext4_disk::ext4_disk;
pub use ext4_tree::ext4_tree;
pub use image_source::image_source;
pub use merge::merge;
pub use pack::pack;
pub use pack_index::pack_index;
pub use qcow2::qcow2;
pub use reference::reference;
pub use registry_answers::registry_answers;
pub use registry_settings::registry_settings;
pub use target::{TARGETS, Target};
