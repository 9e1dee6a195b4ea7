use std::io;
use std::time::Duration;

use crate::ErrorKind;

/// Why a program did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramProblem {
    /// The system did not start it.
    #[error("it cannot be started")]
    Start(#[source] io::Error),
    /// The system does not tell how it ended.
    #[error("how it ended cannot be found out")]
    Wait(#[source] io::Error),
    /// It says that it failed.
    #[error("it failed with {status}{}", after(said))]
    Failed {
        /// `exit status: 125`, `signal: 9 (SIGKILL)`.
        status: String,
        /// The end of what it said, as one line.
        said: String,
    },
    /// It did nothing for too long, and was ended.
    #[error("it said nothing for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// Whoever watches said so; it was ended.
    #[error("it was interrupted")]
    Interrupted,
    /// It succeeded, and did not say what it should have.
    #[error("it did not say which image it has built")]
    Answer,
}

impl ProgramProblem {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Start(_) | Self::Wait(_) => ErrorKind::Io,
            Self::Failed { .. } | Self::Stalled(_) | Self::Answer => ErrorKind::Unavailable,
            Self::Interrupted => ErrorKind::Interrupted,
        }
    }
}

fn after(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}
