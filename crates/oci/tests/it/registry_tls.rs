//! What HTTPS promises is not given away: not by redirects, not to token servers, not by certificates.

use std::fs;

use offshoot_oci::{Credentials, Error, ErrorKind, RealmProblem, RegistryProblem};
use offshoot_testkit::registry::{Auth, Fault, TestCertificate, TlsFront};

use crate::registry_fixture::{Fixture, line, read};

/// A registry behind HTTPS, whose authority is trusted.
struct Secure {
    fixture: Fixture,
    certificate: TestCertificate,
    front: TlsFront,
}

impl Secure {
    fn new(fields: &str) -> Self {
        let mut fixture = Fixture::new(1000);
        let directory = fixture.directory.path().join("certificates");
        fs::create_dir(&directory).unwrap();
        let certificate = TestCertificate::create(&directory);
        let front = TlsFront::before(&fixture.registry.host(), &certificate);
        let root = fixture.directory.path().join("certs.d");
        let own = root.join(front.host());
        fs::create_dir_all(&own).unwrap();
        let text =
            format!("server = 'https://{}'\nca = '{}/ca.crt'\n{fields}\n", front.host(), directory.display());
        fs::write(own.join("hosts.toml"), text.replace("DIR", &directory.display().to_string())).unwrap();
        fixture.options.plain_http = false;
        fixture.options.host_directories = vec![root];
        fixture.options.limits.attempts = 2;
        Self { fixture, certificate, front }
    }

    fn pull(&self) -> Result<Vec<u8>, Error> {
        let source = self.fixture.open(&format!("{}/app:v1", self.front.host()));
        let image = source.resolve(&offshoot_oci::Platform::host())?;
        let (bytes, end) = read(source.open_layer(&image, 0));
        end.map(|()| bytes)
    }
}

fn problem(error: Error) -> RegistryProblem {
    match error {
        Error::Registry { problem, .. } => *problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_redirect_leads_out_of_it() {
    let secure = Secure::new("");
    assert_eq!(secure.pull().unwrap(), secure.fixture.blob());
    let open = Fixture::new(1000);
    let away = format!("http://{}/x?signature=secret", open.registry.host());
    let digest = secure.fixture.layer.digest.clone();
    secure.fixture.registry.always(&digest, vec![Fault::Redirect(away.clone())]);
    let error = secure.pull().unwrap_err();
    assert!(!line(&error).contains("secret"));
    let expected = format!("http://{}/x", open.registry.host());
    assert!(matches!(problem(error), RegistryProblem::InsecureRedirect(to) if to == expected));
    assert_eq!(open.registry.seen(), []);
    // From a token server neither.
    secure.fixture.registry.auth(Auth::Bearer {
        user: None,
        identity: None,
        realm: Some(format!("https://{}/token", secure.front.host())),
        expires_in: None,
        field: "token",
    });
    secure.fixture.registry.always("token", vec![Fault::Redirect(away)]);
    assert!(matches!(problem(secure.pull().unwrap_err()), RegistryProblem::InsecureRedirect(_)));
    assert_eq!(open.registry.seen(), []);
}

#[test]
fn token_servers_are_secure_or_on_this_machine() {
    let mut secure = Secure::new("");
    secure.fixture.options.credentials = Some(Credentials::password("alice", "secret"));
    let challenge = |realm: &str| Auth::Nobody(format!(r#"Bearer realm="{realm}",service="x""#));
    for realm in ["http://auth.example.com/token", "http://192.0.2.1/token", "//u:p@auth.example.com/token"] {
        secure.fixture.registry.auth(challenge(realm));
        let error = secure.pull().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        let RegistryProblem::Realm { problem, .. } = problem(error) else { panic!("{realm}") };
        assert_eq!(matches!(problem, RealmProblem::Insecure), realm.starts_with("http://"), "{realm}");
    }
    // Its own host's, by a path; and one on loopback.
    let tokens = |realm: Option<String>| {
        let user = Some(("alice".to_owned(), "secret".to_owned()));
        Auth::Bearer { user, identity: None, realm, expires_in: None, field: "token" }
    };
    secure.fixture.registry.auth(tokens(Some("/token".into())));
    secure.pull().unwrap();
    secure.fixture.registry.auth(tokens(None));
    secure.pull().unwrap();
}

#[test]
fn a_client_s_certificate_is_for_its_host_alone() {
    let secure = Secure::new("client = [['DIR/client.cert', 'DIR/client.key']]");
    let storage = Fixture::new(1000);
    let other = TlsFront::before(&storage.registry.host(), &secure.certificate);
    let away = format!("https://{}{{}}", other.host());
    secure.fixture.registry.always(&secure.fixture.layer.digest, vec![Fault::Redirect(away)]);
    assert_eq!(secure.pull().unwrap(), secure.fixture.blob());
    assert_eq!(secure.front.introduced(), [true; 3]);
    assert_eq!(other.introduced(), [false]);
    // The same host over another port, or in plain text, is another.
    assert_eq!(storage.registry.seen().len(), 1);
}

#[test]
fn whoever_is_not_checked_is_so_alone() {
    let secure = Secure::new("skip_verify = true");
    secure.pull().unwrap();
    // Whom it leads to is of an authority that nobody knows.
    let directory = tempfile::tempdir().unwrap();
    let stranger = TestCertificate::create(directory.path());
    let storage = Fixture::new(1000);
    let other = TlsFront::before(&storage.registry.host(), &stranger);
    let away = format!("https://{}{{}}", other.host());
    secure.fixture.registry.always(&secure.fixture.layer.digest, vec![Fault::Redirect(away)]);
    let error = secure.pull().unwrap_err();
    assert!(line(&error).contains("its certificate is not trusted"), "{}", line(&error));
    assert_eq!(storage.registry.seen(), []);
}
