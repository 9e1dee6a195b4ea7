//! The library as its users see it.
#![allow(missing_docs, clippy::unwrap_used)]

mod building;
mod cloning;
mod image;
mod stopping;
mod together;
