use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::authentication::Authentication;
use super::certificates::{HostCertificates, SystemAuthorities};
use super::discreet_watch::DiscreetWatch;
use super::endpoint::Endpoint;
use super::hosts_file::{HostEntry, HostsFile, read_certificates};
use super::network::{Network, Surroundings};
use super::options::RegistryOptions;
use super::proxy::ProxyRules;
use super::repository::Repository;
use super::told::Told;
use super::url::Url;
use super::watch::Notice;
use crate::credentials::{Key, Keychain};
use crate::{Error, Reference};

/// What Docker Hub's registry is really called.
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");
/// The directory for registries that have none of their own.
const DEFAULT_DIRECTORY: &str = "_default";

/// The hosts that a reference's repository is at: the mirrors that the administrator names, and the registry itself.
pub(crate) fn repository(reference: &Reference, options: &RegistryOptions) -> Result<Repository, Error> {
    let setting = Setting::new(reference.domain(), reference.path(), options);
    let (file, certificates) = configuration(reference.domain(), options)?;
    let mut endpoints: Vec<Endpoint> = file.mirrors.into_iter().map(|entry| setting.mirror(entry)).collect();
    endpoints.push(setting.server(file.server, certificates)?);
    Ok(Repository { reference: reference.clone(), endpoints, surroundings: setting.surroundings })
}

/// The registry itself, as far as it has to do with no repository.
pub(crate) fn registry(host: &str, options: &RegistryOptions) -> Result<Endpoint, Error> {
    let (file, certificates) = configuration(host, options)?;
    Setting::new(host, "", options).server(file.server, certificates)
}

/// What endpoints of one repository have in common.
struct Setting<'a> {
    domain: &'a str,
    path: &'a str,
    options: &'a RegistryOptions,
    surroundings: Arc<Surroundings>,
    keychain: Keychain,
}

impl<'a> Setting<'a> {
    fn new(domain: &'a str, path: &'a str, options: &'a RegistryOptions) -> Self {
        let told = Told::new([format!("{domain}/{path}"), domain.to_owned()]);
        let inner = Arc::clone(&options.watch);
        let surroundings = Arc::new(Surroundings {
            limits: options.limits,
            watch: Arc::new(DiscreetWatch { inner, told: told.clone() }),
            told,
            authorities: SystemAuthorities::default(),
            proxy: ProxyRules::new(&options.environment),
        });
        let RegistryOptions { auth_file, environment, limits, watch, .. } = options;
        let keychain = Keychain::new(auth_file.as_ref(), environment, limits.helper, watch);
        Self { domain, path, options, surroundings, keychain }
    }

    /// A mirror: with its own credentials, and told which registry it is to speak for.
    fn mirror(&self, entry: HostEntry) -> Endpoint {
        let host = entry.url.authority().to_owned();
        let own = host == self.domain || (self.domain == HUB.0 && host == HUB.1);
        let namespace = (!own).then(|| self.domain.to_owned());
        let (keychain, key) = (self.keychain.clone(), Key::new(&host, self.path));
        let authentication = Authentication::new(move || keychain.find(&key), &self.surroundings.told);
        self.endpoint(entry, namespace, host, authentication)
    }

    /// The registry itself; `--creds` and `--plain-http` are for it alone.
    fn server(&self, entry: Option<HostEntry>, certificates: HostCertificates) -> Result<Endpoint, Error> {
        let host = if self.domain == HUB.0 { HUB.1 } else { self.domain };
        let scheme = if self.options.plain_http { "http" } else { "https" };
        let usual = Url::parse(&format!("{scheme}://{host}/v2"))
            .map_err(|problem| Error::Host { host: host.to_owned(), problem })?;
        let entry = match entry {
            Some(entry) if self.options.plain_http && entry.url.authority() == usual.authority() => {
                HostEntry { url: usual, ..entry }
            }
            Some(entry) => entry,
            None => HostEntry { url: usual, resolves: true, pulls: true, headers: Vec::new(), certificates },
        };
        let given = self.options.credentials.clone();
        let (keychain, key) = (self.keychain.clone(), Key::new(self.domain, self.path));
        let find = move || match &given {
            Some(given) => Ok(Some(given.clone())),
            None => keychain.find(&key),
        };
        let authentication = Authentication::new(find, &self.surroundings.told);
        Ok(self.endpoint(entry, None, self.domain.to_owned(), authentication))
    }

    fn endpoint(
        &self,
        entry: HostEntry,
        namespace: Option<String>,
        login: String,
        authentication: Authentication,
    ) -> Endpoint {
        let HostEntry { url, resolves, pulls, headers, certificates } = entry;
        for (name, value) in headers.iter().filter_map(|(name, value)| Some((name, value.to_str().ok()?))) {
            self.surroundings.told.header(name, value);
        }
        let network = Network::new(url.clone(), certificates, &self.surroundings);
        let down = Default::default();
        Endpoint { base: url, resolves, pulls, namespace, headers, login, authentication, network, down }
    }
}

/// What the host directories say of a registry: the first `hosts.toml` of its own, else the first default one, and
/// all certificates in directories of its own that have no `hosts.toml`.
fn configuration(domain: &str, options: &RegistryOptions) -> Result<(HostsFile, HostCertificates), Error> {
    let mut certificates = HostCertificates::default();
    let mut found = None;
    for directory in options.host_directories.iter().flat_map(|root| own_directories(root, domain)) {
        let read = HostsFile::read(&directory).and_then(|file| match file {
            Some(file) => Ok(Some(file)),
            None => read_certificates(&directory, &mut certificates).map(|()| None),
        });
        let file = unless_forbidden(read, options)?;
        found = found.or(file);
    }
    for root in &options.host_directories {
        if found.is_none() {
            found = unless_forbidden(HostsFile::read(&root.join(DEFAULT_DIRECTORY)), options)?;
        }
    }
    Ok((found.unwrap_or_default(), certificates))
}

/// What only the administrator may read is not meant for this user; a notice says so.
fn unless_forbidden<T>(
    read: Result<Option<T>, Error>,
    options: &RegistryOptions,
) -> Result<Option<T>, Error> {
    match read {
        Err(Error::Io { path, source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            options.watch.notice(&Notice::Forbidden { path });
            Ok(None)
        }
        other => other,
    }
}

/// `HOST:PORT` and, since some filesystems have no colons, `HOST_PORT_`. A domain has no slash, and is not `..`.
fn own_directories(root: &Path, domain: &str) -> Vec<PathBuf> {
    let underscored = domain
        .rsplit_once(':')
        .filter(|(_, port)| !port.contains(']'))
        .map(|(host, port)| root.join(format!("{host}_{port}_")));
    std::iter::once(root.join(domain)).chain(underscored).collect()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::Watch;

    #[derive(Default)]
    struct Notices(Mutex<Vec<Notice>>);

    impl Watch for Notices {
        fn notice(&self, notice: &Notice) {
            self.0.lock().unwrap().push(notice.clone());
        }
    }

    #[test]
    fn what_may_not_be_read_is_passed_over() {
        let notices = Arc::new(Notices::default());
        let watch: Arc<dyn Watch> = Arc::clone(&notices) as _;
        let options = RegistryOptions { watch, ..RegistryOptions::default() };
        let path = PathBuf::from("/etc/containerd/certs.d/registry.example.com/hosts.toml");
        let failed = |kind: io::ErrorKind| Err(Error::io("read", &path)(io::Error::from(kind)));
        let denied: Result<Option<()>, Error> = failed(ErrorKind::PermissionDenied);
        assert!(matches!(unless_forbidden(denied, &options), Ok(None)));
        let other: Result<Option<()>, Error> = failed(ErrorKind::InvalidData);
        assert!(unless_forbidden(other, &options).is_err());
        let text = notices.0.lock().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text, [format!("{} may not be read by this user; passing it over", path.display())]);
    }
}
