use std::fmt;
use std::str::FromStr;

use offshoot_store::{Digest, EntryName};
use serde::{Deserialize, Serialize};

/// The most bytes that a [`VmId`] or [`TemplateName`] has.
pub(crate) const MAX_BYTES: usize = 128;

/// Why a text is not a [`VmId`], [`TemplateName`] or [`TemplateId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing at all.
    #[error("a {what} cannot be empty")]
    Empty {
        /// What the text was to be.
        what: &'static str,
    },
    /// Too long.
    #[error("a {what} is at most 128 bytes of UTF-8, this one has {bytes}")]
    TooLong {
        /// What the text was to be.
        what: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// Control characters would upset terminals and line-based tools.
    #[error("a {what} cannot have control characters")]
    Control {
        /// What the text was to be.
        what: &'static str,
    },
    /// A name that would hide a template's id.
    #[error("a template's name cannot look like a template's id")]
    LooksLikeId,
    /// Not 64 lower-case hexadecimal digits.
    #[error("a template's id is 64 hexadecimal digits")]
    NotAnId,
}

fn check(what: &'static str, text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { what });
    }
    if text.len() > MAX_BYTES {
        return Err(IdError::TooLong { what, bytes: text.len() });
    }
    if text.chars().any(char::is_control) {
        return Err(IdError::Control { what });
    }
    Ok(())
}

/// How a VM is called: 1 to 128 bytes of UTF-8 without control characters. Two different ids never share anything.
///
/// ```
/// let vm: offshoot::VmId = "tenant-7/build".parse()?;
/// assert_eq!(vm.as_str(), "tenant-7/build");
/// assert!("".parse::<offshoot::VmId>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VmId(String);

impl VmId {
    /// The id itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn entry(&self) -> EntryName {
        EntryName::encode(&self.0)
    }
}

/// A template's human name: 1 to 128 bytes of UTF-8 without control characters, not of the form of an id.
///
/// ```
/// let name: offshoot::TemplateName = "base".parse()?;
/// assert_eq!(name.to_string(), "base");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TemplateName(String);

impl TemplateName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn entry(&self) -> EntryName {
        EntryName::encode(&self.0)
    }
}

/// What a template is made from, as one digest; printed as 64 hexadecimal digits.
///
/// ```
/// let id: offshoot::TemplateId = "471f5072016083d6a8cc5ba3ecb0e3d3928d7c0d55cbec983cd2d6e80a51169f".parse()?;
/// assert_eq!(id.to_string().len(), 64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TemplateId(Digest);

impl TemplateId {
    pub(crate) fn new(digest: Digest) -> Self {
        Self(digest)
    }

    /// An id that nothing else has, for what is not made from something that can be named.
    pub(crate) fn random() -> Result<Self, crate::Error> {
        Ok(Self(Digest::of(&crate::uuid::random::<32>()?)))
    }

    pub(crate) fn digest(self) -> Digest {
        self.0
    }

    pub(crate) fn entry(self) -> EntryName {
        self.0.into()
    }

    /// 16 bytes that follow from the id, others for each `purpose`.
    pub(crate) fn derive(self, purpose: &str) -> [u8; 16] {
        let mut bytes = [0; 16];
        let digest = Digest::of(format!("{self} {purpose}").as_bytes());
        bytes.copy_from_slice(&digest.as_bytes()[..16]);
        bytes
    }
}

impl FromStr for VmId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        check("VM id", text)?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for TemplateName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        check("template's name", text)?;
        if text.parse::<TemplateId>().is_ok() {
            return Err(IdError::LooksLikeId);
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for TemplateId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Digest::from_hex(text).map(Self).map_err(|_| IdError::NotAnId)
    }
}

impl fmt::Display for TemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

impl fmt::Debug for TemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<TemplateId> for String {
    fn from(id: TemplateId) -> Self {
        id.to_string()
    }
}

macro_rules! text {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> Self {
                id.0
            }
        }
    };
}
text!(VmId);
text!(TemplateName);

macro_rules! try_from_string {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
    };
}
try_from_string!(VmId);
try_from_string!(TemplateName);
try_from_string!(TemplateId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bounded_text() {
        let long = "x".repeat(129);
        for (text, good) in [
            ("vm-1", true),
            ("..", true),
            ("é/ü", true),
            ("", false),
            ("a\nb", false),
            (&long, false),
            (&long[..128], true),
        ] {
            assert_eq!(text.parse::<VmId>().is_ok(), good, "{text:?}");
            assert_eq!(text.parse::<TemplateName>().is_ok(), good, "{text:?}");
        }
        let id = "0".repeat(64);
        assert_eq!(id.parse::<TemplateName>(), Err(IdError::LooksLikeId));
        assert_eq!(id.parse::<TemplateId>().unwrap().to_string(), id);
        assert!("0".repeat(63).parse::<TemplateId>().is_err());
    }
}
