//! The library as its users see it.
#![allow(missing_docs, clippy::unwrap_used)]

mod building;
mod changing;
mod cloning;
mod collecting;
mod collecting_beside;
mod collecting_model;
mod collecting_oddities;
mod collecting_races;
mod contradictions;
mod damage;
mod diagnosing;
mod image;
mod importing;
mod killed_sessions;
mod left_alone;
mod repairing;
mod running;
mod sessions;
mod setting_aside;
mod stopping;
mod strategies;
mod together;
mod unreadable;
mod verifying;
mod verifying_progress;
