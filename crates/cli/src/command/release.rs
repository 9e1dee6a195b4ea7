use offshoot::VmId;

use crate::arguments::Arguments;
use crate::exit::Error;
use crate::session;

pub(super) fn run(arguments: &Arguments, vms: &[VmId]) -> Result<(), Error> {
    let store = session::store(arguments)?;
    vms.iter().try_for_each(|vm| store.release(vm)).map_err(Error::from)
}
