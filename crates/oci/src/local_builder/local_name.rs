use std::fmt;

use offshoot_store::Digest;

use crate::{Reference, ReferenceError};

/// The fewest digits that are taken for an id; so many are shown by `docker images` and `podman images`.
const MIN_ID: usize = 12;

/// How a program on this host is told which image is meant: never by anything that it could take for an option, a
/// path or a storage of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LocalName {
    /// 12 to 64 hexadecimal digits.
    Id(String),
    /// A reference, and how it was spelled: programs look for short names in places of their own.
    Reference(Reference, String),
}

impl LocalName {
    pub(super) fn parse(text: &str) -> Result<Self, ReferenceError> {
        let id = text.strip_prefix("sha256:").filter(|id| id.len() == 64).unwrap_or(text);
        let is_id = (MIN_ID..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'));
        if is_id {
            return Ok(Self::Id(id.to_owned()));
        }
        Ok(Self::Reference(text.parse()?, text.to_owned()))
    }

    /// The whole id, if that is given: the digest of the image's config.
    pub(super) fn digest(&self) -> Option<Digest> {
        match self {
            Self::Id(id) => Digest::from_hex(id).ok(),
            Self::Reference(..) => None,
        }
    }

    /// With registry and tag.
    pub(super) fn full(&self) -> String {
        match self {
            Self::Id(id) => id.clone(),
            Self::Reference(reference, _) => reference.to_string(),
        }
    }

    /// As skopeo must be asked to find what podman and buildah find: a name without a registry is first one of
    /// those that were built here.
    pub(super) fn candidates(&self) -> Vec<String> {
        match self {
            Self::Id(id) if id.len() == 64 => vec![format!("@{id}")],
            Self::Id(id) => vec![id.clone()],
            Self::Reference(reference, text) => {
                let is_short = !text.starts_with(reference.domain()) && !text.starts_with("index.docker.io/");
                let local = is_short.then(|| format!("localhost/{text}"));
                local.into_iter().chain([reference.to_string()]).collect()
            }
        }
    }
}

impl fmt::Display for LocalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(text) | Self::Reference(_, text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_references() {
        let hex = "0123456789abcdef".repeat(4);
        let with_sign = format!("@{hex}");
        for (text, full, candidates) in [
            (
                "alpine",
                "docker.io/library/alpine:latest",
                vec!["localhost/alpine", "docker.io/library/alpine:latest"],
            ),
            ("a/b:1", "docker.io/a/b:1", vec!["localhost/a/b:1", "docker.io/a/b:1"]),
            ("docker.io/a/b", "docker.io/a/b:latest", vec!["docker.io/a/b:latest"]),
            ("localhost/x", "localhost/x:latest", vec!["localhost/x:latest"]),
            ("example.com/x:1", "example.com/x:1", vec!["example.com/x:1"]),
            ("index.docker.io/x", "docker.io/library/x:latest", vec!["docker.io/library/x:latest"]),
            ("0123456789ab", "0123456789ab", vec!["0123456789ab"]),
            (
                "0123456789a",
                "docker.io/library/0123456789a:latest",
                vec!["localhost/0123456789a", "docker.io/library/0123456789a:latest"],
            ),
            (hex.as_str(), hex.as_str(), vec![with_sign.as_str()]),
            (&format!("sha256:{hex}"), hex.as_str(), vec![with_sign.as_str()]),
        ] {
            let name = LocalName::parse(text).unwrap();
            assert_eq!(
                (name.full().as_str(), name.candidates()),
                (full, candidates.iter().map(|c| (*c).to_owned()).collect())
            );
            assert_eq!(name.digest().is_some(), full.len() == 64 && !full.contains('/'), "{text}");
        }
        for text in
            ["", "-q", "--root=/", "[vfs@/a+/b]x", "@abc", "Alpine", "a b", "a\nb", "../x", "/x", "oci:/etc"]
        {
            assert!(LocalName::parse(text).is_err(), "{text}");
        }
    }
}
