//! The library as its users see it.
#![allow(missing_docs, clippy::unwrap_used)]

mod building;
mod changing;
mod cloning;
mod collecting;
mod damage;
mod image;
mod importing;
mod sessions;
mod stopping;
mod strategies;
mod together;
