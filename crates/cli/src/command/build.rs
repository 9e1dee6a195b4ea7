use offshoot::{BuildOptions, DiskSize, Store};

use crate::arguments::{Arguments, BuildArguments, Format};
use crate::exit::Error;
use crate::render::{self, json};
use crate::session;

pub(super) fn run(arguments: &Arguments, build: &BuildArguments) -> Result<(), Error> {
    if let Some(output) = &build.output {
        // Known before the work is done; the export looks again.
        Store::check_output(output)?;
    }
    let store = session::store(arguments)?;
    let reporter = session::reporter(arguments)?;
    let size = match (build.size, DiskSize::default()) {
        (Some(size), _) => DiskSize::Bytes(size.0),
        (None, DiskSize::Automatic { headroom_min_bytes, .. }) => {
            DiskSize::Automatic { headroom_percent: build.headroom, headroom_min_bytes }
        }
        (None, default) => default,
    };
    let options = BuildOptions {
        name: build.name.clone(),
        size,
        journal: !build.no_journal,
        injections: build.inject.clone(),
        with_packs: false,
        pull: session::pull_options(arguments, &reporter, &build.pull.source, build.policy),
    };
    let template = store.build(&build.pull.image, &options, &reporter)?;
    if let Some(output) = &build.output {
        store.export(&template, output)?;
    }
    match (arguments.format, &build.output) {
        (Format::Json, output) => render::print_json(&json::built(&template, output.as_deref())),
        (Format::Plain, Some(output)) => render::print_path(output),
        (Format::Plain, None) => render::print(&format!("{}\n", template.record.id)),
    }
}
