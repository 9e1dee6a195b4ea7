//! What `hosts.toml` and Docker's directories of certificates say: mirrors, servers, paths, headers, trust.

use std::fs;
use std::path::{Path, PathBuf};

use offshoot_oci::{
    Credentials, Environment, Error, ErrorKind, HostsProblem, Notice, Platform, RegistryProblem, open,
};
use offshoot_testkit::registry::{Auth, Fault, TestCertificate};
use serde_json::json;

use crate::registry_fixture::{Fixture, line, read};

/// An image called `registry.example.com/app:v1`, which nobody can ask: whatever is asked is named in a `hosts.toml`.
struct Hosts {
    fixture: Fixture,
    mirror: Fixture,
    root: PathBuf,
}

const NAME: &str = "registry.example.com";

impl Hosts {
    fn new() -> Self {
        let (mut fixture, mirror) = (Fixture::new(3000), Fixture::new(3000));
        let root = fixture.directory.path().join("certs.d");
        fixture.options.host_directories = vec![fixture.directory.path().join("nothing"), root.clone()];
        fixture.options.plain_http = false;
        Self { fixture, mirror, root }
    }

    /// `SERVER` and `MIRROR` stand for the two registries.
    fn write(&self, directory: &str, text: &str) {
        let directory = self.root.join(directory);
        fs::create_dir_all(&directory).unwrap();
        let text = text.replace("SERVER", &self.fixture.registry.host());
        fs::write(directory.join("hosts.toml"), text.replace("MIRROR", &self.mirror.registry.host()))
            .unwrap();
    }

    fn pull(&self, name: &str) -> Result<Vec<u8>, Error> {
        let source = open(&name.parse().unwrap(), &self.fixture.source_options())?;
        let image = source.resolve(&Platform::host())?;
        let (bytes, end) = read(source.open_layer(&image, 0));
        end.map(|()| bytes)
    }

    /// How often server and mirror were asked since the last time.
    fn asked(&self, before: &mut (usize, usize)) -> (usize, usize) {
        let now = (self.fixture.registry.seen().len(), self.mirror.registry.seen().len());
        let asked = (now.0 - before.0, now.1 - before.1);
        *before = now;
        asked
    }
}

#[test]
fn a_mirror_is_asked_first_and_told_whom_it_speaks_for() {
    let hosts = Hosts::new();
    hosts.write(NAME, "server = 'http://SERVER'\n[host.'http://MIRROR']\n");
    assert_eq!(hosts.pull("registry.example.com/app:v1").unwrap(), hosts.fixture.blob());
    let seen = hosts.mirror.registry.seen();
    assert_eq!(hosts.fixture.registry.seen(), []);
    assert_eq!(seen[0].path, "/v2/app/manifests/v1?ns=registry.example.com");
    assert!(seen.iter().all(|seen| seen.parameter("ns") == Some(NAME)));
    // The server itself is told nothing.
    hosts.write(NAME, "server = 'http://SERVER'\n");
    hosts.pull("registry.example.com/app:v1").unwrap();
    assert!(hosts.fixture.registry.seen().iter().all(|seen| seen.parameter("ns").is_none()));
}

#[test]
fn a_mirror_that_fails_is_passed_over() {
    let hosts = Hosts::new();
    let hosts = Hosts { fixture: hosts.fixture.impatient(), ..hosts };
    hosts.write(NAME, "server = 'http://SERVER'\n[host.'http://127.0.0.1:1']\n[host.'http://MIRROR']\n");
    let layer = hosts.fixture.layer.digest.clone();
    // One that gives no answer is asked once a pull.
    hosts.pull("registry.example.com/app:v1").unwrap();
    let notices = std::mem::take(&mut *hosts.fixture.watcher.notices.lock().unwrap());
    assert_eq!(notices.len(), 1, "{notices:?}");
    for (name, faults) in [
        ("v1", vec![Fault::Status(404)]),
        ("v1", vec![Fault::Status(500)]),
        ("v1", vec![Fault::Status(401)]),
        ("v1", vec![Fault::Garbage]),
        ("v1", vec![Fault::Body(b"{}".to_vec())]),
        (layer.as_str(), vec![Fault::Status(404)]),
        (layer.as_str(), vec![Fault::CutAfter(1000)]),
        (layer.as_str(), vec![Fault::StallAfter(1000)]),
        (layer.as_str(), vec![Fault::Short(1000)]),
        (layer.as_str(), vec![Fault::Redirect("http://127.0.0.1:1/".into())]),
    ] {
        hosts.mirror.registry.faults(name, faults.clone());
        assert_eq!(hosts.pull("registry.example.com/app:v1").unwrap(), hosts.fixture.blob(), "{faults:?}");
        let notices = std::mem::take(&mut *hosts.fixture.watcher.notices.lock().unwrap());
        let failed = |host: &str| {
            notices
                .iter()
                .any(|notice| matches!(notice, Notice::MirrorFailed { host: own, .. } if own == host))
        };
        assert!(failed("127.0.0.1:1") && failed(&hosts.mirror.registry.host()), "{faults:?} {notices:?}");
    }
    // Nothing was waited for: the next one is right behind.
    assert!(hosts.fixture.watcher.pauses.lock().unwrap().is_empty());
    // Where the mirror left off, the server goes on.
    assert!(hosts.fixture.offsets().contains(&Some(1000)));
    assert!(hosts.fixture.watcher.pauses.lock().unwrap().is_empty());

    for (registry, name) in [(&hosts.mirror.registry, "v1"), (&hosts.fixture.registry, "v1")] {
        registry.always(name, vec![Fault::Status(404)]);
    }
    let error = hosts.pull("registry.example.com/app:v1").unwrap_err();
    let expected = format!(
        "cannot get registry.example.com/app:v1 from {server} (mirror 127.0.0.1:1: the connection failed: Connection \
         refused (os error 111); mirror {mirror}: it has no such image: MANIFEST_UNKNOWN as it was told to say): it has \
         no such image: MANIFEST_UNKNOWN as it was told to say",
        server = hosts.fixture.registry.host(),
        mirror = hosts.mirror.registry.host(),
    );
    assert_eq!(line(&error), expected);
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn capabilities_say_who_is_asked_for_what() {
    let hosts = Hosts::new();
    let digest = &hosts.fixture.manifest;
    let mut before = (0, 0);
    // Server and mirror; by tag, then by digest: manifest, config and layer are three requests.
    for (capabilities, by_tag, by_digest) in [
        ("", (0, 3), (0, 3)),
        ("capabilities = ['pull', 'resolve']", (0, 3), (0, 3)),
        ("capabilities = ['pull']", (1, 2), (0, 3)),
        ("capabilities = ['resolve']", (2, 1), (3, 0)),
        ("capabilities = []", (3, 0), (3, 0)),
        ("capabilities = ['push']", (3, 0), (3, 0)),
    ] {
        hosts.write(NAME, &format!("server = 'http://SERVER'\n[host.'http://MIRROR']\n{capabilities}\n"));
        hosts.pull("registry.example.com/app:v1").unwrap();
        assert_eq!(hosts.asked(&mut before), by_tag, "{capabilities}");
        hosts.pull(&format!("registry.example.com/app@{digest}")).unwrap();
        assert_eq!(hosts.asked(&mut before), by_digest, "{capabilities}");
    }
    hosts.write(NAME, "server = 'http://SERVER'\ncapabilities = ['push']\n");
    let error = hosts.pull("registry.example.com/app:v1").unwrap_err();
    assert!(
        matches!(&error, Error::Registry { problem, .. } if matches!(**problem, RegistryProblem::NoHost)),
        "{error:?}"
    );
}

#[test]
fn mirrors_keep_the_order_of_the_file() {
    let hosts = Hosts::new();
    let gone = ["z", "a", "m"]
        .map(|letter| format!("[host.'http://127.0.0.1:1/{letter}']\ncapabilities = ['pull', 'resolve']\n"));
    hosts.write(NAME, &format!("server = 'http://SERVER'\n{}", gone.concat()));
    hosts.mirror.registry.always("v1", vec![Fault::Status(404)]);
    hosts.write(NAME, "server = 'http://SERVER'\n[host.'http://MIRROR/z']\n[host.'http://MIRROR/a']\n[host.'http://MIRROR/m']\n");
    hosts.pull("registry.example.com/app:v1").unwrap();
    let paths: Vec<_> =
        hosts.mirror.registry.seen_of("v1").iter().map(|seen| seen.plain_path().to_owned()).collect();
    assert_eq!(paths, ["/z/v2/app/manifests/v1", "/a/v2/app/manifests/v1", "/m/v2/app/manifests/v1"]);
}

#[test]
fn paths() {
    let hosts = Hosts::new();
    for (url, fields, path) in [
        ("http://MIRROR", "", "/v2/app/manifests/v1"),
        ("http://MIRROR/", "", "/v2/app/manifests/v1"),
        ("http://MIRROR/v2", "", "/v2/app/manifests/v1"),
        ("http://MIRROR/v2/", "", "/v2/app/manifests/v1"),
        ("http://MIRROR/proxy/hub", "", "/proxy/hub/v2/app/manifests/v1"),
        ("http://MIRROR/v2/hub", "override_path = true", "/v2/hub/app/manifests/v1"),
        ("http://MIRROR", "override_path = true", "/app/manifests/v1"),
    ] {
        hosts.write(NAME, &format!("server = 'http://SERVER'\n[host.'{url}']\n{fields}\n"));
        hosts.pull("registry.example.com/app:v1").unwrap();
        assert_eq!(hosts.mirror.registry.seen_of("v1").last().unwrap().plain_path(), path, "{url} {fields}");
    }
}

#[test]
fn directories() {
    let hosts = Hosts::new();
    let mut before = (0, 0);
    for (directory, name) in [
        ("registry.example.com:5000", "registry.example.com:5000/app:v1"),
        ("registry.example.com_5001_", "registry.example.com:5001/app:v1"),
        ("_default", "other.example.com/app:v1"),
        ("docker.io", "app:v1"),
        ("[2001:db8::1]:5000", "[2001:db8::1]:5000/app:v1"),
    ] {
        hosts.write(directory, "server = 'http://127.0.0.1:1'\n[host.'http://MIRROR']\n");
        hosts.fixture.registry.tag("v1", &hosts.fixture.manifest);
        hosts.pull(name).unwrap();
        assert_eq!(hosts.asked(&mut before), (0, 3), "{name}");
    }
    // One's own comes before the default one.
    hosts.write(NAME, "server = 'http://SERVER'\n");
    hosts.pull("registry.example.com/app:v1").unwrap();
    assert_eq!(hosts.asked(&mut before), (3, 0));
    // A default one without a server leaves the registry its name.
    hosts.mirror.registry.always("v1", vec![Fault::Status(404)]);
    hosts.write("_default", "[host.'http://MIRROR']\n");
    let mut fixture = Fixture::new(10);
    fixture.options.host_directories = vec![hosts.root.clone()];
    fixture.resolve().unwrap();
    // For the manifest in vain, and for the config.
    assert_eq!(hosts.asked(&mut before), (0, 2));
}

#[test]
fn headers_go_to_their_host_alone() {
    let hosts = Hosts::new();
    let storage = Fixture::new(3000);
    hosts.write(
        NAME,
        "server = 'http://SERVER'\n[host.'http://MIRROR']\n[host.'http://MIRROR'.header]\nx-key = 'hidden-1'\n\
         x-list = ['hidden-2', 'hidden-3']\n",
    );
    let away = format!("http://{}{{}}", storage.registry.host());
    hosts.mirror.registry.always(&hosts.fixture.layer.digest, vec![Fault::Redirect(away)]);
    hosts.pull("registry.example.com/app:v1").unwrap();
    let seen = hosts.mirror.registry.seen();
    assert!(seen.iter().all(|seen| seen.header("x-key") == Some("hidden-1")));
    let values: Vec<_> = seen[0]
        .headers
        .iter()
        .filter(|(name, _)| name == "x-list")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(values, ["hidden-2", "hidden-3"]);
    assert!(storage.registry.seen().iter().all(|seen| seen.header("x-key").is_none()));
    assert!(!storage.registry.seen().is_empty());
    let body = json!({"errors": [{"code": "DENIED", "message": "you said hidden-1"}]}).to_string();
    hosts.mirror.registry.faults("v1", vec![Fault::Status(403), Fault::Body(body.into_bytes())]);
    hosts.pull("registry.example.com/app:v1").unwrap();
    let notices = format!("{:?}", hosts.fixture.watcher.notices.lock().unwrap());
    assert!(notices.contains("you said …") && !notices.contains("hidden"), "{notices}");
}

#[test]
fn credentials_are_each_host_s_own() {
    let mut hosts = Hosts::new();
    hosts.write(NAME, "server = 'http://SERVER'\n[host.'http://MIRROR']\n");
    hosts.mirror.registry.auth(Auth::Basic("mirror-user".into(), "mirror-password".into()));
    hosts.fixture.registry.auth(Auth::Basic("alice".into(), "server-password".into()));
    let file = hosts.fixture.directory.path().join("auth.json");
    let auths = |auths: serde_json::Value| fs::write(&file, json!({"auths": auths}).to_string()).unwrap();
    let mirror = hosts.mirror.registry.host();
    hosts.fixture.options.auth_file = Some(file.clone());
    // `--creds` is for the registry alone.
    hosts.fixture.options.credentials = Some(Credentials::password("alice", "server-password"));
    auths(json!({mirror.clone(): {"username": "mirror-user", "password": "mirror-password"}}));
    hosts.pull("registry.example.com/app:v1").unwrap();
    assert!(hosts.fixture.registry.seen().is_empty());
    auths(json!({}));
    hosts.pull("registry.example.com/app:v1").unwrap();
    let told = hosts
        .mirror
        .registry
        .seen()
        .into_iter()
        .filter_map(|seen| seen.header("authorization").map(str::to_owned));
    assert!(told.into_iter().all(|header| header == "Basic bWlycm9yLXVzZXI6bWlycm9yLXBhc3N3b3Jk"));
    // The registry's go by its name, not by that of the server which it really is at.
    hosts.fixture.options.credentials = None;
    auths(json!({NAME: {"username": "alice", "password": "server-password"}}));
    hosts.pull("registry.example.com/app:v1").unwrap();
    hosts.fixture.options.environment = Environment::default();
    auths(json!({hosts.fixture.registry.host(): {"username": "alice", "password": "server-password"}}));
    assert_eq!(hosts.pull("registry.example.com/app:v1").unwrap_err().kind(), ErrorKind::Authentication);
}

#[test]
fn files_that_are_of_no_use() {
    let hosts = Hosts::new();
    let directory = tempfile::tempdir().unwrap();
    let shown = |file: &str| directory.path().join(file).display().to_string();
    TestCertificate::create(directory.path());
    fs::write(directory.path().join("empty"), "").unwrap();
    let problem = |text: &str| {
        hosts.write(NAME, text);
        let error = hosts.pull("registry.example.com/app:v1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{text}: {error:?}");
        error
    };
    for (text, line) in [
        ("server = ", Some(1)),
        ("\n\nserver = 'a'\n[host\nsecret", Some(4)),
        ("server = 7", None),
        ("host = 7", None),
        ("[host]\na = 7", None),
        ("[host.'http://a.example']\nca = 7", None),
        ("[host.'http://a.example']\nclient = [['a', 'b', 'c']]", None),
        ("[host.'http://a.example']\nskip_verify = 'yes'", None),
        ("[host.'http://a.example']\nheader = {x = 7}", None),
    ] {
        let error = problem(text);
        let Error::HostsFile { problem: HostsProblem::Form { line: own }, path } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*own, line, "{text}");
        assert!(path.ends_with("registry.example.com/hosts.toml"));
        assert!(!crate::registry_fixture::line(&error).contains("secret"));
    }
    for text in
        ["server = 'ftp://a.example'", "[host.'http://u:p@a.example']", "[host.'http://']", "server = 'a b'"]
    {
        assert!(matches!(problem(text), Error::HostsFile { problem: HostsProblem::Url(_), .. }), "{text}");
    }
    for header in ["'a b' = 'x'", "x = \"a\\nb\""] {
        let text = format!("[host.'http://a.example'.header]\n{header}");
        assert!(
            matches!(problem(&text), Error::HostsFile { problem: HostsProblem::Header(_), .. }),
            "{text}"
        );
    }
    for fields in [
        format!("ca = '{}'", shown("empty")),
        format!("ca = ['{}']", shown("server.key")),
        format!("client = '{}'", shown("client.cert")),
        format!("client = [['{}', '{}']]", shown("client.cert"), shown("server.key")),
        format!("client = [['{}', '{}']]", shown("empty"), shown("server.key")),
        format!("client = [['{}', '{}']]", shown("client.cert"), shown("empty")),
    ] {
        let text = format!("[host.'http://a.example']\n{fields}");
        assert!(matches!(problem(&text), Error::Certificate { .. }), "{text}");
    }
    hosts.write(NAME, "server = 'http://SERVER'\n[host.'http://a.example']\nca = 'gone.crt'");
    assert_eq!(hosts.pull("registry.example.com/app:v1").unwrap_err().kind(), ErrorKind::NotFound);
    // What is not known is left to those who know it.
    hosts.write(
        NAME,
        "server = 'http://SERVER'\nnew = 1\n[host.'http://MIRROR']\ndial_timeout = '3s'\nclient = []",
    );
    hosts.pull("registry.example.com/app:v1").unwrap();
}

#[test]
fn plain_http_is_for_the_registry_that_is_named() {
    let mut hosts = Hosts::new();
    let name = format!("{}/app:v1", hosts.fixture.registry.host());
    let error = hosts.pull(&name).unwrap_err();
    assert!(
        line(&error).ends_with(
            "it does not speak TLS; if it is meant to be asked in plain text, there is --plain-http"
        ),
        "{}",
        line(&error)
    );
    assert!(hosts.fixture.watcher.pauses.lock().unwrap().is_empty());
    hosts.fixture.options.plain_http = true;
    hosts.pull(&name).unwrap();
    // Also where a file says otherwise of the same host; a mirror stays what it is.
    let directory = hosts.fixture.registry.host();
    hosts.write(&directory, "server = 'https://SERVER'\n[host.'https://MIRROR']\n");
    hosts.pull(&name).unwrap();
    assert!(hosts.mirror.registry.seen().is_empty());
    assert!(Path::new(&hosts.root).is_dir());
}
