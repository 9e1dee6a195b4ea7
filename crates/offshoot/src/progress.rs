use std::fmt;
use std::io::{self, Read};

use offshoot_store::Digest;

/// What a long operation tells while it goes on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A layer is being fetched and packed.
    LayerStarted {
        /// Its position in the image, from 0 for the lowest.
        index: usize,
        /// How many layers the image has.
        count: usize,
        /// Its blob, where that is known.
        blob: Option<Digest>,
        /// The blob's size in bytes, where that is known.
        bytes: Option<u64>,
    },
    /// More of a layer has been read.
    LayerRead {
        /// Its position in the image.
        index: usize,
        /// Compressed bytes since the last such event.
        bytes: u64,
    },
    /// A layer is packed.
    LayerFinished {
        /// Its position in the image.
        index: usize,
        /// Whether its pack was there already.
        reused: bool,
    },
    /// A template is being written.
    BuildStarted {
        /// How much there is to write or share, in bytes.
        bytes: u64,
    },
    /// More of a template has been written or shared.
    BuildWrote {
        /// Bytes since the last such event.
        bytes: u64,
    },
    /// The template is there.
    BuildFinished {
        /// Whether it was there already.
        reused: bool,
    },
    /// A store is being looked at: so many [`VerifyFinished`](Self::VerifyFinished) follow.
    VerifyStarted {
        /// How many things there are to look at.
        things: usize,
    },
    /// A thing's contents are being read: from the start again, where something looked wrong and is looked at once more.
    VerifyReading {
        /// Its number among all things, from 0.
        index: usize,
        /// `blob`, `layer` or `template`.
        kind: &'static str,
        /// What it is called.
        digest: Digest,
        /// How much there is to read, in bytes; less is read of what turns out to be damaged.
        bytes: u64,
    },
    /// More of a thing has been read.
    VerifyRead {
        /// Its number.
        index: usize,
        /// Bytes since the last such event of it.
        bytes: u64,
    },
    /// One more thing has been looked at.
    VerifyFinished {
        /// Its number.
        index: usize,
        /// How much is wrong with it.
        findings: usize,
    },
}

/// Who listens to an operation, and may stop it.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use offshoot::{Event, Progress};
///
/// struct Downloaded(AtomicU64);
///
/// impl Progress for Downloaded {
///     fn event(&self, event: Event) {
///         if let Event::LayerRead { bytes, .. } = event {
///             self.0.fetch_add(bytes, Ordering::Relaxed);
///         }
///     }
/// }
/// ```
pub trait Progress: Sync {
    /// Takes one event; called from several threads.
    fn event(&self, event: Event);

    /// Whether the operation should stop; it then leaves nothing behind and fails as interrupted.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn event(&self, _event: Event) {}
}

/// The operation was stopped by its [`Progress`].
#[derive(Debug)]
pub(crate) struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Cancelled {}

pub(crate) fn check(progress: &dyn Progress) -> io::Result<()> {
    if progress.cancelled() { Err(io::Error::other(Cancelled)) } else { Ok(()) }
}

/// Reads on until the operation is cancelled.
pub(crate) struct Cancellable<'a, R> {
    pub(crate) inner: R,
    pub(crate) progress: &'a dyn Progress,
}

impl<R: Read> Read for Cancellable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        check(self.progress)?;
        self.inner.read(buffer)
    }
}
