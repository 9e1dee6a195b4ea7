use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why credentials cannot be had or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// A file of credentials cannot be read or written.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of credentials is not of the form that Docker and podman write. What it says is not shown.
    #[error("{} is not a file of credentials: {problem}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Where, or how.
        problem: String,
    },
    /// A helper's name that would lead elsewhere than to a program `docker-credential-NAME`.
    #[error("{name:?} is not a credential helper's name")]
    HelperName {
        /// What the file says.
        name: String,
    },
    /// The helper's program is not there.
    #[error("the credential helper docker-credential-{name}, which {} names, is not on PATH", file.display())]
    NoHelper {
        /// Which.
        name: String,
        /// The file that names it.
        file: PathBuf,
    },
    /// The helper cannot be run.
    #[error("cannot run docker-credential-{name}")]
    RunHelper {
        /// Which.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// The helper took too long, and was ended.
    #[error("docker-credential-{name} did not end within {} s", limit.as_secs_f32())]
    SlowHelper {
        /// Which.
        name: String,
        /// How long it was given.
        limit: Duration,
    },
    /// The helper failed. What it wrote is not shown, since it may be a secret.
    #[error("docker-credential-{name} failed ({status})")]
    HelperFailed {
        /// Which.
        name: String,
        /// How it ended.
        status: String,
    },
    /// The helper's answer is not one.
    #[error("the answer of docker-credential-{name} is not one that can be read")]
    HelperAnswer {
        /// Which.
        name: String,
    },
    /// Whoever watches said so.
    #[error("interrupted")]
    Interrupted,
    /// There is no place to keep credentials in.
    #[error(
        "there is no file to keep credentials in: neither HOME nor DOCKER_CONFIG is set; name one with --authfile"
    )]
    NoFile,
}
