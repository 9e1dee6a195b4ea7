use offshoot::VmId;

use crate::arguments::Arguments;
use crate::exit::Error;
use crate::session;

pub(super) fn run(arguments: &Arguments, vms: &[VmId]) -> Result<(), Error> {
    let store = session::store(arguments)?;
    // All that can be released are; the first failure is what is told.
    let released: Vec<_> = vms.iter().map(|vm| store.release(vm)).collect();
    released.into_iter().collect::<Result<(), _>>().map_err(Error::from)
}
