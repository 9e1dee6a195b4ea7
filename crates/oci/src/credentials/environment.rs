use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use super::Secret;

/// What environment variables say of registries, read once and here alone. The default is an empty environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `REGISTRY_AUTH_FILE`: the one file to look for credentials in.
    pub registry_auth_file: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, where podman, buildah and skopeo keep credentials in `containers/auth.json`.
    pub runtime_directory: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, or `~/.config`: the next place for `containers/auth.json`.
    pub config_directory: Option<PathBuf>,
    /// `DOCKER_CONFIG`, or `~/.docker`: the directory of Docker's `config.json`.
    pub docker_directory: Option<PathBuf>,
    /// `PATH`, where credential helpers lie.
    pub path: Option<OsString>,
    /// `HTTPS_PROXY`, or `ALL_PROXY`, in either case: through which HTTPS goes. It may have a password.
    pub proxy: Option<Secret>,
    /// `NO_PROXY`: the hosts that are asked directly.
    pub no_proxy: Option<String>,
}

impl Environment {
    /// The process's own.
    pub fn of_process() -> Self {
        let any = |names: &[&str]| {
            names.iter().find_map(|name| env::var_os(name).filter(|value| !value.is_empty()))
        };
        let path = |name| any(&[name]).map(PathBuf::from);
        let below_home = |name| any(&["HOME"]).map(|home| PathBuf::from(home).join(name));
        let text = |value: OsString| value.into_string().ok();
        Self {
            registry_auth_file: path("REGISTRY_AUTH_FILE"),
            runtime_directory: path("XDG_RUNTIME_DIR"),
            config_directory: path("XDG_CONFIG_HOME").or_else(|| below_home(".config")),
            docker_directory: path("DOCKER_CONFIG").or_else(|| below_home(".docker")),
            path: any(&["PATH"]),
            proxy: any(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
                .and_then(text)
                .map(Secret::new),
            no_proxy: any(&["NO_PROXY", "no_proxy"]).and_then(text),
        }
    }
}
