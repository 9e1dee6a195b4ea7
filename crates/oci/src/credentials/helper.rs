use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::{Credentials, CredentialsError, Secret};
use crate::child_group::ChildGroup;
use crate::registry::Watch;

/// The most bytes a helper's answer may have.
const MAX_ANSWER: u64 = 64 << 10;
/// How often an interrupt is asked for.
const SLICE: Duration = Duration::from_millis(50);
/// The user's name that says the secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// What every helper says, and Docker takes for "there are none".
const NOT_FOUND: &str = "credentials not found";

/// A program `docker-credential-NAME` that keeps credentials (Docker's credential helper protocol).
///
/// The `docker_credential` crate runs them without a limit of time or size, and reads only Docker's own file.
pub(crate) struct Helper<'a> {
    pub(crate) name: &'a str,
    /// The file that names it.
    pub(crate) file: &'a Path,
    /// Where programs lie.
    pub(crate) path: Option<&'a OsStr>,
    pub(crate) limit: Duration,
    pub(crate) watch: &'a dyn Watch,
}

impl Helper<'_> {
    /// The credentials for a server, if it has any.
    pub(crate) fn get(&self, server: &str) -> Result<Option<Credentials>, CredentialsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            username: String,
            secret: String,
        }
        let (success, status, output) = self.run("get", server)?;
        if !success {
            let said = String::from_utf8_lossy(&output);
            if said.to_ascii_lowercase().contains(NOT_FOUND) {
                return Ok(None);
            }
            return Err(CredentialsError::HelperFailed { name: self.name.to_owned(), status });
        }
        let Answer { username, secret } = serde_json::from_slice(&output)
            .map_err(|_| CredentialsError::HelperAnswer { name: self.name.to_owned() })?;
        let secret = Secret::new(secret);
        Ok(match username.as_str() {
            _ if secret.reveal().is_empty() => None,
            TOKEN_USER => Some(Credentials::IdentityToken { user: None, token: secret }),
            _ => Some(Credentials::Password { user: username, password: secret }),
        })
    }

    /// Has it keep credentials for a server.
    pub(crate) fn store(&self, server: &str, credentials: &Credentials) -> Result<(), CredentialsError> {
        let user = match credentials {
            Credentials::Password { user, .. } => user,
            _ => TOKEN_USER,
        };
        let entry = json!({"ServerURL": server, "Username": user, "Secret": credentials.secret().reveal()});
        self.succeed("store", &entry.to_string())
    }

    /// Has it forget the credentials for a server.
    pub(crate) fn erase(&self, server: &str) -> Result<(), CredentialsError> {
        self.succeed("erase", server)
    }

    fn succeed(&self, action: &str, input: &str) -> Result<(), CredentialsError> {
        match self.run(action, input)? {
            (true, ..) => Ok(()),
            (false, status, _) => Err(CredentialsError::HelperFailed { name: self.name.to_owned(), status }),
        }
    }

    /// Whether it succeeded, how it ended, and what it wrote.
    fn run(&self, action: &str, input: &str) -> Result<(bool, String, Vec<u8>), CredentialsError> {
        let program = self.program()?;
        let failed = |source| CredentialsError::RunHelper { name: self.name.to_owned(), source };
        let mut child = Command::new(program)
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Of its own, so that it can be ended with all that it started.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let pipes = (child.stdin.take(), child.stdout.take());
        let group = ChildGroup::new(child);
        let (Some(mut stdin), Some(stdout)) = pipes else {
            return Err(failed(std::io::Error::other("it has no pipes")));
        };
        let (sender, receiver) = channel();
        let input = input.to_owned();
        // Not waited for if it is stuck: a process that left the group may keep the pipes open.
        std::thread::spawn(move || {
            // Not all helpers read what they are told.
            let _ = stdin.write_all(input.as_bytes());
            drop(stdin);
            let mut output = Vec::new();
            let read = stdout.take(MAX_ANSWER).read_to_end(&mut output);
            let _ = sender.send(read.map(|_| output));
        });
        let started = Instant::now();
        let output = loop {
            match receiver.recv_timeout(SLICE) {
                Ok(output) => break output.map_err(failed)?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(CredentialsError::HelperAnswer { name: self.name.to_owned() });
                }
                Err(RecvTimeoutError::Timeout) if self.watch.cancelled() => {
                    return Err(CredentialsError::Interrupted);
                }
                Err(RecvTimeoutError::Timeout) if started.elapsed() >= self.limit => return Err(self.slow()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        };
        if output.len() as u64 == MAX_ANSWER {
            return Err(CredentialsError::HelperAnswer { name: self.name.to_owned() });
        }
        let status = wait(group, self.limit.saturating_sub(started.elapsed())).ok_or_else(|| self.slow())?;
        Ok((status.success(), status.to_string(), output))
    }

    fn slow(&self) -> CredentialsError {
        CredentialsError::SlowHelper { name: self.name.to_owned(), limit: self.limit }
    }

    /// The program, found by a name that leads nowhere else.
    fn program(&self) -> Result<PathBuf, CredentialsError> {
        let is_name =
            |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
        if self.name.is_empty() || !self.name.chars().all(is_name) {
            return Err(CredentialsError::HelperName { name: self.name.to_owned() });
        }
        let program = format!("docker-credential-{}", self.name);
        std::env::split_paths(self.path.unwrap_or_default())
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(&program))
            .find(|candidate| candidate.is_file())
            .ok_or_else(|| CredentialsError::NoHelper {
                name: self.name.to_owned(),
                file: self.file.to_owned(),
            })
    }
}

/// How a program ended, if it does so in time; it has closed its output, so its end is near.
fn wait(mut group: ChildGroup, limit: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    loop {
        match group.ended() {
            Ok(Some(status)) => return Some(status),
            Err(_) => return None,
            Ok(None) if started.elapsed() >= limit => return None,
            Ok(None) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}
