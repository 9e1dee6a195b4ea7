use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A filesystem's UUID, written in the usual form: `0f8fad5b-d9cb-469f-a165-70867728950e`.
///
/// ```
/// let uuid: offshoot::FilesystemUuid = "0f8fad5b-d9cb-469f-a165-70867728950e".parse()?;
/// assert_eq!(uuid.to_string(), "0f8fad5b-d9cb-469f-a165-70867728950e");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilesystemUuid([u8; 16]);

impl FilesystemUuid {
    /// One that nobody else has: version 4 of RFC 9562.
    pub(crate) fn random() -> Result<Self, Error> {
        Ok(Self::versioned(random()?, 4))
    }

    /// These bytes with the bits of a version (RFC 9562).
    pub(crate) fn versioned(mut bytes: [u8; 16], version: u8) -> Self {
        bytes[6] = bytes[6] & 0x0f | version << 4;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// As it is on disk.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        let rest = &mut bytes[filled..];
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::Random(error.into())),
        }
    }
    Ok(bytes)
}

/// A text that is not a UUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a UUID")]
pub struct UuidError(String);

impl FromStr for FilesystemUuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        let error = || UuidError(text.to_owned());
        let groups: Vec<&str> = text.split('-').collect();
        if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12]) {
            return Err(error());
        }
        let digits = groups.concat();
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| error())?;
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(error());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for FilesystemUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for FilesystemUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<FilesystemUuid> for String {
    fn from(uuid: FilesystemUuid) -> Self {
        uuid.to_string()
    }
}

impl TryFrom<String> for FilesystemUuid {
    type Error = UuidError;

    fn try_from(text: String) -> Result<Self, UuidError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_one_form() {
        let text = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(text.parse::<FilesystemUuid>().unwrap().to_string(), text);
        for bad in
            ["", "0f8fad5b", "0f8fad5bd9cb469fa16570867728950e", "0f8fad5b-d9cb-469f-a165-70867728950g"]
        {
            assert!(bad.parse::<FilesystemUuid>().is_err(), "{bad}");
        }
        assert!("0f8fad5b-d9cb-469f-a165-7086772895é".parse::<FilesystemUuid>().is_err());
        let drawn = FilesystemUuid::random().unwrap();
        assert_eq!((drawn.0[6] >> 4, drawn.0[8] >> 6), (4, 2));
        assert_ne!(drawn, FilesystemUuid::random().unwrap());
    }
}
