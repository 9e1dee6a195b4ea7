use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

/// Why a task did not do what it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was called wrongly.
    Usage(String),
    /// A command could not be started.
    Start(String, io::Error),
    /// A command failed.
    Exit(String, ExitStatus),
    /// A file could not be read or written.
    File(PathBuf, io::Error),
    /// A command did not say what it should.
    Unexpected(String),
}

impl Failure {
    /// 2 for a wrong call, otherwise 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(if matches!(self, Self::Usage(_)) { 2 } else { 1 })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Unexpected(text) => f.write_str(text),
            Self::Start(command, error) => write!(f, "cannot run {command}: {error}"),
            Self::Exit(command, status) => write!(f, "{command}: {status}"),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

/// How the variables begin by which cargo tells a program of its package.
const OF_THIS_PACKAGE: [&str; 2] = ["CARGO_MANIFEST_", "CARGO_PKG_"];

/// The workspace's directory.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// This cargo, in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(workspace());
    // What `cargo run` told this program of itself. There are dependencies that are built anew whenever it changes.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| OF_THIS_PACKAGE.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end; it must succeed.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| Failure::Start(show(command), error))?;
    if status.success() { Ok(()) } else { Err(Failure::Exit(show(command), status)) }
}

/// Runs a command to its end and gives its standard output; it must succeed.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.output().map_err(|error| Failure::Start(show(command), error))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        Err(Failure::Exit(show(command), output.status))
    }
}

/// A command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Builds the program in release form; gives its path.
pub(crate) fn build_program() -> Result<PathBuf, Failure> {
    run(&mut cargo(&["build", "--release", "--locked", "-p", "offshoot-cli"]))?;
    let program = offshoot_testkit::target_directory().join("release/offshoot");
    if program.is_file() { Ok(program) } else { Err(Failure::File(program, io::ErrorKind::NotFound.into())) }
}
