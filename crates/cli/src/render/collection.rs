//! A collection's plan, and what became of it.

use std::path::Path;

use offshoot::{
    Collectable, Collection, CollectionEntry, CollectionOutcome, CollectionPlan, CollectionReason,
    KeptReason, with_causes,
};
use serde::Serialize;

use super::json::VERSION;
use super::table::Table;
use crate::size::Size;

/// One line for each entry, and one for all.
pub(crate) fn table(plan: &CollectionPlan, done: Option<&Collection>) -> String {
    let mut table = Table::new(&["WHAT", "ID", "FREES", "STATE", "WHY"], &[2]);
    for (entry, outcome) in entries(plan, done) {
        table.row([
            entry.what.to_string(),
            entry.id.clone(),
            Size(entry.bytes).to_string(),
            match outcome {
                Some(CollectionOutcome::Kept(reason)) => format!("kept ({reason})"),
                _ => state(outcome).to_owned(),
            },
            entry.reason.to_string(),
        ]);
    }
    let bytes = done.map_or_else(|| plan.bytes, |done| done.bytes);
    let count = plan.entries.len();
    table.row(["total", &count.to_string(), &Size(bytes).to_string(), "", ""].map(str::to_owned));
    table.render()
}

/// What stays, in one line.
pub(crate) fn kept(plan: &CollectionPlan) -> String {
    let kept = plan.kept.iter().map(|kept| {
        let plural = if kept.count == 1 { "" } else { "s" };
        format!("{} {}{plural} ({})", kept.count, kept.what, kept.reason)
    });
    kept.collect::<Vec<_>>().join(", ")
}

fn entries<'a>(
    plan: &'a CollectionPlan,
    done: Option<&'a Collection>,
) -> Vec<(&'a CollectionEntry, Option<&'a CollectionOutcome>)> {
    match done {
        None => plan.entries.iter().map(|entry| (entry, None)).collect(),
        Some(done) => done.entries.iter().map(|done| (&done.entry, Some(&done.outcome))).collect(),
    }
}

fn state(outcome: Option<&CollectionOutcome>) -> &'static str {
    match outcome {
        None => "planned",
        Some(CollectionOutcome::Removed) => "removed",
        Some(CollectionOutcome::Kept(_)) => "kept",
        Some(CollectionOutcome::Failed(_)) => "failed",
        Some(_) => "gone",
    }
}

#[derive(Serialize)]
pub(crate) struct CollectionJson<'a> {
    version: u32,
    dry_run: bool,
    entries: Vec<EntryJson<'a>>,
    bytes: u64,
    kept: Vec<KeptJson>,
    room: Option<RoomJson>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct EntryJson<'a> {
    what: Collectable,
    id: &'a str,
    path: &'a Path,
    reason: CollectionReason,
    bytes: u64,
    state: &'static str,
    /// Why it could not be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct KeptJson {
    what: Collectable,
    reason: KeptReason,
    count: usize,
}

#[derive(Serialize)]
struct RoomJson {
    wanted_bytes: u64,
    available_bytes: u64,
    missing_bytes: u64,
}

pub(crate) fn json<'a>(plan: &'a CollectionPlan, done: Option<&'a Collection>) -> CollectionJson<'a> {
    let entry = |(entry, outcome): (&'a CollectionEntry, _)| EntryJson {
        what: entry.what,
        id: &entry.id,
        path: &entry.path,
        reason: entry.reason,
        bytes: entry.bytes,
        state: state(outcome),
        error: match outcome {
            Some(CollectionOutcome::Failed(error)) => Some(with_causes(error)),
            _ => None,
        },
    };
    CollectionJson {
        version: VERSION,
        dry_run: done.is_none(),
        entries: entries(plan, done).into_iter().map(entry).collect(),
        bytes: done.map_or_else(|| plan.bytes, |done| done.bytes),
        kept: plan
            .kept
            .iter()
            .map(|kept| KeptJson { what: kept.what, reason: kept.reason, count: kept.count })
            .collect(),
        room: done.map_or(plan.room, |done| done.room).map(|room| RoomJson {
            wanted_bytes: room.wanted_bytes,
            available_bytes: room.available_bytes,
            missing_bytes: room.missing_bytes,
        }),
        problems: plan
            .problems
            .iter()
            .chain(done.iter().flat_map(|done| &done.problems))
            .map(|problem| with_causes(problem))
            .collect(),
    }
}
