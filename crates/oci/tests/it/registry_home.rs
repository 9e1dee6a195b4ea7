//! A registry that wants to know who asks, and a home in which to find out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use offshoot_oci::{CredentialsError, Environment, Error, ErrorKind, RegistryHost, RegistryProblem};
use offshoot_testkit::registry::Auth;
use serde_json::{Value, json};

use crate::registry_fixture::{Fixture, line};

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "pass:word";

/// A registry for [`USER`], and a home with nothing in it.
pub(crate) struct Home {
    pub(crate) fixture: Fixture,
    pub(crate) path: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        let mut fixture = Fixture::new(10);
        fixture.registry.auth(Auth::Basic(USER.into(), PASSWORD.into()));
        let path = fixture.directory.path().join("home");
        fs::create_dir_all(path.join("bin")).unwrap();
        fixture.options.environment = Environment {
            runtime_directory: Some(path.join("run")),
            config_directory: Some(path.join("config")),
            docker_directory: Some(path.join("docker")),
            path: Some(path.join("bin").into()),
            ..Environment::default()
        };
        Self { fixture, path }
    }

    pub(crate) fn host(&self) -> String {
        self.fixture.registry.host()
    }

    pub(crate) fn registry(&self) -> RegistryHost {
        self.host().parse().unwrap()
    }

    pub(crate) fn write(&self, file: &str, contents: &Value) -> PathBuf {
        let path = self.path.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents.to_string().replace("HOST", &self.host())).unwrap();
        path
    }

    pub(crate) fn read(&self, file: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path.join(file)).unwrap()).unwrap()
    }

    /// A credential helper: what it was asked goes to `asked`, one line each.
    pub(crate) fn helper(&self, name: &str, script: &str) {
        let path = self.path.join("bin").join(format!("docker-credential-{name}"));
        let asked = self.path.join("asked");
        let text = format!(
            "#!/bin/sh\nPATH=/bin:/usr/bin\nread line\necho \"$1 $line\" >>{}\n{script}\n",
            asked.display()
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn asked(&self) -> String {
        let path = self.path.join("asked");
        let asked = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        asked.replace(&self.host(), "HOST")
    }

    pub(crate) fn is_let_in(&self) -> bool {
        match self.fixture.resolve() {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Authentication, "{}", line(&error));
                false
            }
        }
    }

    pub(crate) fn problem(&self) -> CredentialsError {
        credentials_error(self.fixture.resolve().unwrap_err())
    }
}

pub(crate) fn credentials_error(error: Error) -> CredentialsError {
    match error {
        Error::Registry { problem, .. } => match *problem {
            RegistryProblem::Credentials(problem) => problem,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

pub(crate) fn right() -> Value {
    json!({"auths": {"HOST": {"auth": "YWxpY2U6cGFzczp3b3Jk"}}})
}

pub(crate) fn wrong() -> Value {
    json!({"auths": {"HOST": {"username": "alice", "password": "wrong"}}})
}
