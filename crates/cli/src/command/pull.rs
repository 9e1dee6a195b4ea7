use offshoot::{Limits, PullOptions};

use crate::arguments::{Arguments, Format, LimitArguments, PullArguments};
use crate::exit::Error;
use crate::render::{self, json};
use crate::session;

pub(super) fn run(arguments: &Arguments, pull: &PullArguments) -> Result<(), Error> {
    let store = session::store(arguments)?;
    let options = PullOptions { platform: pull.platform.clone(), limits: limits(&pull.limits) };
    let record = store.pull(&pull.image, &options, &session::reporter(arguments)?)?;
    match arguments.format {
        Format::Plain => render::print(&format!("{}\n", record.manifest_digest)),
        Format::Json => render::print_json(&json::image(&record)),
    }
}

pub(super) fn limits(arguments: &LimitArguments) -> Limits {
    let mut limits = Limits::default();
    if let Some(size) = arguments.max_layer_size {
        limits.tar_bytes = size.0;
    }
    if let Some(entries) = arguments.max_layer_entries {
        limits.entries = entries;
    }
    limits
}
