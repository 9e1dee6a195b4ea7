use std::path::Path;

use offshoot::{PullPolicy, UnpackSummary};

use super::clone::{image, not_a_template};
use crate::arguments::{Arguments, Format, SourceArguments};
use crate::exit::{Error, say};
use crate::render::{self, json};
use crate::session;

pub(super) fn run(
    arguments: &Arguments,
    name: &str,
    directory: &Path,
    policy: PullPolicy,
    source: &SourceArguments,
) -> Result<(), Error> {
    let store = session::store(arguments)?;
    let reporter = session::reporter(arguments)?;
    let summary = match store.find_template(name)? {
        Some(template) => store.unpack_template(&template, directory, &reporter)?,
        None => {
            let image = image(name)?;
            let options = session::pull_options(arguments, &reporter, source, policy);
            store
                .unpack(&image, &options, directory, &reporter)
                .map_err(|error| not_a_template(name, &image, error))?
        }
    };
    if !arguments.quiet {
        warn(&summary);
    }
    match arguments.format {
        Format::Plain => render::print_path(directory),
        Format::Json => render::print_json(&json::unpacked(directory, &summary)),
    }
}

/// What the host could not hold.
fn warn(summary: &UnpackSummary) {
    let lines = [
        (summary.specials_recorded, "devices and pipes are empty files, and recorded as what they are"),
        (summary.owners_lost, "symbolic links have lost their owner"),
        (summary.xattrs_refused, "extended attributes were refused by the host and left out"),
        (summary.times_clamped, "files have a time as near to theirs as this filesystem can hold"),
    ];
    for (count, what) in lines {
        if count > 0 {
            say(&format!("offshoot: {count} {what}"));
        }
    }
}
