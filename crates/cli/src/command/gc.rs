use offshoot::{CollectionOptions, CollectionOutcome};

use crate::arguments::{Arguments, Format, GcArguments};
use crate::exit::{Error, say};
use crate::render::{self, collection};
use crate::session;

pub(super) fn run(arguments: &Arguments, gc: &GcArguments) -> Result<(), Error> {
    let store = session::store(arguments)?;
    let options = CollectionOptions { grace: gc.grace, keep_free: gc.keep_free, quarantine: gc.quarantine };
    let plan = store.plan_collection(&options)?;
    let done = if gc.dry_run { None } else { Some(store.collect(&plan)?) };
    match arguments.format {
        Format::Plain => render::print(&collection::table(&plan, done.as_ref()))?,
        Format::Json => render::print_json(&collection::json(&plan, done.as_ref()))?,
    }
    if arguments.format == Format::Plain && !arguments.quiet && !plan.kept.is_empty() {
        say(&format!("offshoot: kept: {}", collection::kept(&plan)));
    }
    let room = done.as_ref().map_or(plan.room, |done| done.room);
    let (entries, found_later) = done.map_or_else(Default::default, |done| (done.entries, done.problems));
    let failed = entries.into_iter().find_map(|entry| match entry.outcome {
        CollectionOutcome::Failed(error) => Some(error),
        _ => None,
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    let count = plan.problems.len() + found_later.len();
    if let Some(first) = plan.problems.into_iter().chain(found_later).next() {
        return Err(Error::Unread { count, first: first.into() });
    }
    match room {
        Some(room) if room.missing_bytes > 0 => Err(Error::Room { missing_bytes: room.missing_bytes }),
        _ => Ok(()),
    }
}
