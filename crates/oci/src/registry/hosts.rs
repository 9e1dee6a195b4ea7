use std::sync::Arc;

use super::authentication::Authentication;
use super::certificates::{HostCertificates, SystemAuthorities};
use super::endpoint::Endpoint;
use super::network::{Network, Surroundings};
use super::options::RegistryOptions;
use super::proxy::ProxyRules;
use super::repository::Repository;
use super::url::Url;
use crate::{Error, Reference};

/// What Docker Hub's registry is really called.
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// The hosts that a reference's repository is at.
pub(crate) fn repository(reference: &Reference, options: &RegistryOptions) -> Result<Repository, Error> {
    let surroundings = Arc::new(Surroundings {
        limits: options.limits,
        watch: Arc::clone(&options.watch),
        authorities: SystemAuthorities::default(),
        proxy: ProxyRules::new(&options.environment),
    });
    let host = if reference.domain() == HUB.0 { HUB.1 } else { reference.domain() };
    let scheme = if options.plain_http { "http" } else { "https" };
    let base = Url::parse(&format!("{scheme}://{host}/v2"))
        .map_err(|problem| Error::Host { host: host.to_owned(), problem })?;
    let credentials = options.credentials.clone();
    let endpoint = Endpoint {
        resolves: true,
        pulls: true,
        namespace: None,
        headers: Vec::new(),
        login: reference.domain().to_owned(),
        authentication: Authentication::new(move || Ok(credentials.clone())),
        network: Network::new(base.clone(), HostCertificates::default(), &surroundings),
        base,
    };
    Ok(Repository { reference: reference.clone(), endpoints: vec![endpoint], surroundings })
}
