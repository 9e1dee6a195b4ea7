use std::fmt;

use crate::Digest;

/// The longest encoding that is used as it is; with `.json` and the like it stays within `NAME_MAX`.
const MAX_ENCODED: usize = 200;

/// A name from outside as one path component of the store, injectively.
///
/// Bytes outside `[A-Za-z0-9._-]` are percent-encoded, and so are the dots of `.` and `..`. What would be
/// longer than a file name may be is `~` and the name's SHA-256 instead: no encoding has a `~`, so no two
/// names meet. Records hold the name itself; this is never decoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName(String);

impl EntryName {
    /// Encodes any text, also the empty one.
    pub fn encode(name: &str) -> Self {
        let all_dots = matches!(name, "." | "..");
        let mut encoded = String::with_capacity(name.len());
        for byte in name.bytes() {
            let plain = matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-')
                || (byte == b'.' && !all_dots);
            if plain {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        if encoded.is_empty() {
            // "%" alone encodes nothing else.
            encoded.push('%');
        }
        if encoded.len() > MAX_ENCODED {
            encoded = format!("~{}", Digest::of(name.as_bytes()).hex());
        }
        Self(encoded)
    }

    /// One that is in a directory of the store already; `None` of what no encoding gives.
    pub fn listed(name: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-%~".contains(&byte);
        let usual = !matches!(name, "" | "." | "..") && name.len() <= MAX_ENCODED && name.bytes().all(plain);
        usual.then(|| Self(name.to_owned()))
    }

    /// The path component.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Digest> for EntryName {
    fn from(digest: Digest) -> Self {
        Self(digest.hex())
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_one_safe_component_of_its_own() {
        let long = "é".repeat(128);
        let longer = "é".repeat(129);
        let names = [
            "vm/1", "vm_1", "VM_1", "vm-1", "vm%2F1", "vm%1", "..", ".", "...", "", " ", "%", "~", "a\0b",
            "é", &long, &longer, "%2E", ".hidden",
        ];
        let mut seen = BTreeSet::new();
        for name in names {
            let encoded = EntryName::encode(name);
            let text = encoded.as_str();
            assert!(!text.is_empty() && text.len() <= MAX_ENCODED && text != "." && text != "..", "{name:?}");
            assert!(!text.contains(['/', '\0']), "{name:?}");
            assert_eq!(EntryName::listed(text).as_ref(), Some(&encoded));
            assert!(seen.insert(encoded.clone()), "{name:?} meets another name at {encoded}");
        }
        assert_eq!(EntryName::encode("vm/1").as_str(), "vm%2F1");
        assert_eq!(EntryName::encode("..").as_str(), "%2E%2E");
        for name in ["", ".", "..", "a/b", "é", "a b", &"a".repeat(201)] {
            assert_eq!(EntryName::listed(name), None, "{name:?}");
        }
    }
}
