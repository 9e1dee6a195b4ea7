use std::io;

use crate::{Error, Limit, RawPath, TarProblem};

/// An error before it is known what entry it is about.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The tar is wrong.
    Problem(TarProblem),
    /// The tar is too large in some way: which, and the limit's value.
    Limit(Limit, u64),
    /// The source of the tar failed.
    Source(io::Error),
}

impl Failure {
    /// The error, about that entry.
    pub(crate) fn at(self, path: Option<RawPath>, offset: u64) -> Error {
        match self {
            Self::Problem(problem) => Error::Tar { path, offset, problem },
            Self::Limit(limit, maximum) => Error::Limit { path, offset, limit, maximum },
            Self::Source(source) => Error::Read(source),
        }
    }
}

impl From<TarProblem> for Failure {
    fn from(problem: TarProblem) -> Self {
        Self::Problem(problem)
    }
}
