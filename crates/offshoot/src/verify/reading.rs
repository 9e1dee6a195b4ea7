use std::io;

use offshoot_store::Digest;

use crate::progress::{self, Event, Progress};

/// Who hears how much of a thing has been read, and may stop it.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) progress: &'a dyn Progress,
    /// The thing's number among all that are looked at; nothing where only its wish to stop is heeded.
    pub(super) index: Option<usize>,
}

impl Reading<'_> {
    /// So much of a thing is to be read.
    pub(super) fn started(&self, kind: &'static str, digest: Digest, bytes: u64) {
        if let Some(index) = self.index {
            self.progress.event(Event::VerifyReading { index, kind, digest, bytes });
        }
    }

    /// So much more of it is.
    pub(super) fn read(&self, bytes: u64) -> io::Result<()> {
        if let Some(index) = self.index {
            self.progress.event(Event::VerifyRead { index, bytes });
        }
        self.check()
    }

    pub(super) fn check(&self) -> io::Result<()> {
        progress::check(self.progress)
    }

    pub(super) fn cancelled(&self) -> bool {
        self.progress.cancelled()
    }
}
