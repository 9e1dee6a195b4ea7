use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::watch::{Unwatched, Watch};
use crate::credentials::{Credentials, Environment};

/// Where programs look for what is said of registries: containerd's, Docker's and podman's directories.
const HOST_DIRECTORIES: [&str; 3] =
    ["/etc/containerd/certs.d", "/etc/docker/certs.d", "/etc/containers/certs.d"];

/// How registries are talked to. The default is anonymous HTTPS, with the mirrors and certificates that the host's
/// administrator has set up; it reads no environment variable.
#[derive(Clone)]
pub struct RegistryOptions {
    /// Talk HTTP to the registry that an image names; without it, only HTTPS. Mirrors say it for themselves.
    pub plain_http: bool,
    /// For the registry that an image names, before any that are found in files.
    pub credentials: Option<Credentials>,
    /// The one file to look for credentials in, in place of those that the environment leads to.
    pub auth_file: Option<PathBuf>,
    /// What there is besides: where credentials and certificates lie, which proxy to use.
    pub environment: Environment,
    /// Directories with one directory a registry, which has a `hosts.toml` or certificates.
    pub host_directories: Vec<PathBuf>,
    /// A directory for downloads under way, which outlive the process there; made where it does not exist.
    pub partials: Option<PathBuf>,
    /// When to give up.
    pub limits: RegistryLimits,
    /// Who watches.
    pub watch: Arc<dyn Watch>,
}

/// When a registry is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryLimits {
    /// How many attempts there are in a row that get nowhere; every byte of progress starts the count anew.
    pub attempts: u32,
    /// The pause before the second attempt; each further one is twice as long, and up to a half shorter at random.
    pub first_pause: Duration,
    /// The longest pause. A registry that asks for a longer one (`Retry-After`) is given up.
    pub longest_pause: Duration,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long there may be no byte.
    pub stall: Duration,
    /// How long a credential helper may take.
    pub helper: Duration,
    /// How many redirects one request may follow.
    pub redirects: u32,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            helper: Duration::from_secs(30),
            redirects: 5,
        }
    }
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            plain_http: false,
            credentials: None,
            auth_file: None,
            environment: Environment::default(),
            host_directories: HOST_DIRECTORIES.map(PathBuf::from).to_vec(),
            partials: None,
            limits: RegistryLimits::default(),
            watch: Arc::new(Unwatched),
        }
    }
}

impl fmt::Debug for RegistryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryOptions")
            .field("plain_http", &self.plain_http)
            .field("credentials", &self.credentials)
            .field("auth_file", &self.auth_file)
            .field("environment", &self.environment)
            .field("host_directories", &self.host_directories)
            .field("partials", &self.partials)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
