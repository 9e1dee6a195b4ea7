use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use offshoot_store::share_range;
use offshoot_tree::SourceId;

/// Where the contents come from.
pub(crate) struct Packs<'a>(Vec<Pack<'a>>);

pub(crate) struct Pack<'a> {
    pub(crate) file: &'a File,
    /// In bytes.
    pub(crate) length: u64,
    /// Until the filesystem has said that it cannot.
    can_share: AtomicBool,
}

impl<'a> Packs<'a> {
    pub(crate) fn new(files: &'a [File]) -> io::Result<Self> {
        let pack = |file: &'a File| {
            Ok(Pack { file, length: file.metadata()?.len(), can_share: AtomicBool::new(true) })
        };
        files.iter().map(pack).collect::<io::Result<_>>().map(Self)
    }

    pub(crate) fn get(&self, source: SourceId) -> Option<&Pack<'a>> {
        self.0.get(usize::try_from(source.0).ok()?)
    }
}

impl Pack<'_> {
    /// Whether so many bytes of the pack are the target's now; if not, nothing was changed.
    pub(crate) fn share(
        &self,
        offset: u64,
        target: &File,
        target_offset: u64,
        length: u64,
    ) -> io::Result<bool> {
        if !self.can_share.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let shared = share_range(self.file, offset, target, target_offset, length)?;
        if !shared {
            self.can_share.store(false, Ordering::Relaxed);
        }
        Ok(shared)
    }
}
