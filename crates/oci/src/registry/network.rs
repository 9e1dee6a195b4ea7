use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ureq::http::header::LOCATION;
use ureq::http::{HeaderName, HeaderValue, Method};

use super::certificates::{HostCertificates, SystemAuthorities};
use super::options::RegistryLimits;
use super::problem::RegistryProblem;
use super::proxy::ProxyRules;
use super::told::Told;
use super::transport::{Answer, Connections, TransportError};
use super::url::Url;
use super::watch::Watch;

/// The ways from one endpoint to hosts: its own, and those that it leads to. Each has its own certificates, so a
/// storage never sees the client's certificate that the registry asks for.
pub(crate) struct Network {
    own: Url,
    certificates: HostCertificates,
    pub(crate) surroundings: Arc<Surroundings>,
    connections: Mutex<HashMap<Way, Connections>>,
}

/// What all endpoints of a source share.
pub(crate) struct Surroundings {
    pub(crate) limits: RegistryLimits,
    /// Hears no secret.
    pub(crate) watch: Arc<dyn Watch>,
    /// What the hosts learn.
    pub(crate) told: Told,
    pub(crate) authorities: SystemAuthorities,
    pub(crate) proxy: ProxyRules,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Way {
    /// As the endpoint's certificates have it, not as those of a stranger.
    personal: bool,
    tls: bool,
    proxied: bool,
}

impl Network {
    pub(crate) fn new(own: Url, certificates: HostCertificates, surroundings: &Arc<Surroundings>) -> Self {
        Self { own, certificates, surroundings: Arc::clone(surroundings), connections: Mutex::default() }
    }

    /// A `GET`, redirects followed: at most so many, none from HTTPS to HTTP. `personal` gives what only some hosts
    /// may see. Gives the last answer, and whose it is.
    pub(crate) fn follow(
        &self,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        personal: impl Fn(&Url) -> Vec<(HeaderName, HeaderValue)>,
    ) -> Result<(Url, Answer), RegistryProblem> {
        let mut url = url.clone();
        for _ in 0..=self.surroundings.limits.redirects {
            let all = [headers, &personal(&url)].concat();
            let answer = self.send(&Method::GET, &url, &all, None)?;
            let location = match answer.status {
                301 | 302 | 303 | 307 | 308 => answer.header(&LOCATION),
                _ => None,
            };
            let Some(location) = location else { return Ok((url, answer)) };
            let next = url.join(location).map_err(RegistryProblem::Location)?;
            if url.is_tls() && !next.is_tls() {
                return Err(RegistryProblem::InsecureRedirect(next.to_string()));
            }
            url = next;
        }
        Err(RegistryProblem::Redirects(self.surroundings.limits.redirects))
    }

    /// One request, one answer.
    pub(crate) fn send(
        &self,
        method: &Method,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Option<&str>,
    ) -> Result<Answer, TransportError> {
        self.connections(url)?.send(method, url, headers, body)
    }

    fn connections(&self, url: &Url) -> Result<Connections, TransportError> {
        let proxy = self.surroundings.proxy.for_url(url)?;
        let way = Way {
            personal: url.same_origin(&self.own) && self.certificates.are_personal(),
            tls: url.is_tls(),
            proxied: proxy.is_some(),
        };
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let Surroundings { limits, watch, authorities, .. } = &*self.surroundings;
        let make = || {
            let tls = match way {
                Way { tls: false, .. } => HostCertificates::none(),
                Way { personal: true, .. } => self.certificates.tls(authorities),
                Way { .. } => self.certificates.impersonal().tls(authorities),
            };
            Connections::new(tls, proxy, limits, watch)
        };
        Ok(connections.entry(way).or_insert_with(make).clone())
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("own", &self.own).finish_non_exhaustive()
    }
}
