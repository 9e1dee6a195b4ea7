use std::io;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// How long a program may take to clean up when it is told to end.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is asked whether it has ended.
const SLICE: Duration = Duration::from_millis(2);

/// A process that leads a group of its own; ended with the group when dropped before it was seen to have ended by itself.
#[derive(Debug)]
pub(crate) struct ChildGroup {
    child: Child,
    /// Its number may be another's by now.
    has_ended: bool,
}

impl ChildGroup {
    /// Of a child that was started with `process_group(0)`.
    pub(crate) fn new(child: Child) -> Self {
        Self { child, has_ended: false }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        self.has_ended |= status.is_some();
        Ok(status)
    }
}

impl Drop for ChildGroup {
    fn drop(&mut self) {
        let Some(process) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return };
        if self.has_ended {
            return;
        }
        let _ = kill_process_group(process, Signal::TERM);
        let told = Instant::now();
        // Looked at without reaping it: until then, the group's number is no other's.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(process), options), Ok(None)) && told.elapsed() < GRACE {
            std::thread::sleep(SLICE);
        }
        let _ = kill_process_group(process, Signal::KILL);
        let _ = self.child.wait();
    }
}
