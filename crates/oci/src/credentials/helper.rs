use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{Credentials, CredentialsError, Secret};
use crate::bounded_run::{RunBounds, RunProblem, run_bounded};
use crate::registry::Watch;

/// The most bytes a helper's answer may have.
const MAX_ANSWER: u64 = 64 << 10;
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
        let mut command = Command::new(program);
        command.arg(action);
        let bounds = RunBounds { bytes: MAX_ANSWER, time: self.limit, watch: self.watch };
        let name = self.name.to_owned();
        let (status, output) =
            run_bounded(command, input, false, &bounds).map_err(|problem| match problem {
                RunProblem::Io(source) => CredentialsError::RunHelper { name, source },
                RunProblem::TooMuch(_) => CredentialsError::HelperAnswer { name },
                RunProblem::Slow(limit) => CredentialsError::SlowHelper { name, limit },
                RunProblem::Interrupted => CredentialsError::Interrupted,
            })?;
        Ok((status.success(), status.to_string(), output))
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
