use crate::arguments::Arguments;
use crate::exit::Error;
use crate::render::{self, json};
use crate::session;

pub(super) fn run(arguments: &Arguments, name: &str) -> Result<(), Error> {
    render::print_json(&json::list(session::store(arguments)?.inspect(name)?))
}
