use offshoot::PullPolicy;

use crate::arguments::{Arguments, Format, PullArguments};
use crate::exit::Error;
use crate::render::{self, json};
use crate::session;

/// What is asked for by name is asked of its source, whatever is in the store.
pub(super) fn run(arguments: &Arguments, pull: &PullArguments) -> Result<(), Error> {
    let store = session::store(arguments)?;
    let reporter = session::reporter(arguments)?;
    let options = session::pull_options(arguments, &reporter, &pull.source, PullPolicy::Always);
    let record = store.pull(&pull.image, &options, &reporter)?;
    match arguments.format {
        Format::Plain => render::print(&format!("{}\n", record.manifest_digest)),
        Format::Json => render::print_json(&json::image(&record)),
    }
}
