//! Against Debian's `docker-registry`, and what skopeo pushes to it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use offshoot_oci::{
    Credentials, Environment, Error, ErrorKind, ImageName, KeptIn, Platform, RegistryOptions, Secret,
    SourceImage, SourceOptions, login, logout, open,
};
use offshoot_store::Digest;
use offshoot_testkit::layout::{Image, Layer, Layout};
use offshoot_testkit::registry::{DockerRegistry, PASSWORD, Setup, USER};
use tempfile::TempDir;

use crate::layouts::{layers, tar, two_layers};
use crate::registry_fixture::line;

/// Options that see nothing of the host that runs the tests.
fn options(registry: RegistryOptions) -> SourceOptions {
    SourceOptions { registry, ..SourceOptions::new("/nonexistent".as_ref()) }
}

fn hermetic() -> RegistryOptions {
    RegistryOptions { host_directories: Vec::new(), ..RegistryOptions::default() }
}

/// A registry with one image, and its manifest's digest.
fn pushed(setup: Setup) -> (DockerRegistry, TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let digest = Layout::create(directory.path()).add("x", &two_layers());
    let registry = DockerRegistry::start(setup);
    registry.push(&format!("oci:{}:x", directory.path().display()), "team/app", "v1");
    (registry, directory, digest)
}

/// The image and all its layers' verified bytes.
fn pull(registry: &DockerRegistry, options: &SourceOptions) -> Result<(SourceImage, Vec<Vec<u8>>), Error> {
    let name: ImageName = registry.reference("team/app", "v1").parse().unwrap();
    let source = open(&name, options)?;
    let image = source.resolve(&Platform::host())?;
    let bytes = layers(source.as_ref(), &image);
    Ok((image, bytes))
}

fn assert_pulls(registry: &DockerRegistry, options: &SourceOptions, digest: &str) {
    let (image, bytes) = pull(registry, options).unwrap_or_else(|error| panic!("{}", line(&error)));
    assert_eq!(image.manifest.unwrap().digest.to_string(), digest);
    assert_eq!(bytes.len(), 2);
    assert_eq!(Digest::of(&bytes[1]), image.layers[1].expected.digest.unwrap());
}

#[test]
fn anonymously_over_plain_http() {
    if !DockerRegistry::available() {
        return;
    }
    let (registry, _directory, digest) = pushed(Setup::Plain);
    let plain = options(RegistryOptions { plain_http: true, ..hermetic() });
    assert_pulls(&registry, &plain, &digest);
    for (reference, kind) in [("team/app:gone", ErrorKind::NotFound), ("team/gone:v1", ErrorKind::NotFound)] {
        let name = format!("{}/{reference}", registry.host()).parse().unwrap();
        let error = open(&name, &plain).unwrap().resolve(&Platform::host()).unwrap_err();
        assert_eq!(error.kind(), kind, "{}", line(&error));
    }
    let error = pull(&registry, &options(hermetic())).unwrap_err();
    assert!(line(&error).contains("--plain-http"), "{}", line(&error));
}

#[test]
fn an_index_of_platforms() {
    if !DockerRegistry::available() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let images: Vec<Image> = ["amd64", "s390x"]
        .map(|own| Image::new().platform("linux", own).layer(Layer::gzip(&tar(own.as_bytes()))))
        .into();
    Layout::create(directory.path()).add_index("x", &images);
    let registry = DockerRegistry::start(Setup::Plain);
    registry.push(&format!("oci:{}:x", directory.path().display()), "multi", "v1");
    let plain = options(RegistryOptions { plain_http: true, ..hermetic() });
    let source = open(&registry.reference("multi", "v1").parse().unwrap(), &plain).unwrap();
    let found = source.resolve(&"linux/s390x".parse().unwrap()).unwrap();
    assert_eq!(found.layers[0].expected.digest.unwrap().to_string(), Layer::gzip(&tar(b"s390x")).digest);
    assert!(source.resolve(&"linux/arm64".parse().unwrap()).is_err());
}

#[test]
fn with_a_password() {
    if !DockerRegistry::available() {
        return;
    }
    let (registry, directory, digest) = pushed(Setup::Password);
    let with = |user: &str, password: &str| RegistryOptions {
        plain_http: true,
        credentials: Some(Credentials::password(user, password)),
        ..hermetic()
    };
    assert_pulls(&registry, &options(with(USER, PASSWORD)), &digest);
    let home = directory.path().join("home");
    let environment = Environment { docker_directory: Some(home.clone()), ..Environment::default() };
    let stored = RegistryOptions { plain_http: true, environment, ..hermetic() };
    for refused in [with(USER, "wrong"), with("bob", PASSWORD), stored.clone()] {
        let error = pull(&registry, &options(refused)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(line(&error).contains(&format!("`offshoot login {}`", registry.host())), "{}", line(&error));
        assert!(!line(&error).contains(PASSWORD));
    }
    let host = registry.host().parse().unwrap();
    login(&host, &Credentials::password(USER, "wrong"), &stored).unwrap_err();
    let kept = login(&host, &Credentials::password(USER, PASSWORD), &stored).unwrap();
    assert_eq!(kept, KeptIn::File(home.join("config.json")));
    assert_pulls(&registry, &options(stored.clone()), &digest);
    logout(&host, &stored).unwrap();
    assert!(pull(&registry, &options(stored)).is_err());
}

/// A host directory whose entry for the registry has those files of its certificates.
fn host_directory(registry: &DockerRegistry, root: &Path, files: &[&str]) -> RegistryOptions {
    let own = root.join(registry.host());
    let _ = fs::remove_dir_all(&own);
    fs::create_dir_all(&own).unwrap();
    for file in files {
        fs::copy(registry.certificate().file(file), own.join(file)).unwrap();
    }
    RegistryOptions { host_directories: vec![root.to_owned()], ..RegistryOptions::default() }
}

#[test]
fn with_a_certificate_of_one_s_own() {
    if !DockerRegistry::available() {
        return;
    }
    let (registry, directory, digest) = pushed(Setup::Tls);
    let error = pull(&registry, &options(hermetic())).unwrap_err();
    assert!(line(&error).contains("its certificate is not trusted"), "{}", line(&error));
    // Docker's files.
    let trusting = host_directory(&registry, directory.path(), &["ca.crt"]);
    assert_pulls(&registry, &options(trusting.clone()), &digest);
    // containerd's, which then count alone.
    let file = directory.path().join(registry.host()).join("hosts.toml");
    let host = registry.host();
    for (text, pulls) in [
        (format!("server = 'https://{host}'\nca = 'ca.crt'\n"), true),
        (
            format!(
                "server = 'https://{host}'\nca = ['{}']\n",
                registry.certificate().file("ca.crt").display()
            ),
            true,
        ),
        (format!("server = 'https://{host}'\nskip_verify = true\n"), true),
        (format!("server = 'https://{host}'\n"), false),
        (format!("server = 'https://127.0.0.1:1'\n[host.'https://{host}']\nca = 'ca.crt'\n"), true),
        (format!("server = 'https://127.0.0.1:1'\nca = 'ca.crt'\n[host.'https://{host}']\n"), false),
    ] {
        fs::write(&file, &text).unwrap();
        let watched = RegistryOptions { limits: quick(), ..trusting.clone() };
        assert_eq!(pull(&registry, &options(watched)).is_ok(), pulls, "{text}");
    }
}

/// A proxy that leads every connection to one address; what was asked of it.
fn proxy(target: String) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // Ends with the test, since nobody listens any more.
        for client in listener.incoming().map_while(Result::ok) {
            let mut head = BufReader::new(client.try_clone().unwrap());
            let lines = head.by_ref().lines().map_while(Result::ok);
            let asked: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            if sender.send(asked.join("\n")).is_err() {
                return;
            }
            let server = TcpStream::connect(&target).unwrap();
            (&client).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client);
            std::thread::spawn(move || io::copy(&mut from_server, &mut to_client));
            let mut to_server = server;
            std::thread::spawn(move || io::copy(&mut head, &mut to_server));
        }
    });
    (address.to_string(), receiver)
}

#[test]
fn through_a_proxy() {
    if !DockerRegistry::available() {
        return;
    }
    let (registry, directory, digest) = pushed(Setup::Tls);
    let own = directory.path().join("registry.example.com");
    fs::create_dir_all(&own).unwrap();
    fs::copy(registry.certificate().file("ca.crt"), own.join("ca.crt")).unwrap();
    let (address, asked) = proxy(registry.host().to_owned());
    let with = |proxy: String| {
        let environment = Environment { proxy: Some(Secret::new(proxy)), ..Environment::default() };
        let host_directories = vec![directory.path().to_owned()];
        options(RegistryOptions {
            environment,
            host_directories,
            limits: quick(),
            ..RegistryOptions::default()
        })
    };
    let name: ImageName = "registry.example.com/team/app:v1".parse().unwrap();
    let source = open(&name, &with(format!("http://user:hidden@{address}"))).unwrap();
    let image = source.resolve(&Platform::host()).unwrap_or_else(|error| panic!("{}", line(&error)));
    assert_eq!(image.manifest.as_ref().unwrap().digest.to_string(), digest);
    assert_eq!(layers(source.as_ref(), &image).len(), 2);
    let asked = asked.recv().unwrap();
    assert!(asked.starts_with("CONNECT registry.example.com:443 HTTP/1.1"), "{asked}");
    assert!(asked.to_ascii_lowercase().contains("proxy-authorization: basic dxnlcjpoawrkzw4="), "{asked}");
    for (proxy, expected) in [
        ("socks5://user:hidden@127.0.0.1:1", "the proxy that HTTPS_PROXY or ALL_PROXY names cannot be used"),
        ("http://user:hidden@127.0.0.1:1", "the connection failed"),
    ] {
        let error = open(&name, &with(proxy.into())).unwrap().resolve(&Platform::host()).unwrap_err();
        assert!(line(&error).contains(expected), "{}", line(&error));
        assert!(!format!("{} {error:?}", line(&error)).contains("hidden"));
    }
}

/// Gives up at once.
fn quick() -> offshoot_oci::RegistryLimits {
    offshoot_oci::RegistryLimits { attempts: 1, ..Default::default() }
}

#[test]
fn with_a_client_s_certificate() {
    if !DockerRegistry::available() {
        return;
    }
    let (registry, directory, digest) = pushed(Setup::ClientCertificate);
    let without = host_directory(&registry, directory.path(), &["ca.crt"]);
    let error = pull(&registry, &options(RegistryOptions { limits: quick(), ..without })).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let with = host_directory(&registry, directory.path(), &["ca.crt", "client.cert", "client.key"]);
    assert_pulls(&registry, &options(with), &digest);
    let own = directory.path().join(registry.host());
    let both =
        [fs::read(own.join("client.cert")).unwrap(), fs::read(own.join("client.key")).unwrap()].concat();
    fs::write(own.join("both.pem"), both).unwrap();
    for client in ["[['client.cert', 'client.key']]", "'both.pem'", "['both.pem']", "[['both.pem', '']]"] {
        let text = format!("server = 'https://{}'\nca = 'ca.crt'\nclient = {client}\n", registry.host());
        fs::write(own.join("hosts.toml"), text).unwrap();
        let with = RegistryOptions {
            host_directories: vec![directory.path().to_owned()],
            ..RegistryOptions::default()
        };
        assert_pulls(&registry, &options(with), &digest);
    }
}
