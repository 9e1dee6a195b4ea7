use std::io;

use offshoot_tree::TreePath;
use rustix::io::Errno;

use crate::Error;

/// What went wrong with one file, before its path is known.
#[derive(Debug)]
pub(crate) enum Failure {
    Host { operation: &'static str, source: io::Error },
    NameTaken,
    Cancelled,
}

impl Failure {
    pub(crate) fn at(self, path: TreePath) -> Error {
        match self {
            Self::Host { operation, source } => Error::Host { operation, path, source },
            Self::NameTaken => Error::NameTaken { path },
            Self::Cancelled => Error::Cancelled,
        }
    }
}

/// Says what was tried.
pub(crate) trait During<T> {
    fn during(self, operation: &'static str) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, operation: &'static str) -> Result<T, Failure> {
        self.map_err(|source| Failure::Host { operation, source: source.into() })
    }
}

/// As [`During`], for what makes a name.
pub(crate) trait Making<T> {
    fn making(self, operation: &'static str) -> Result<T, Failure>;
}

impl<T> Making<T> for rustix::io::Result<T> {
    fn making(self, operation: &'static str) -> Result<T, Failure> {
        self.map_err(|error| match error {
            Errno::EXIST => Failure::NameTaken,
            source => Failure::Host { operation, source: source.into() },
        })
    }
}
