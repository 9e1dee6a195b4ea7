use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use offshoot::Store;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::arguments::Arguments;
use crate::exit::Error;
use crate::progress::Reporter;

/// Opens the store that the arguments name.
pub(crate) fn store(arguments: &Arguments) -> Result<Store, Error> {
    let directory = match &arguments.store {
        Some(directory) => directory.clone(),
        None => default_directory()?,
    };
    Ok(Store::open(&directory)?)
}

fn default_directory() -> Result<PathBuf, Error> {
    if rustix::process::geteuid().is_root() {
        return Ok("/var/lib/offshoot".into());
    }
    let set = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
    Ok(data.ok_or(Error::NoHome)?.join("offshoot"))
}

/// Shows progress as asked for, and stops the operation cleanly at the first interrupt; the second kills.
pub(crate) fn reporter(arguments: &Arguments) -> Result<Reporter, Error> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_default(signal, Arc::clone(&interrupted)).map_err(Error::Signals)?;
        flag::register(signal, Arc::clone(&interrupted)).map_err(Error::Signals)?;
    }
    Ok(Reporter::new(arguments, interrupted))
}
