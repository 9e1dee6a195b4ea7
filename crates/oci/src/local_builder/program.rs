use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{Access, access};

use super::tail::Tail;
use super::{LocalOptions, ProgramProblem};
use crate::child_group::ChildGroup;

/// How much is read of an image at once, and how many such pieces may wait to be written.
const PIECE: usize = 256 << 10;
const PIECES: usize = 4;
/// How often an interrupt is asked for.
const SLICE: Duration = Duration::from_millis(50);
/// How long the last words of a program that has ended are waited for: something it started may hold its pipe open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A program that keeps images or builds them.
#[derive(Debug)]
pub(super) struct Program<'a> {
    pub(super) name: &'static str,
    path: PathBuf,
    options: &'a LocalOptions,
    /// Where it puts temporary files, if nobody says otherwise.
    scratch: &'a Path,
}

/// Why a program was stopped, or stopped.
pub(super) enum Stopped {
    /// Its own doing.
    Program(ProgramProblem),
    /// What it handed over could not be taken.
    Taken(io::Error),
}

/// One run of a program.
pub(super) struct Call<'a> {
    pub(super) arguments: Vec<OsString>,
    /// How long it may say nothing.
    pub(super) stall: Option<Duration>,
    /// How many lines of what it says go into an error.
    pub(super) lines: usize,
    /// What it hands over on its standard output; without, that is more of what it says.
    pub(super) take: Option<Take<'a>>,
}

pub(super) type Take<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

impl<'a> Program<'a> {
    /// The first of some programs that is in the environment's `PATH`.
    pub(super) fn find(names: &[&'static str], options: &'a LocalOptions, scratch: &'a Path) -> Option<Self> {
        let directories: Vec<PathBuf> = options
            .variable("PATH")
            .map(|path| std::env::split_paths(path).filter(|path| path.is_absolute()).collect())
            .unwrap_or_default();
        let program = |&name| {
            let mut candidates = directories.iter().map(|directory| directory.join(name));
            let path = candidates.find(|path| path.is_file() && access(path, Access::EXEC_OK).is_ok())?;
            Some(Self { name, path, options, scratch })
        };
        names.iter().find_map(program)
    }

    /// Runs it to its end; if that is not reached, it is ended with all that it has started.
    pub(super) fn run(&self, mut call: Call<'_>) -> Result<(), Stopped> {
        let mut command = Command::new(&self.path);
        command.args(&call.arguments).env_clear().env("TMPDIR", self.scratch);
        // Messages are read by their words.
        command.envs(&self.options.environment).env("LC_ALL", "C");
        command.stdin(Stdio::null()).process_group(0);
        let start = |error| Stopped::Program(ProgramProblem::Start(error));
        let (output, output_end) = io::pipe().map_err(start)?;
        let tail = Arc::new(Mutex::new(Tail::default()));
        let said = match &call.take {
            Some(_) => {
                let (words, words_end) = io::pipe().map_err(start)?;
                command.stderr(words_end);
                Some(listen(words, Arc::clone(&tail)))
            }
            // All through one pipe, so that it stays in order.
            None => {
                command.stderr(output_end.try_clone().map_err(start)?);
                None
            }
        };
        command.stdout(output_end);
        let mut group = ChildGroup::new(command.spawn().map_err(start)?);
        // It holds the pipes' other ends.
        drop(command);
        let pieces = pieces(output);
        let mut patience = Patience::new(self.options, call.stall, &tail);
        loop {
            match pieces.recv_timeout(SLICE) {
                Ok(piece) => {
                    match &mut call.take {
                        Some(take) => take(&piece).map_err(Stopped::Taken)?,
                        None => lock(&tail).push(&piece),
                    }
                    patience.renew();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            patience.check()?;
        }
        let status = loop {
            let ended = group.ended().map_err(|error| Stopped::Program(ProgramProblem::Wait(error)))?;
            if let Some(status) = ended {
                break status;
            }
            patience.check()?;
            // It has closed its output, so its end is near.
            std::thread::sleep(Duration::from_millis(1));
        };
        if let Some(said) = said {
            let _ = said.recv_timeout(LAST_WORDS);
        }
        self.verdict(status, &lock(&tail), call.lines)
    }

    fn verdict(&self, status: ExitStatus, tail: &Tail, lines: usize) -> Result<(), Stopped> {
        if status.success() {
            return Ok(());
        }
        let (status, said) = (status.to_string(), tail.line(lines));
        Err(Stopped::Program(ProgramProblem::Failed { status, said }))
    }
}

/// For how long a program is waited for.
struct Patience<'a> {
    options: &'a LocalOptions,
    stall: Option<Duration>,
    tail: &'a Mutex<Tail>,
    heard: u64,
    since: Instant,
}

impl<'a> Patience<'a> {
    fn new(options: &'a LocalOptions, stall: Option<Duration>, tail: &'a Mutex<Tail>) -> Self {
        Self { options, stall, tail, heard: 0, since: Instant::now() }
    }

    fn renew(&mut self) {
        self.since = Instant::now();
    }

    fn check(&mut self) -> Result<(), Stopped> {
        if self.options.watch.cancelled() {
            return Err(Stopped::Program(ProgramProblem::Interrupted));
        }
        let total = lock(self.tail).total;
        if total != self.heard {
            self.heard = total;
            self.renew();
        }
        match self.stall {
            Some(stall) if self.since.elapsed() >= stall => {
                Err(Stopped::Program(ProgramProblem::Stalled(stall)))
            }
            _ => Ok(()),
        }
    }
}

fn lock(tail: &Mutex<Tail>) -> std::sync::MutexGuard<'_, Tail> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a stream piece by piece in a thread of its own, so that it can be waited for with a limit. The thread ends with
/// the stream, or with the receiver.
fn pieces(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = sync_channel(PIECES);
    std::thread::spawn(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let count = match stream.read(&mut piece) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            piece.truncate(count);
            if count == 0 || sender.send(piece).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Keeps the end of a stream, in a thread of its own; says when it is over.
fn listen(mut stream: impl Read + Send + 'static, tail: Arc<Mutex<Tail>>) -> Receiver<()> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        loop {
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => lock(&tail).push(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = sender.send(());
    });
    receiver
}
