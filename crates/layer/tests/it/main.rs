//! Layers become packs: archives of independent writers, hostile archives, streams of every compression, and
//! what damage to a finished pack looks like.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod archive;
mod damage;
mod gnu_tar;
mod hostile;
mod limits;
mod meaning;
mod random;
mod streams;
