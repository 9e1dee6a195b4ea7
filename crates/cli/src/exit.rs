use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use offshoot::{ErrorKind, ImageNameError};

use crate::render::vmm::Unsupported;
use crate::size::Size;

/// The exit code for a full disk.
const NO_SPACE: u8 = 6;

/// What ends the program early.
#[derive(Debug)]
pub(crate) enum Error {
    Library(offshoot::Error),
    /// A template or image that is neither in the store nor a name of one.
    Name {
        name: String,
        reason: ImageNameError,
    },
    /// Not a template in the store, and as an image it cannot be had.
    NoTemplate {
        name: String,
        source: Box<offshoot::Error>,
    },
    /// Something that would have to be asked, and nobody to ask.
    Prompt(&'static str),
    /// A disk that the VMM asked for cannot have.
    Vmm(Unsupported),
    /// So much in the store is not as it was written.
    Findings(usize),
    /// Something without which a store is of no use on this host.
    Unusable {
        what: &'static str,
        found: String,
    },
    Interrupted,
    NoHome,
    Output(io::Error),
    File {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    Demo(String),
    Signals(io::Error),
    /// A collection that could not read all that it had to; what it can do is done.
    Unread {
        count: usize,
        first: Box<offshoot::Error>,
    },
    /// A collection that cannot free so much.
    Room {
        missing_bytes: u64,
    },
    Json(serde_json::Error),
}

impl Error {
    pub(crate) fn file(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }

    /// The codes of the design: they are part of the command line's contract.
    fn code(&self) -> u8 {
        match self {
            Self::Library(error) => library_code(error),
            Self::NoTemplate { source, .. } => library_code(source),
            Self::Interrupted => 130,
            Self::Findings(_) => 5,
            Self::Name { .. } | Self::Prompt(_) => 2,
            Self::Vmm(_) | Self::Unusable { .. } => 8,
            Self::Unread { .. } => 5,
            Self::Room { .. } => NO_SPACE,
            Self::File { source, .. } | Self::Output(source) if is_full(source) => NO_SPACE,
            Self::NoHome
            | Self::Output(_)
            | Self::File { .. }
            | Self::Demo(_)
            | Self::Signals(_)
            | Self::Json(_) => 1,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn library_code(error: &offshoot::Error) -> u8 {
    match error.kind() {
        ErrorKind::Usage => 2,
        ErrorKind::NotFound => 3,
        ErrorKind::Conflict => 4,
        ErrorKind::Integrity => 5,
        ErrorKind::NoSpace => NO_SPACE,
        ErrorKind::Authentication => 7,
        ErrorKind::Unsupported => 8,
        ErrorKind::Interrupted => 130,
        _ => 1,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library(error) => fmt::Display::fmt(error, f),
            Self::Name { name, .. } | Self::NoTemplate { name, .. } => {
                write!(f, "there is no template {name:?} in the store, and no such image can be had")
            }
            Self::Prompt(problem) => f.write_str(problem),
            Self::Vmm(unsupported) => fmt::Display::fmt(unsupported, f),
            Self::Findings(1) => f.write_str("one thing is wrong in the store"),
            Self::Findings(count) => write!(f, "{count} things are wrong in the store"),
            Self::Unusable { what, found } => write!(f, "no store can be kept here: {what}: {found}"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::NoHome => f.write_str("neither XDG_DATA_HOME nor HOME is set; name the store with --store"),
            Self::Output(_) => f.write_str("cannot write the result"),
            Self::File { operation, path, .. } => write!(f, "cannot {operation} {}", path.display()),
            Self::Demo(problem) => write!(f, "the demonstration failed: {problem}"),
            Self::Signals(_) => f.write_str("cannot listen for signals"),
            Self::Unread { count: 1, first } => {
                write!(f, "what this might speak of was kept: {first}")
            }
            Self::Unread { count, first } => {
                write!(f, "what these {count} might speak of was kept, the first of which is: {first}")
            }
            Self::Room { missing_bytes } => write!(
                f,
                "{} less than asked for will be free: all else is in use, named, needed by clones, or was used within the grace period",
                Size(*missing_bytes)
            ),
            Self::Json(_) => f.write_str("cannot encode the result"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Library(error) => error.source(),
            Self::Output(source) | Self::File { source, .. } | Self::Signals(source) => Some(source),
            Self::Json(source) => Some(source),
            Self::Name { reason, .. } => Some(reason),
            Self::NoTemplate { source, .. } => Some(&**source),
            Self::Unread { first, .. } => std::error::Error::source(first),
            Self::Prompt(_)
            | Self::Vmm(_)
            | Self::Interrupted
            | Self::Findings(_)
            | Self::Unusable { .. }
            | Self::NoHome
            | Self::Demo(_)
            | Self::Room { .. } => None,
        }
    }
}

impl From<offshoot::Error> for Error {
    fn from(error: offshoot::Error) -> Self {
        Self::Library(error)
    }
}

impl From<Unsupported> for Error {
    fn from(unsupported: Unsupported) -> Self {
        Self::Vmm(unsupported)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

/// Of several things that were asked for, each is done if it can be; each failure is told, and the first decides.
pub(crate) fn every(done: impl Iterator<Item = Result<(), offshoot::Error>>) -> Result<(), Error> {
    let failures: Vec<_> = done.filter_map(Result::err).collect();
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else { return Ok(()) };
    failures.for_each(|failure| say(&format!("offshoot: {}", offshoot::with_causes(&failure))));
    Err(first.into())
}

/// A line on standard error. Where nobody can read it, that is no reason to fail.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// One line on standard error: what failed, and why, down to the cause.
pub(crate) fn report(error: &Error) -> ExitCode {
    let code = error.code();
    let remedy = match error {
        Error::Library(_) | Error::NoTemplate { .. } if code == NO_SPACE => {
            "; make room: 'offshoot gc' frees what nobody needs"
        }
        _ => "",
    };
    say(&format!("offshoot: {}{remedy}", offshoot::with_causes(error)));
    ExitCode::from(code)
}
