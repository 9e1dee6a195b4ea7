use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::NameError;

/// One path component: 1 to 255 bytes, no slash, no NUL, neither `.` nor `..`; not assumed UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "serde_bytes::ByteBuf", into = "serde_bytes::ByteBuf")]
pub struct Name(Box<[u8]>);

impl Name {
    /// The longest name Linux allows, in bytes.
    pub const MAX_LEN: usize = 255;

    /// Checks and takes one component.
    pub fn new(bytes: &[u8]) -> Result<Self, NameError> {
        check(bytes)?;
        Ok(Self(bytes.into()))
    }

    /// The name's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

pub(crate) fn check(bytes: &[u8]) -> Result<(), NameError> {
    match bytes {
        b"" => return Err(NameError::Empty),
        b"." => return Err(NameError::Dot),
        b".." => return Err(NameError::DotDot),
        _ => {}
    }
    if bytes.len() > Name::MAX_LEN {
        return Err(NameError::TooLong(bytes.len()));
    }
    if bytes.contains(&b'/') {
        return Err(NameError::Slash);
    }
    if bytes.contains(&0) {
        return Err(NameError::Nul);
    }
    Ok(())
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<serde_bytes::ByteBuf> for Name {
    type Error = NameError;

    fn try_from(bytes: serde_bytes::ByteBuf) -> Result<Self, NameError> {
        Self::new(&bytes)
    }
}

impl From<Name> for serde_bytes::ByteBuf {
    fn from(name: Name) -> Self {
        Self::from(name.0.into_vec())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bytes(&self.0, f)
    }
}

/// Prints bytes as people expect: UTF-8 as it is, everything else and control characters escaped.
pub(crate) fn write_bytes(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        write!(f, "{}", chunk.invalid().escape_ascii())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_linux_names_are_names() {
        let long = [b'x'; 256];
        for (bytes, expected) in [
            (&b""[..], Err(NameError::Empty)),
            (b".", Err(NameError::Dot)),
            (b"..", Err(NameError::DotDot)),
            (b"a/b", Err(NameError::Slash)),
            (b"a\0b", Err(NameError::Nul)),
            (&long, Err(NameError::TooLong(256))),
            (&long[..255], Ok(())),
            (b"...", Ok(())),
            (b"\xff\xfe", Ok(())),
        ] {
            assert_eq!(Name::new(bytes).map(|_| ()), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn display_escapes_what_a_terminal_would_act_on() {
        let name = Name::new("é\x1b[2J\u{9b}".as_bytes()).unwrap();
        assert_eq!(name.to_string(), "é\\u{1b}[2J\\u{9b}");
        assert_eq!(Name::new(b"a\xff").unwrap().to_string(), "a\\xff");
    }
}
