use std::fmt;
use std::str::FromStr;

use offshoot_store::{Digest, DigestError};
use serde::{Deserialize, Serialize};

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const DEFAULT_TAG: &str = "latest";

/// How an image is named in a registry: `docker.io/library/alpine:3.21`, `…@sha256:…`.
///
/// Parsed by Docker's rules, as its `reference` package has them: what comes before the first slash is a
/// registry if it has a dot, a colon or an upper-case letter, or is `localhost`; `docker.io` is the default, and
/// `library/` stands before its one-word names; the tag is `latest` where neither tag nor digest is given.
/// Equal references name the same thing, and [`Display`](fmt::Display) is canonical: it leaves nothing out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that is not a [`Reference`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reference:?} is not an image reference")]
pub struct ReferenceError {
    /// The text.
    pub reference: String,
    /// What is wrong with it.
    #[source]
    pub problem: ReferenceProblem,
}

/// What a [`ReferenceError`] is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceProblem {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// `https://…`.
    #[error("it starts with a URL scheme; a registry is named without one")]
    Scheme,
    /// 64 hexadecimal digits: an image's or container's id, which no registry knows.
    #[error("64 hexadecimal digits are an id, not a name; a digest is written NAME@sha256:…")]
    Identifier,
    /// The registry is not a host name or address.
    #[error("{0:?} is not a registry's host name or address")]
    Domain(String),
    /// The registry's port is not one.
    #[error("{0:?} is not a port")]
    Port(String),
    /// No repository.
    #[error("the repository's name is missing")]
    NoRepository,
    /// Upper case in the repository.
    #[error("the repository {0:?} must be lower case")]
    UpperCase(String),
    /// A component of the repository's path that is not one.
    #[error(
        "{0:?} in the repository's name is not lower-case letters and digits, separated by '.', '_', '__' or dashes"
    )]
    Component(String),
    /// The repository's path has more than 255 characters.
    #[error("the repository's name is {0} characters long, more than 255")]
    TooLong(usize),
    /// The tag is not one.
    #[error("the tag {0:?} is not 1 to 128 letters, digits, '_', '.' and '-', not starting with '.' or '-'")]
    Tag(String),
    /// The digest is not one.
    #[error("its digest cannot be used")]
    Digest(#[source] DigestError),
}

impl Reference {
    /// The most characters a repository's path may have.
    pub const MAX_PATH_LEN: usize = 255;

    /// The registry: `docker.io`, `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/alpine`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if one is given or implied.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is given; it decides, whatever the tag is.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same repository and tag, pinned to a digest.
    pub fn with_digest(self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self }
    }

    /// The shortest form that parses to the same reference and keeps the tag: `alpine:latest`.
    pub fn familiar(&self) -> String {
        let canonical = self.to_string();
        let Some(short) = canonical.strip_prefix("docker.io/") else { return canonical };
        [short.strip_prefix(OFFICIAL_PREFIX), Some(short)]
            .into_iter()
            .flatten()
            .find(|candidate| candidate.parse().as_ref() == Ok(self))
            .map_or_else(|| canonical.clone(), str::to_owned)
    }

    fn parse(text: &str) -> Result<Self, ReferenceProblem> {
        if text.is_empty() {
            return Err(ReferenceProblem::Empty);
        }
        if text.contains("://") {
            return Err(ReferenceProblem::Scheme);
        }
        if Digest::from_hex(text).is_ok() {
            return Err(ReferenceProblem::Identifier);
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse().map_err(ReferenceProblem::Digest)?)),
            None => (text, None),
        };
        let (domain, rest) = split_domain(name);
        check_domain(domain)?;
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(check_tag(tag)?.to_owned())),
            _ => (rest, None),
        };
        check_path(path)?;
        let path = match domain {
            DEFAULT_DOMAIN if !path.contains('/') => format!("{OFFICIAL_PREFIX}{path}"),
            _ => path.to_owned(),
        };
        if path.len() > Self::MAX_PATH_LEN {
            return Err(ReferenceProblem::TooLong(path.len()));
        }
        let tag = tag.or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned()));
        Ok(Self { domain: domain.to_owned(), path, tag, digest })
    }
}

/// Registry and the rest, by Docker's rule.
fn split_domain(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((LEGACY_DEFAULT_DOMAIN, rest)) => (DEFAULT_DOMAIN, rest),
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.contains(|character: char| character.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_DOMAIN, name),
    }
}

fn check_domain(domain: &str) -> Result<(), ReferenceProblem> {
    let malformed = || ReferenceProblem::Domain(domain.to_owned());
    let (host, port) = match domain.strip_prefix('[') {
        Some(bracketed) => {
            let (address, rest) = bracketed.split_once(']').ok_or_else(malformed)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| malformed())?;
            match rest.strip_prefix(':') {
                Some(port) => (None, Some(port)),
                None if rest.is_empty() => (None, None),
                None => return Err(malformed()),
            }
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(domain), None),
        },
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.is_some_and(|host| !host.split('.').all(is_label)) {
        return Err(malformed());
    }
    match port {
        Some(port) if !is_port(port) => Err(ReferenceProblem::Port(port.to_owned())),
        _ => Ok(()),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port != 0)
}

fn check_path(path: &str) -> Result<(), ReferenceProblem> {
    if path.is_empty() {
        return Err(ReferenceProblem::NoRepository);
    }
    if path.contains(|character: char| character.is_ascii_uppercase()) {
        return Err(ReferenceProblem::UpperCase(path.to_owned()));
    }
    match path.split('/').find(|component| !is_component(component)) {
        Some(component) => Err(ReferenceProblem::Component(component.to_owned())),
        None => Ok(()),
    }
}

/// Letters and digits, with separators only between them: one dot, one or two underscores, any dashes.
fn is_component(component: &str) -> bool {
    let is_word = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    component.starts_with(is_word)
        && component.ends_with(is_word)
        && component.split(is_word).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

fn check_tag(tag: &str) -> Result<&str, ReferenceProblem> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = tag.as_bytes();
    if bytes.first().copied().is_some_and(is_word)
        && bytes.len() <= 128
        && bytes.iter().all(|&byte| is_word(byte) || matches!(byte, b'.' | b'-'))
    {
        return Ok(tag);
    }
    Err(ReferenceProblem::Tag(tag.to_owned()))
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text).map_err(|problem| ReferenceError { reference: text.to_owned(), problem })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}
