use std::io::{self, Read};

use crate::{Digest, Hasher};

/// Reads an untrusted stream within a bound of size, and knows at its end whether it was the promised one.
///
/// The bytes may be looked at while they pass; nothing that they say may be kept for good before
/// [`finish`](Self::finish) has said `Ok`.
#[derive(Debug)]
pub struct VerifyingReader<R> {
    inner: R,
    hasher: Hasher,
    expected: Expected,
    bytes: u64,
}

/// What a stream must turn out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its digest, where that is known beforehand.
    pub digest: Option<Digest>,
    /// Its exact size in bytes, where that is known beforehand.
    pub size: Option<u64>,
}

/// A stream that is not what was promised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Another digest.
    #[error("the digest is {actual}, expected {expected}")]
    Digest {
        /// What was promised.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// Another size; a longer stream is not read to its end.
    #[error("the size is {actual} bytes{}, expected {expected}", if actual > expected { " or more" } else { "" })]
    Size {
        /// What was promised, in bytes.
        expected: u64,
        /// What came, in bytes.
        actual: u64,
    },
}

impl<R: Read> VerifyingReader<R> {
    /// Nothing read yet.
    pub fn new(inner: R, expected: Expected) -> Self {
        Self { inner, hasher: Hasher::new(), expected, bytes: 0 }
    }

    /// How many bytes came so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the rest, and says whether the whole was what was promised: its digest and size then.
    ///
    /// The outer error is of reading, the inner of what was read.
    pub fn finish(mut self) -> io::Result<Result<(Digest, u64), VerifyError>> {
        let mut rest = vec![0; 64 * 1024];
        while self.read(&mut rest)? > 0 {}
        Ok(self.verdict())
    }

    fn verdict(self) -> Result<(Digest, u64), VerifyError> {
        if let Some(expected) = self.expected.size
            && expected != self.bytes
        {
            return Err(VerifyError::Size { expected, actual: self.bytes });
        }
        let actual = self.hasher.finish();
        match self.expected.digest {
            Some(expected) if expected != actual => Err(VerifyError::Digest { expected, actual }),
            _ => Ok((actual, self.bytes)),
        }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    /// Reads on; a stream longer than promised ends one byte after its promised size.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut room = buffer.len();
        if let Some(size) = self.expected.size {
            let left = size.saturating_add(1).saturating_sub(self.bytes);
            room = room.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if room == 0 {
            // Not asked: a connection may wait for more before it gives nothing.
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..room])?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify(bytes: &[u8], expected: Expected) -> Result<(Digest, u64), VerifyError> {
        VerifyingReader::new(bytes, expected).finish().unwrap()
    }

    /// Never comes to an end.
    struct Waiting;

    impl Read for Waiting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            assert!(!buffer.is_empty(), "asked for nothing");
            buffer.fill(0);
            Ok(buffer.len())
        }
    }

    #[test]
    fn what_is_longer_than_promised_is_not_waited_for() {
        let promised = |size| Expected { digest: None, size: Some(size) };
        let verdict = VerifyingReader::new(Waiting, promised(4)).finish().unwrap();
        assert_eq!(verdict, Err(VerifyError::Size { expected: 4, actual: 5 }));
        let most = Expected { digest: None, size: Some(u64::MAX) };
        assert_eq!(verify(b"four", most), Err(VerifyError::Size { expected: u64::MAX, actual: 4 }));
    }

    #[test]
    fn only_the_promised_stream_is_verified() {
        let digest = Digest::of(b"four");
        let promised = Expected { digest: Some(digest), size: Some(4) };
        assert_eq!(verify(b"four", promised), Ok((digest, 4)));
        assert_eq!(verify(b"four", Expected::default()), Ok((digest, 4)));
        assert_eq!(verify(b"fou", promised), Err(VerifyError::Size { expected: 4, actual: 3 }));
        assert_eq!(verify(b"four and more", promised), Err(VerifyError::Size { expected: 4, actual: 5 }));
        let actual = Digest::of(b"five");
        assert_eq!(verify(b"five", promised), Err(VerifyError::Digest { expected: digest, actual }));
    }
}
