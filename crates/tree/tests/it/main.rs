//! The OCI merge rules, as tables and against a naive model.
#![allow(missing_docs, clippy::unwrap_used)]

mod model;
mod rules;
