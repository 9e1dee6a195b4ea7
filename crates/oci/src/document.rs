use std::io::{self, Read};

use offshoot_store::{Digest, Expected, VerifyError, VerifyingReader};

use crate::Malformed;

/// The most bytes a manifest, index or config may have: 4 MiB, as registries have it.
pub const MAX_DOCUMENT_SIZE: u64 = 4 << 20;

/// A manifest or config: bytes that are what their digest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The SHA-256 of the bytes.
    pub digest: Digest,
    /// What they are.
    pub media_type: String,
    /// The JSON as it came, byte for byte.
    pub bytes: Vec<u8>,
}

/// What can be wrong with bytes that should be a document.
pub(crate) enum DocumentError {
    Read(io::Error),
    TooLarge,
    Verify(VerifyError),
}

/// Reads a whole document within the bound, and gives it only if it is what was expected.
pub(crate) fn read(reader: impl Read, expected: Expected) -> Result<(Digest, Vec<u8>), DocumentError> {
    if expected.size.is_some_and(|size| size > MAX_DOCUMENT_SIZE) {
        return Err(DocumentError::TooLarge);
    }
    let mut reader = VerifyingReader::new(reader, expected);
    let mut bytes = Vec::new();
    (&mut reader).take(MAX_DOCUMENT_SIZE + 1).read_to_end(&mut bytes).map_err(DocumentError::Read)?;
    if bytes.len() as u64 > MAX_DOCUMENT_SIZE {
        return Err(DocumentError::TooLarge);
    }
    let verdict = reader.finish().map_err(DocumentError::Read)?;
    let (digest, _) = verdict.map_err(DocumentError::Verify)?;
    Ok((digest, bytes))
}

impl DocumentError {
    /// The error of that document, read from that place.
    pub(crate) fn named(self, document: &str, place: &std::path::Path) -> crate::Error {
        match self {
            Self::Read(source) => crate::Error::Io { operation: "read", path: place.to_owned(), source },
            Self::TooLarge => crate::Error::malformed(document)(Malformed::TooLarge),
            Self::Verify(source) => crate::Error::Verify { what: document.to_owned(), source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_bounded_and_verified() {
        let expected = Expected { digest: Some(Digest::of(b"{}")), size: Some(2) };
        assert!(matches!(read(&b"{}"[..], expected), Ok((digest, bytes)) if digest == Digest::of(&bytes)));
        assert!(matches!(read(&b"[]"[..], expected), Err(DocumentError::Verify(VerifyError::Digest { .. }))));
        assert!(matches!(read(&b"{} "[..], expected), Err(DocumentError::Verify(VerifyError::Size { .. }))));
        let endless = || io::repeat(b' ');
        assert!(matches!(read(endless(), Expected::default()), Err(DocumentError::TooLarge)));
        let huge = Expected { digest: None, size: Some(MAX_DOCUMENT_SIZE + 1) };
        assert!(matches!(read(endless(), huge), Err(DocumentError::TooLarge)));
        let largest = Expected { digest: None, size: Some(MAX_DOCUMENT_SIZE) };
        assert!(read(endless().take(MAX_DOCUMENT_SIZE), largest).is_ok());
    }
}
