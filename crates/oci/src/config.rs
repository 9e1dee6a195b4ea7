use std::collections::{BTreeMap, BTreeSet};

use offshoot_store::{Digest, DigestError};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::{Error, ExposedPort, Malformed, Platform, Unsupported};

/// What an image says about itself and about how to run it.
///
/// As JSON its fields have these names, `env` is a list of `NAME=value`, ports are `8080/tcp`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// The command that always runs, if any.
    pub entrypoint: Vec<String>,
    /// The entrypoint's default arguments, or the command itself where there is no entrypoint.
    pub cmd: Vec<String>,
    /// The environment, in the image's order: name, and what follows the first `=`.
    #[serde(with = "environment")]
    pub env: Vec<(String, String)>,
    /// The directory to run in; empty for the root.
    pub working_dir: String,
    /// `user`, `uid`, `user:group` or `uid:gid`; empty for root.
    pub user: String,
    /// Where the program listens, ascending; what is not a port is left out.
    pub exposed_ports: BTreeSet<ExposedPort>,
    /// Facts for people and tools.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to stop, as a name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Directories with data of their own.
    pub volumes: BTreeSet<String>,
    /// The digests of the layers' uncompressed tars, lowest first.
    pub diff_ids: Vec<Digest>,
    /// What the image is for, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// When it was made (RFC 3339), as it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
}

impl ImageConfig {
    /// Reads an OCI or Docker image configuration. Everything may be missing: `{}` is a config.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse_named(bytes, "the image's config")
    }

    /// The same, with a name for errors.
    pub(crate) fn parse_named(bytes: &[u8], name: &str) -> Result<Self, Error> {
        let raw: RawConfig =
            serde_json::from_slice(bytes).map_err(Malformed::Json).map_err(Error::malformed(name))?;
        raw.check(name)
    }
}

#[derive(Deserialize)]
struct RawConfig {
    created: Option<String>,
    architecture: Option<String>,
    os: Option<String>,
    variant: Option<String>,
    config: Option<RawRuntime>,
    rootfs: Option<RawRootfs>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawRuntime {
    user: Option<String>,
    exposed_ports: Option<BTreeMap<String, IgnoredAny>>,
    env: Option<Vec<String>>,
    entrypoint: Option<Words>,
    cmd: Option<Words>,
    volumes: Option<BTreeMap<String, IgnoredAny>>,
    working_dir: Option<String>,
    labels: Option<BTreeMap<String, Option<String>>>,
    stop_signal: Option<String>,
}

/// Old versions of Docker wrote a command of one word as a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct RawRootfs {
    #[serde(rename = "type")]
    kind: Option<String>,
    diff_ids: Option<Vec<String>>,
}

impl RawConfig {
    fn check(self, name: &str) -> Result<ImageConfig, Error> {
        let present = |part: Option<String>| part.filter(|part| !part.is_empty());
        let platform = match (present(self.os), present(self.architecture)) {
            (Some(os), Some(architecture)) => Some(
                Platform::new(&os, &architecture, self.variant.as_deref())
                    .map_err(Malformed::Platform)
                    .map_err(Error::malformed(name))?,
            ),
            _ => None,
        };
        let runtime = self.config.unwrap_or_default();
        Ok(ImageConfig {
            entrypoint: words(runtime.entrypoint),
            cmd: words(runtime.cmd),
            env: runtime.env.unwrap_or_default().iter().map(|entry| environment::split(entry)).collect(),
            working_dir: runtime.working_dir.unwrap_or_default(),
            user: runtime.user.unwrap_or_default(),
            exposed_ports: runtime
                .exposed_ports
                .unwrap_or_default()
                .keys()
                .filter_map(|port| port.parse().ok())
                .collect(),
            labels: runtime
                .labels
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value)| (key, value.unwrap_or_default()))
                .collect(),
            stop_signal: present(runtime.stop_signal),
            volumes: runtime.volumes.unwrap_or_default().into_keys().collect(),
            diff_ids: self.rootfs.map_or_else(|| Ok(Vec::new()), |rootfs| rootfs.diff_ids(name))?,
            platform,
            created: present(self.created),
        })
    }
}

impl RawRootfs {
    fn diff_ids(self, name: &str) -> Result<Vec<Digest>, Error> {
        if let Some(kind) = self.kind.filter(|kind| !kind.is_empty() && kind != "layers") {
            return Err(Error::malformed(name)(Malformed::RootfsType(kind)));
        }
        let diff_ids = self.diff_ids.unwrap_or_default();
        diff_ids.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(|error| match error {
            DigestError::Algorithm(_) => Error::unsupported(name, Unsupported::Digest(error)),
            error => Error::malformed(name)(Malformed::Digest(error)),
        })
    }
}

fn words(words: Option<Words>) -> Vec<String> {
    match words {
        None => Vec::new(),
        Some(Words::One(word)) => vec![word],
        Some(Words::Several(words)) => words,
    }
}

/// Environments as `NAME=value` texts.
mod environment {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn split(entry: &str) -> (String, String) {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        (name.to_owned(), value.to_owned())
    }

    pub(super) fn serialize<S: Serializer>(
        env: &[(String, String)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(env.iter().map(|(name, value)| format!("{name}={value}")))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, String)>, D::Error> {
        Ok(Vec::<String>::deserialize(deserializer)?.iter().map(|entry| split(entry)).collect())
    }
}
