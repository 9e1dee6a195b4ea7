use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Unwatched, Watch};

/// What programs need to find their storage, configuration, credentials and daemon.
const NAMES: [&str; 19] = [
    "ALL_PROXY",
    "DBUS_SESSION_BUS_ADDRESS",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "REGISTRY_AUTH_FILE",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];
/// `CONTAINERS_STORAGE_CONF`, `STORAGE_DRIVER`, `DOCKER_HOST`, and what `buildah unshare` sets.
const PREFIXES: [&str; 5] = ["BUILDAH_", "CONTAINERS_", "DOCKER_", "STORAGE_", "_CONTAINERS_"];

/// How podman's, buildah's, skopeo's and Docker's programs are run. The default is an empty environment, in which no
/// program is found.
#[derive(Clone)]
pub struct LocalOptions {
    /// All environment variables that the programs see; they are looked for in its `PATH`.
    pub environment: BTreeMap<OsString, OsString>,
    /// How long a program that hands an image over may say nothing. Default: 10 minutes, since Docker gathers the
    /// whole image before the first byte. Builds have no such limit.
    pub stall: Duration,
    /// Who may stop it.
    pub watch: Arc<dyn Watch>,
}

impl LocalOptions {
    /// With those of the process's environment variables that the programs need, and no others.
    pub fn of_process() -> Self {
        Self { environment: env::vars_os().filter(|(name, _)| is_needed(name)).collect(), ..Self::default() }
    }

    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.environment.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }
}

fn is_needed(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self { environment: BTreeMap::new(), stall: Duration::from_secs(600), watch: Arc::new(Unwatched) }
    }
}

impl fmt::Debug for LocalOptions {
    /// The variables' names alone: a proxy's value may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalOptions")
            .field("environment", &self.environment.keys())
            .field("stall", &self.stall)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_see() {
        for name in
            ["PATH", "HOME", "https_proxy", "STORAGE_DRIVER", "DOCKER_HOST", "_CONTAINERS_ROOTLESS_UID"]
        {
            assert!(is_needed(OsStr::new(name)), "{name}");
        }
        for name in ["LD_PRELOAD", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "MY_PATH", ""] {
            assert!(!is_needed(OsStr::new(name)), "{name}");
        }
        let mut options = LocalOptions::default();
        options.environment.insert("HTTPS_PROXY".into(), "http://user:secret@proxy.example.com".into());
        assert!(!format!("{options:?}").contains("secret"));
    }
}
