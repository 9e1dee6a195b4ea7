use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use offshoot_tree::InodeId;

/// The directories that are still to be filled, the latest first.
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: Vec<InodeId>,
    /// Those being filled and those that wait.
    unfinished: usize,
    stopped: bool,
}

impl Queue {
    pub(crate) fn new(first: InodeId) -> Self {
        let state = State { waiting: vec![first], unfinished: 1, stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a directory to fill; `None` when all are filled, or nothing more shall be.
    pub(crate) fn take(&self) -> Option<InodeId> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.unfinished == 0 {
                return None;
            }
            if let Some(id) = state.waiting.pop() {
                return Some(id);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A directory is filled: its children can be. One of them is given back for the caller to go on with.
    pub(crate) fn filled(&self, children: &mut Vec<InodeId>) -> Option<InodeId> {
        let mut state = self.lock();
        state.unfinished = state.unfinished.saturating_add(children.len()).saturating_sub(1);
        let next = children.pop().filter(|_| !state.stopped);
        let more = !children.is_empty();
        state.waiting.append(children);
        if more || state.unfinished == 0 {
            self.changed.notify_all();
        }
        next
    }

    /// Nobody takes anything any more.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }
}

/// Stops the queue when its worker ends, so that none waits for one that failed.
pub(crate) struct StopOnDrop<'a>(pub(crate) &'a Queue);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
