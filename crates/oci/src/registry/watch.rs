use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How long a wait goes on before it is asked whether it should end, and so how soon an interrupt is heeded.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

/// Who watches over the work with registries: hears what goes on besides the bytes, and may stop it.
///
/// ```
/// use offshoot_oci::{Notice, Watch};
///
/// struct Verbose;
///
/// impl Watch for Verbose {
///     fn notice(&self, notice: &Notice) {
///         eprintln!("{notice}");
///     }
/// }
/// ```
pub trait Watch: Send + Sync {
    /// Whether to stop. Asked often while something is waited for: an answer, more bytes, the next attempt.
    fn cancelled(&self) -> bool {
        false
    }

    /// Takes a notice; called from several threads.
    fn notice(&self, _notice: &Notice) {}

    /// Waits before the next attempt; sleeps, unless [`cancelled`](Self::cancelled).
    fn pause(&self, duration: Duration) {
        let mut left = duration;
        while !left.is_zero() && !self.cancelled() {
            let slice = left.min(SLICE);
            std::thread::sleep(slice);
            left -= slice;
        }
    }
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {}

/// What somebody who asked for details wants to know; shown as one line without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A request is made once more.
    Retry {
        /// The registry's host.
        host: String,
        /// What went wrong.
        problem: String,
        /// How long is waited before.
        pause: Duration,
    },
    /// A mirror cannot help, and the next one is asked.
    MirrorFailed {
        /// The mirror's host.
        host: String,
        /// Why not.
        problem: String,
    },
    /// What is said of registries there is not for this user.
    Forbidden {
        /// The file or directory.
        path: PathBuf,
    },
    /// A download goes on where it, or an earlier process, left off.
    Resumed {
        /// Which blob.
        digest: offshoot_store::Digest,
        /// Where, in bytes from its start.
        offset: u64,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry { host, problem, pause } => {
                write!(f, "{host}: {problem}; trying again in {:.1} s", pause.as_secs_f32())
            }
            Self::MirrorFailed { host, problem } => write!(f, "mirror {host}: {problem}; passing it over"),
            Self::Forbidden { path } => {
                write!(f, "{} may not be read by this user; passing it over", path.display())
            }
            Self::Resumed { digest, offset } => write!(f, "{digest} is resumed at byte {offset}"),
        }
    }
}
