//! What a store promises, also when several want the same thing and when one of them dies.
#![allow(missing_docs, clippy::unwrap_used)]

mod files;
mod leases;
mod locks;
mod opening;
mod publishing;
mod space;
mod transfers;
mod writeback;
