use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A port, or a range of them, that the image's program listens on: `8080/tcp`, `6000-6010/udp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExposedPort {
    first: u16,
    last: u16,
    protocol: Protocol,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// The default.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
    /// SCTP.
    Sctp,
}

/// A text that is not an [`ExposedPort`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a port or range of ports such as 8080, 53/udp or 6000-6010/tcp")]
pub struct ExposedPortError(String);

impl ExposedPort {
    /// The first port.
    pub fn first(&self) -> u16 {
        self.first
    }

    /// The last port, the first again where it is only one.
    pub fn last(&self) -> u16 {
        self.last
    }

    /// What is spoken there.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }
}

impl FromStr for ExposedPort {
    type Err = ExposedPortError;

    fn from_str(text: &str) -> Result<Self, ExposedPortError> {
        let parse = || {
            let (range, protocol) = match text.split_once('/') {
                Some((range, protocol)) => (range, Protocol::named(protocol)?),
                None => (text, Protocol::default()),
            };
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (port(first)?, port(last)?);
            (first <= last).then_some(Self { first, last, protocol })
        };
        parse().ok_or_else(|| ExposedPortError(text.to_owned()))
    }
}

/// Digits only: `parse` alone would take a sign.
fn port(text: &str) -> Option<u16> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
        .filter(|&port| port != 0)
}

impl Protocol {
    fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "tcp" => Some(Self::Tcp),
            "udp" => Some(Self::Udp),
            "sctp" => Some(Self::Sctp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl fmt::Display for ExposedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        write!(f, "/{}", self.protocol)
    }
}

impl TryFrom<String> for ExposedPort {
    type Error = ExposedPortError;

    fn try_from(text: String) -> Result<Self, ExposedPortError> {
        text.parse()
    }
}

impl From<ExposedPort> for String {
    fn from(port: ExposedPort) -> Self {
        port.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges() {
        for (text, expected) in [
            ("8080", Some("8080/tcp")),
            ("8080/tcp", Some("8080/tcp")),
            ("53/UDP", Some("53/udp")),
            ("9/sctp", Some("9/sctp")),
            ("6000-6010/udp", Some("6000-6010/udp")),
            ("7-7", Some("7/tcp")),
            ("65535", Some("65535/tcp")),
            ("", None),
            ("0", None),
            ("65536", None),
            ("+80", None),
            ("-80", None),
            ("10-9", None),
            ("80/", None),
            ("80/http", None),
            ("${PORT}/tcp", None),
        ] {
            let port = text.parse::<ExposedPort>().ok().map(|port| port.to_string());
            assert_eq!(port.as_deref(), expected, "{text}");
        }
    }
}
