use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use offshoot::{Environment, Limits, LocalOptions, PullOptions, PullPolicy, RegistryOptions, Store};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::arguments::{Arguments, LimitArguments, SourceArguments};
use crate::exit::Error;
use crate::progress::Reporter;

/// Opens the store that the arguments name.
pub(crate) fn store(arguments: &Arguments) -> Result<Store, Error> {
    Ok(Store::open(&directory(arguments)?)?)
}

/// Where the store is that the arguments name.
pub(crate) fn directory(arguments: &Arguments) -> Result<PathBuf, Error> {
    match &arguments.store {
        Some(directory) => Ok(directory.clone()),
        None => default_directory(),
    }
}

fn default_directory() -> Result<PathBuf, Error> {
    if rustix::process::geteuid().is_root() {
        return Ok("/var/lib/offshoot".into());
    }
    let set = |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
    Ok(data.ok_or(Error::NoHome)?.join("offshoot"))
}

/// How an image is come by, as the arguments say.
pub(crate) fn pull_options(
    arguments: &Arguments,
    reporter: &Reporter,
    source: &SourceArguments,
    policy: PullPolicy,
) -> PullOptions {
    let registry = &source.registry;
    let mut options = RegistryOptions {
        plain_http: registry.plain_http,
        credentials: registry.creds.clone(),
        auth_file: registry.authfile.clone(),
        ..registry_options(arguments, reporter)
    };
    if !registry.hosts_dir.is_empty() {
        options.host_directories.clone_from(&registry.hosts_dir);
    }
    let local = LocalOptions { watch: reporter.watch(arguments), ..LocalOptions::of_process() };
    PullOptions {
        platform: source.platform.clone(),
        limits: limits(&source.limits),
        policy,
        registry: options,
        local,
    }
}

/// How registries are talked to where nothing is said.
pub(crate) fn registry_options(arguments: &Arguments, reporter: &Reporter) -> RegistryOptions {
    RegistryOptions {
        environment: Environment::of_process(),
        watch: reporter.watch(arguments),
        ..RegistryOptions::default()
    }
}

fn limits(arguments: &LimitArguments) -> Limits {
    let mut limits = Limits::default();
    if let Some(size) = arguments.max_layer_size {
        limits.tar_bytes = size.0;
    }
    if let Some(entries) = arguments.max_layer_entries {
        limits.entries = entries;
    }
    if let Some(size) = arguments.max_layer_index {
        limits.index_bytes = size.0;
    }
    limits
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
