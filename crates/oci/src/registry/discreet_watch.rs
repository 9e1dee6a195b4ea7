use std::sync::Arc;
use std::time::Duration;

use super::told::Told;
use super::watch::{Notice, Watch};

/// Whoever watches hears no secret either.
pub(crate) struct DiscreetWatch {
    pub(crate) inner: Arc<dyn Watch>,
    pub(crate) told: Told,
}

impl Watch for DiscreetWatch {
    fn cancelled(&self) -> bool {
        self.inner.cancelled()
    }

    fn notice(&self, notice: &Notice) {
        let mut notice = notice.clone();
        if let Notice::Retry { problem, .. } | Notice::MirrorFailed { problem, .. } = &mut notice {
            *problem = self.told.hide(problem);
        }
        self.inner.notice(&notice);
    }

    fn pause(&self, duration: Duration) {
        self.inner.pause(duration);
    }
}
