use std::time::Duration;

use super::transport::TransportError;
use super::url::UrlProblem;
use crate::ErrorKind;
use crate::credentials::CredentialsError;

/// Why a registry does not give what it was asked for. No secret is in any text: URLs stand without queries, and
/// an error that repeats what the registry was told becomes [`Error::Withheld`](crate::Error::Withheld).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryProblem {
    /// No answer, or not all of it.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A status that says nothing more to us.
    #[error("it answers {status}{detail}")]
    Status {
        /// HTTP's.
        status: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// `: ` and what the registry says, or nothing.
        detail: String,
    },
    /// What it leads to refuses.
    #[error("{host}, to which it redirects, answers {status}")]
    Storage {
        /// The storage's host.
        host: String,
        /// HTTP's.
        status: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The repository, tag or blob is not there.
    #[error("it has no such image{detail}")]
    NotFound {
        /// `: ` and what the registry says, or nothing.
        detail: String,
    },
    /// Credentials are missing, wrong, or do not suffice.
    #[error("it denies access ({status}{detail}); {}", remedy(user.as_deref(), host))]
    Denied {
        /// HTTP's: 401 or 403.
        status: u16,
        /// `: ` and what the registry says, or nothing.
        detail: String,
        /// In whose name it was asked, if in anybody's.
        user: Option<String>,
        /// What `offshoot login` takes.
        host: String,
    },
    /// The registry limits how often it may be asked.
    #[error("it has had too many requests{}{detail}", wait(*retry_after))]
    TooManyRequests {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// `: ` and what the registry says, or nothing.
        detail: String,
    },
    /// It wants to be convinced in another way.
    #[error("it asks for authentication of a kind that is not known: {0}")]
    Challenge(String),
    /// The challenge's token server is one that must not learn a secret.
    #[error("its token server {realm} is not asked: {problem}")]
    Realm {
        /// The token server.
        realm: String,
        /// What is wrong with it.
        problem: RealmProblem,
    },
    /// The token server's answer is of no use.
    #[error("its token server {0} gives no token")]
    NoToken(String),
    /// The credentials cannot be had.
    #[error("the credentials for it cannot be had")]
    Credentials(#[source] CredentialsError),
    /// One redirect too many.
    #[error("it redirects more than {0} times")]
    Redirects(u32),
    /// From HTTPS to HTTP.
    #[error("it redirects from https to {0}")]
    InsecureRedirect(String),
    /// To what is not a URL.
    #[error("it redirects to nowhere")]
    Location(#[source] UrlProblem),
    /// A `hosts.toml` leaves nobody to ask.
    #[error("no host of it may be asked for that, says its hosts.toml")]
    NoHost,
    /// Asked to go on at one place, it goes on at another.
    #[error("asked for a blob from byte {wanted} on, it answers with another part")]
    Range {
        /// Where the download was to go on.
        wanted: u64,
    },
    /// The connection ended before the blob did.
    #[error("the connection ended after {got} of {size} bytes")]
    Cut {
        /// How many bytes there are.
        got: u64,
        /// How many there should be.
        size: u64,
    },
    /// The blob's beginning is another than it was before the connection broke.
    #[error("after a cut, it began the blob with other bytes than before")]
    Changed,
}

/// Why a token server is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RealmProblem {
    /// Not a URL.
    #[error(transparent)]
    Url(#[from] UrlProblem),
    /// Not `https`, and neither the registry nor the machine allows that.
    #[error("it is not https")]
    Insecure,
}

impl RegistryProblem {
    /// Whether the same request may well be answered a moment later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Transport(error) => error.is_passing(),
            Self::Status { status, .. } => is_passing(*status),
            // A signature that has expired since; the registry makes another one.
            Self::Storage { status, .. } => is_passing(*status) || *status == 403,
            Self::TooManyRequests { .. } | Self::Range { .. } | Self::Cut { .. } => true,
            _ => false,
        }
    }

    /// How long the registry asks to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. }
            | Self::Storage { retry_after, .. }
            | Self::TooManyRequests { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Transport(TransportError::Interrupted)
            | Self::Credentials(CredentialsError::Interrupted) => ErrorKind::Interrupted,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Denied { .. } | Self::Credentials(_) | Self::Realm { .. } | Self::NoToken(_) => {
                ErrorKind::Authentication
            }
            Self::Challenge(_) => ErrorKind::Unsupported,
            Self::Changed => ErrorKind::Integrity,
            _ => ErrorKind::Unavailable,
        }
    }
}

/// Statuses that speak of the moment.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

fn remedy(user: Option<&str>, host: &str) -> String {
    match user {
        Some(user) => format!("it was asked in the name of {user:?}: `offshoot login {host}` changes that"),
        None => format!(
            "it was asked without credentials: `offshoot login {host}` keeps some, --creds gives them once"
        ),
    }
}

fn wait(retry_after: Option<Duration>) -> String {
    retry_after.map(|wait| format!(" and asks to wait {} s", wait.as_secs())).unwrap_or_default()
}
