use crate::arguments::Arguments;
use crate::exit::Error;
use crate::session;

pub(super) fn run(arguments: &Arguments, names: &[String]) -> Result<(), Error> {
    let store = session::store(arguments)?;
    // All that can be removed are; the first failure is what is told.
    let removed: Vec<_> = names.iter().map(|name| store.remove(name)).collect();
    removed.into_iter().collect::<Result<(), _>>().map_err(Error::from)
}
