use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use tempfile::TempDir;

use super::TestCertificate;
use crate::{oracle, scratch_directory};

/// Who may use a registry with [`Setup::Password`].
pub const USER: &str = "alice";
/// What she says.
pub const PASSWORD: &str = "correct horse:battery";
/// As `htpasswd -nbBC 4` has it.
const HTPASSWD: &str = "$2y$04$Azq.6wCHvUg8PbrJNL50j.QEVhXjIi5tkJ9BJvXCqS6MbXwE35HBu";
/// How often another port is tried.
const ATTEMPTS: usize = 20;

/// How a [`DockerRegistry`] is to be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// HTTP, for everybody.
    Plain,
    /// HTTP, for [`USER`] alone.
    Password,
    /// HTTPS, with a certificate of an authority that nobody knows.
    Tls,
    /// HTTPS, for whoever has the client's certificate.
    ClientCertificate,
}

/// Debian's `docker-registry`, for as long as this lives.
#[derive(Debug)]
pub struct DockerRegistry {
    child: Child,
    log: Option<JoinHandle<()>>,
    host: String,
    setup: Setup,
    certificate: TestCertificate,
    directory: TempDir,
}

impl DockerRegistry {
    /// Whether it and what pushes to it are there; as [`oracle::available`] otherwise.
    pub fn available() -> bool {
        oracle::available(&["docker-registry", "skopeo"])
    }

    /// An empty one, ready to be asked.
    pub fn start(setup: Setup) -> Self {
        let directory = scratch_directory();
        let certificate = TestCertificate::create(directory.path());
        for _ in 0..ATTEMPTS {
            // It cannot be told to find itself a port, so another process may be quicker to take this one: then it
            // ends, and the next one is tried.
            let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let port = port.unwrap_or_else(|error| panic!("no free port: {error}")).port();
            let host = format!("127.0.0.1:{port}");
            write_configuration(directory.path(), &host, setup);
            let mut command = oracle::command("docker-registry");
            command.arg("serve").arg(directory.path().join("config.yml")).env_remove("REGISTRY_AUTH_FILE");
            let mut child = command
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
            let Some(stderr) = child.stderr.take() else { continue };
            let mut lines = BufReader::new(stderr).lines();
            let mut said = Vec::new();
            let listens = lines.by_ref().map_while(Result::ok).any(|line| {
                let listens = line.contains("listening on");
                said.push(line);
                listens
            });
            if listens {
                // It would block on a full pipe.
                let log = Some(std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop)));
                return Self { child, log, host, setup, certificate, directory };
            }
            let _ = child.wait();
            let said = said.join("\n");
            assert!(said.contains("address already in use"), "docker-registry does not start: {said}");
        }
        panic!("docker-registry found no free port in {ATTEMPTS} attempts");
    }

    /// `127.0.0.1:PORT`
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `127.0.0.1:PORT/REPOSITORY:TAG`
    pub fn reference(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.host)
    }

    /// The certificates of [`Setup::Tls`] and [`Setup::ClientCertificate`].
    pub fn certificate(&self) -> &TestCertificate {
        &self.certificate
    }

    /// Has skopeo push an image, named as skopeo names it, with all its platforms and byte for byte.
    pub fn push(&self, source: &str, repository: &str, tag: &str) {
        let certificates = self.directory.path().join("for-skopeo");
        fs::create_dir_all(&certificates).unwrap_or_else(|error| panic!("cannot make a directory: {error}"));
        for file in ["ca.crt", "client.cert", "client.key"] {
            fs::copy(self.certificate.file(file), certificates.join(file))
                .unwrap_or_else(|error| panic!("cannot copy {file}: {error}"));
        }
        let mut command = oracle::command("skopeo");
        command.args(["--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests"]);
        match self.setup {
            Setup::Plain => command.arg("--dest-tls-verify=false"),
            Setup::Password => {
                command.arg("--dest-tls-verify=false").arg(format!("--dest-creds={USER}:{PASSWORD}"))
            }
            Setup::Tls | Setup::ClientCertificate => command.arg("--dest-cert-dir").arg(&certificates),
        };
        oracle::run(command.arg(source).arg(format!("docker://{}", self.reference(repository, tag))));
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}

fn write_configuration(directory: &Path, host: &str, setup: Setup) {
    let shown = |file: &str| directory.join(file).display().to_string();
    let mut configuration = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n",
        shown("storage")
    );
    if setup == Setup::Password {
        configuration += &format!("auth:\n  htpasswd: {{realm: tests, path: {}}}\n", shown("htpasswd"));
    }
    configuration += &format!("http:\n  addr: {host}\n  secret: tests\n");
    if matches!(setup, Setup::Tls | Setup::ClientCertificate) {
        configuration +=
            &format!("  tls:\n    certificate: {}\n    key: {}\n", shown("server.crt"), shown("server.key"));
    }
    if setup == Setup::ClientCertificate {
        configuration += &format!("    clientcas: [{}]\n", shown("ca.crt"));
    }
    let written = fs::write(directory.join("config.yml"), configuration)
        .and_then(|()| fs::write(directory.join("htpasswd"), format!("{USER}:{HTPASSWD}\n")));
    written.unwrap_or_else(|error| panic!("cannot configure docker-registry: {error}"));
}
