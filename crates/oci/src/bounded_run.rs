use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::child_group::ChildGroup;
use crate::registry::{SLICE, Watch};

/// How much of a program is waited for.
#[derive(Clone, Copy)]
pub struct RunBounds<'a> {
    /// The most bytes that it may say; one that says so many says too much.
    pub bytes: u64,
    /// How long it may take.
    pub time: Duration,
    /// Who may stop it.
    pub watch: &'a dyn Watch,
}

impl fmt::Debug for RunBounds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunBounds")
            .field("bytes", &self.bytes)
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

/// Why a program was not run to its end. It is ended then, with all that it started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunProblem {
    /// It could not be run, or not be heard.
    #[error("it cannot be run")]
    Io(#[source] io::Error),
    /// It said more than it may.
    #[error("it says more than {0} bytes")]
    TooMuch(u64),
    /// It took longer than it may.
    #[error("it did not end within {} s", .0.as_secs_f32())]
    Slow(Duration),
    /// Whoever watches said so.
    #[error("interrupted")]
    Interrupted,
}

/// Runs a program for what it says: tells it `input`, and gives how it ended and what it wrote on standard output; with
/// `all`, also on standard error, in order.
///
/// It is a process group of its own, so that it can be ended with all that it started.
pub fn run_bounded(
    mut command: Command,
    input: &str,
    all: bool,
    bounds: &RunBounds<'_>,
) -> Result<(ExitStatus, Vec<u8>), RunProblem> {
    let (output, output_end) = io::pipe().map_err(RunProblem::Io)?;
    let errors = if all { output_end.try_clone().map_err(RunProblem::Io)?.into() } else { Stdio::null() };
    command.stdin(Stdio::piped()).stdout(output_end).stderr(errors).process_group(0);
    let mut child = command.spawn().map_err(RunProblem::Io)?;
    // It holds the pipe's other ends.
    drop(command);
    let stdin = child.stdin.take();
    let mut group = ChildGroup::new(child);
    let (sender, receiver) = channel();
    let (input, most) = (input.to_owned(), bounds.bytes);
    // Not waited for if it is stuck: a process that left the group may keep the pipes open.
    std::thread::spawn(move || {
        // Not all programs read what they are told.
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(input.as_bytes());
        }
        let mut said = Vec::new();
        let read = output.take(most).read_to_end(&mut said);
        let _ = sender.send(read.map(|_| said));
    });
    let started = Instant::now();
    let said = loop {
        match receiver.recv_timeout(SLICE.min(bounds.time)) {
            Ok(said) => break said.map_err(RunProblem::Io)?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(RunProblem::Io(io::ErrorKind::BrokenPipe.into()));
            }
            Err(RecvTimeoutError::Timeout) if bounds.watch.cancelled() => {
                return Err(RunProblem::Interrupted);
            }
            Err(RecvTimeoutError::Timeout) if started.elapsed() >= bounds.time => {
                return Err(RunProblem::Slow(bounds.time));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    if said.len() as u64 >= most {
        return Err(RunProblem::TooMuch(most));
    }
    loop {
        // It has closed its output, so its end is near.
        match group.ended().map_err(RunProblem::Io)? {
            Some(status) => return Ok((status, said)),
            None if bounds.watch.cancelled() => return Err(RunProblem::Interrupted),
            None if started.elapsed() >= bounds.time => return Err(RunProblem::Slow(bounds.time)),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Unwatched;

    fn run(script: &str, input: &str, all: bool) -> Result<(ExitStatus, Vec<u8>), RunProblem> {
        let bounds = RunBounds { bytes: 100, time: Duration::from_millis(300), watch: &Unwatched };
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run_bounded(command, input, all, &bounds)
    }

    #[test]
    fn what_ends_is_heard() {
        for (script, all, code, said) in [
            ("cat; echo no >&2; exit 3", false, 3, "told"),
            ("cat; echo no >&2; exit 3", true, 3, "toldno\n"),
            ("echo yes", true, 0, "yes\n"),
        ] {
            let (status, bytes) = run(script, "told", all).unwrap();
            assert_eq!((status.code(), bytes.as_slice()), (Some(code), said.as_bytes()), "{script}");
        }
    }

    #[test]
    fn what_does_not_end_is_ended() {
        let started = Instant::now();
        for script in ["sleep 60", "exec >&- 2>&-; sleep 60", "sleep 60 & exit 0", "trap '' TERM; sleep 60"] {
            assert!(matches!(run(script, "", true), Err(RunProblem::Slow(_))), "{script}");
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("process");
        assert!(matches!(
            run(&format!("sleep 60 & echo $! >{}", file.display()), "", true),
            Err(RunProblem::Slow(_))
        ));
        // Gone, or about to be, or waiting for whoever has it now to hear of it.
        let process = fs::read_to_string(&file).unwrap();
        let lives = || {
            let state = fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
            !state.is_empty() && !state.contains(") Z")
        };
        let killed = Instant::now();
        while lives() {
            assert!(killed.elapsed() < Duration::from_secs(20), "{process} lives");
            std::thread::yield_now();
        }
        for script in ["yes", "exec 2>&1 >/dev/null; yes >&2"] {
            assert!(matches!(run(script, "", true), Err(RunProblem::TooMuch(100))), "{script}");
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
        let bounds = RunBounds { bytes: 1, time: Duration::from_secs(1), watch: &Unwatched };
        let error = run_bounded(Command::new("/nowhere/to-be-found"), "", false, &bounds).unwrap_err();
        assert!(matches!(error, RunProblem::Io(error) if error.kind() == io::ErrorKind::NotFound));
    }
}
