use std::fmt;
use std::str::FromStr;

use crate::{Reference, ReferenceError};

/// A registry's host and port, as references begin with it: `docker.io`, `localhost:5000`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryHost(String);

/// A text that is not a [`RegistryHost`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{host:?} is not a registry's host; it has a dot or a port, or is localhost, and no scheme or path")]
pub struct RegistryHostError {
    /// The text.
    pub host: String,
    /// What is wrong with it as the beginning of a reference, if anything is.
    pub problem: Option<ReferenceError>,
}

impl RegistryHost {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RegistryHost {
    type Err = RegistryHostError;

    fn from_str(text: &str) -> Result<Self, RegistryHostError> {
        let error = |problem| RegistryHostError { host: text.to_owned(), problem };
        // A slash would make the rest a repository's name.
        if text.contains(['/', '@']) {
            return Err(error(None));
        }
        let reference: Reference = format!("{text}/x").parse().map_err(|problem| error(Some(problem)))?;
        match reference.domain() {
            domain if domain == text || text == "index.docker.io" => Ok(Self(domain.to_owned())),
            _ => Err(error(None)),
        }
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, host) in [
            ("docker.io", Some("docker.io")),
            ("index.docker.io", Some("docker.io")),
            ("registry.example.com:5000", Some("registry.example.com:5000")),
            ("localhost", Some("localhost")),
            ("[::1]:5000", Some("[::1]:5000")),
            ("registry", None),
            ("", None),
            ("https://registry.example.com", None),
            ("registry.example.com/v2", None),
            ("user@registry.example.com", None),
            ("registry.example.com:0", None),
            ("..", None),
        ] {
            assert_eq!(text.parse().ok(), host.map(|host| RegistryHost(host.to_owned())), "{text}");
        }
    }
}
