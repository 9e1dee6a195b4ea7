use offshoot::VmId;

use crate::arguments::Arguments;
use crate::exit::{Error, every};
use crate::session;

pub(super) fn run(arguments: &Arguments, vms: &[VmId]) -> Result<(), Error> {
    let store = session::store(arguments)?;
    every(vms.iter().map(|vm| store.release(vm)))
}
