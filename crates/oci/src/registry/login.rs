use super::backoff::Backoff;
use super::endpoint::Get;
use super::host::RegistryHost;
use super::hosts;
use super::options::RegistryOptions;
use super::problem::RegistryProblem;
use crate::Error;
use crate::credentials::{Credentials, KeptIn, Key, Keychain};

/// Tries credentials on a registry and keeps them where [`open`](crate::open) will find them.
///
/// `Ok` promises that the registry answered `GET /v2/` with them, and that they are kept: in the file that has some for
/// this registry already, else in the one that is named (`--authfile`, `REGISTRY_AUTH_FILE`), else in Docker's; or
/// by the helper that this file names. A registry that asks nobody for credentials accepts any.
pub fn login(
    registry: &RegistryHost,
    credentials: &Credentials,
    options: &RegistryOptions,
) -> Result<KeptIn, Error> {
    let trying = RegistryOptions { credentials: Some(credentials.clone()), ..options.clone() };
    let endpoint = hosts::registry(registry.as_str(), &trying)?;
    let surroundings = &endpoint.network.surroundings;
    let failed = |problem| {
        surroundings.told.discreet(Error::Registry {
            what: "access".to_owned(),
            host: endpoint.host().to_owned(),
            mirrors: Vec::new(),
            problem: Box::new(problem),
        })
    };
    let get = Get { path: "", accept: None, offset: None, scope: None };
    let mut backoff = Backoff::new(options.limits, &surroundings.watch);
    loop {
        match endpoint.get(&get) {
            Ok(_) => break,
            Err(problem) => backoff.again(endpoint.host(), problem).map_err(failed)?,
        }
    }
    keychain(options)
        .keep(&Key::new(registry.as_str(), ""), credentials)
        .map_err(|source| failed(RegistryProblem::Credentials(source)))
}

/// Forgets what is kept of a registry's credentials, in files and by helpers; says where it was, which may be
/// nowhere. No registry is asked.
pub fn logout(registry: &RegistryHost, options: &RegistryOptions) -> Result<Vec<KeptIn>, Error> {
    keychain(options).forget(&Key::new(registry.as_str(), "")).map_err(|source| Error::Registry {
        what: "access".to_owned(),
        host: registry.to_string(),
        mirrors: Vec::new(),
        problem: Box::new(RegistryProblem::Credentials(source)),
    })
}

fn keychain(options: &RegistryOptions) -> Keychain {
    Keychain::new(options.auth_file.as_ref(), &options.environment, options.limits.helper, &options.watch)
}
