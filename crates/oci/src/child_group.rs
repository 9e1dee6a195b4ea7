use std::io;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// How long a program may take to clean up when it is told to end.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is asked whether it has ended.
const SLICE: Duration = Duration::from_millis(2);

/// A process that leads a group of its own; ended with the group when dropped before it has ended by itself.
#[derive(Debug)]
pub(crate) struct ChildGroup(Child);

impl ChildGroup {
    /// Of a child that was started with `process_group(0)`.
    pub(crate) fn new(child: Child) -> Self {
        Self(child)
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }
}

impl Drop for ChildGroup {
    fn drop(&mut self) {
        let Some(process) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) else { return };
        if !matches!(self.0.try_wait(), Ok(None)) {
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
        let _ = self.0.wait();
    }
}
