use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Name, NameError, name};

/// A path within an image, relative to its root, normalised: names joined by single slashes.
///
/// The empty path is the root itself. A path cannot hold `..`: nothing in an image has a reason to
/// climb, so such an entry is refused rather than guessed at.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "serde_bytes::ByteBuf", into = "serde_bytes::ByteBuf")]
pub struct TreePath(Box<[u8]>);

impl TreePath {
    /// Parses a path as tar writes it: leading, doubled and trailing slashes and `.` components are
    /// dropped; every other component must be a [`Name`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NameError> {
        let mut normal = Vec::with_capacity(bytes.len());
        for component in bytes.split(|&byte| byte == b'/') {
            if matches!(component, b"" | b".") {
                continue;
            }
            name::check(component)?;
            if !normal.is_empty() {
                normal.push(b'/');
            }
            normal.extend_from_slice(component);
        }
        Ok(Self(normal.into()))
    }

    /// The root of the image.
    pub fn root() -> Self {
        Self::default()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path's bytes, without a leading slash; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The names from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|component| !component.is_empty())
    }

    /// How many names the path has.
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// The path without its last name, and that name's bytes; `None` for the root.
    pub fn split_last(&self) -> Option<(Self, &[u8])> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (Self(self.0[..slash].into()), &self.0[slash + 1..]),
            None => (Self::root(), &self.0),
        })
    }

    /// This path with one more name.
    pub fn join(&self, name: &Name) -> Self {
        let mut joined = Vec::with_capacity(self.0.len() + 1 + name.as_bytes().len());
        joined.extend_from_slice(&self.0);
        if !joined.is_empty() {
            joined.push(b'/');
        }
        joined.extend_from_slice(name.as_bytes());
        Self(joined.into())
    }
}

impl TryFrom<serde_bytes::ByteBuf> for TreePath {
    type Error = NameError;

    fn try_from(bytes: serde_bytes::ByteBuf) -> Result<Self, NameError> {
        Self::parse(&bytes)
    }
}

impl From<TreePath> for serde_bytes::ByteBuf {
    fn from(path: TreePath) -> Self {
        Self::from(path.0.into_vec())
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"/{}\"", self.0.escape_ascii())
    }
}

impl fmt::Display for TreePath {
    /// The path with its leading slash; bytes that are not printable UTF-8 are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        name::write_bytes(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_tar_writes() {
        for (bytes, expected) in [
            (&b"./"[..], Ok(&b""[..])),
            (b"/", Ok(b"")),
            (b"", Ok(b"")),
            (b"./etc//passwd", Ok(b"etc/passwd")),
            (b"/etc/./passwd/", Ok(b"etc/passwd")),
            (b".../..x", Ok(b".../..x")),
            (b"../etc", Err(NameError::DotDot)),
            (b"a/../../etc", Err(NameError::DotDot)),
            (b"a/..", Err(NameError::DotDot)),
            (b"a\0", Err(NameError::Nul)),
        ] {
            let parsed = TreePath::parse(bytes);
            assert_eq!(parsed.as_ref().map(TreePath::as_bytes), expected.as_ref().map(|path| *path));
        }
    }

    #[test]
    fn splits_and_joins() {
        let path = TreePath::parse(b"a/b/c").unwrap();
        let (parent, last) = path.split_last().unwrap();
        assert_eq!((parent.as_bytes(), last), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(parent.join(&Name::new(last).unwrap()), path);
        assert_eq!(path.depth(), 3);
        assert!(TreePath::root().split_last().is_none());
        assert_eq!(TreePath::root().components().count(), 0);
    }
}
