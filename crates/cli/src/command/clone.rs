use offshoot::{BuildOptions, CloneOptions, ErrorKind, ImageName, Store, Template};

use crate::arguments::{Arguments, CloneArguments, Format};
use crate::exit::Error;
use crate::render::{self, json};
use crate::session;

pub(super) fn run(arguments: &Arguments, clone: &CloneArguments) -> Result<(), Error> {
    let store = session::store(arguments)?;
    let template = template(arguments, &store, &clone.template)?;
    let options =
        CloneOptions { strategy: clone.strategy.0, read_only: clone.read_only, ephemeral: clone.ephemeral };
    let clone = store.clone_template(&template, &clone.vm, &options)?;
    match arguments.format {
        Format::Plain => render::print_path(&clone.path),
        Format::Json => render::print_json(&json::clone(&clone)),
    }
}

/// A template's name or id wins over an image of the same spelling.
fn template(arguments: &Arguments, store: &Store, name: &str) -> Result<Template, Error> {
    if let Some(template) = store.find_template(name)? {
        return Ok(template);
    }
    let image: ImageName =
        name.parse().map_err(|error| Error::Name { name: name.to_owned(), reason: error })?;
    let reporter = session::reporter(arguments)?;
    store.build(&image, &BuildOptions::default(), &reporter).map_err(|error| match (&image, error.kind()) {
        // A name without a transport may well be a template's, mistyped.
        (ImageName::Registry(_), ErrorKind::Unsupported) => {
            Error::NoTemplate { name: name.to_owned(), source: Box::new(error) }
        }
        _ => error.into(),
    })
}
