use crate::arguments::Arguments;
use crate::exit::{Error, every};
use crate::session;

pub(super) fn run(arguments: &Arguments, names: &[String]) -> Result<(), Error> {
    let store = session::store(arguments)?;
    every(names.iter().map(|name| store.remove(name)))
}
