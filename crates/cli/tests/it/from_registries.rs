use std::fs;
use std::process::Stdio;

use offshoot_testkit::layout::{Image, Layer, Layout, Tar};
use offshoot_testkit::registry::{DockerRegistry, Fault, PASSWORD, Registry, Setup, USER};
use offshoot_testkit::samples::Sample;
use offshoot_testkit::{scratch_directory, sha256_file};
use serde_json::Value;

use crate::program::{Store, text};

/// What skopeo has pushed is, pulled again, the disk that the layout gives: byte for byte.
fn same_disk(samples: &[Sample], setup: Setup) {
    if !DockerRegistry::available() || !samples.iter().all(|sample| sample.available()) {
        return;
    }
    let directory = scratch_directory();
    let registry = DockerRegistry::start(setup);
    for &sample in samples {
        let source = format!("oci:{}", sample.reference());
        registry.push(&source, "library/sample", sample.tag());
        let reference = registry.reference("library/sample", sample.tag());
        let credentials = format!("{USER}:{PASSWORD}");
        let hosts = directory.path().join("hosts.d");
        let mut options = match setup {
            Setup::Plain => vec!["--plain-http"],
            Setup::Password => vec!["--plain-http", "--creds", &credentials],
            Setup::Tls | Setup::ClientCertificate => vec!["--hosts-dir", text(&hosts)],
        };
        if matches!(setup, Setup::Tls | Setup::ClientCertificate) {
            let host = hosts.join(registry.host());
            fs::create_dir_all(&host).unwrap();
            fs::copy(registry.certificate().file("ca.crt"), host.join("ca.crt")).unwrap();
        }
        let remote = Store::at(directory.path().join(format!("remote-{}", sample.tag())));
        options.push(&reference);
        let pulled = remote.build(&options);
        let local = Store::at(directory.path().join(format!("local-{}", sample.tag())));
        let built = local.build(&[&source]);
        assert_eq!(sha256_file(&pulled), sha256_file(&built), "{sample:?}");
        assert_eq!(pulled.parent().unwrap().file_name(), built.parent().unwrap().file_name(), "{sample:?}");
        assert_eq!(fs::read_dir(remote.path.join("downloads")).unwrap().count(), 0);
        // From here on without the network, by the same name.
        let clone = ["clone", &reference, "vm-1", "--pull", "never"];
        assert!(remote.run(&clone).ends_with("clones/vm-1/rootfs.ext4"));
    }
}

#[test]
fn tiny_and_debian_over_http() {
    same_disk(&[Sample::Tiny, Sample::Debian], Setup::Plain);
}

#[test]
fn dev_and_app_over_http() {
    same_disk(&[Sample::Dev, Sample::App], Setup::Plain);
}

#[test]
fn tiny_with_a_password() {
    same_disk(&[Sample::Tiny], Setup::Password);
}

#[test]
fn tiny_over_tls() {
    same_disk(&[Sample::Tiny], Setup::Tls);
}

fn small(directory: &std::path::Path) -> (Registry, Vec<Layer>) {
    let layout = directory.join("layout");
    let layers: Vec<Layer> = (0..3_u8)
        .map(|n| Layer::gzip(&Tar::new().file(&format!("f{n}"), 0o644, &[n; 1 << 20]).finish()))
        .collect();
    let image = layers.iter().cloned().fold(Image::new(), Image::layer);
    Layout::create(&layout).add("v1", &image);
    (Registry::serve(&layout), layers)
}

/// Of thirty processes one fetches each layer, and all succeed.
#[test]
fn thirty_at_once_fetch_each_layer_once() {
    let directory = scratch_directory();
    let (registry, layers) = small(directory.path());
    let reference = registry.reference("app", "v1");
    let store = Store::at(directory.path().join("store"));
    let children: Vec<_> = (0..30)
        .map(|_| {
            let mut pull = store.command(&["pull", "--plain-http", &reference]);
            pull.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut digests = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        digests.push(output.stdout);
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]));
    for layer in &layers {
        let fetched = registry.seen_of(&layer.digest);
        assert_eq!(fetched.len(), 1, "{}", layer.digest);
    }
}

/// Once pulled, nothing asks the registry; and the store can be copied to where there is none.
#[test]
fn a_primed_store_needs_no_network() {
    let directory = scratch_directory();
    let (registry, _) = small(directory.path());
    let reference = registry.reference("app", "v1");
    let store = Store::at(directory.path().join("store"));
    let (message, code) = store.fails(&["build", "--pull", "never", &reference]);
    assert_eq!(code, 3, "{message}");
    assert!(message.contains("pull it first"), "{message}");
    store.run(&["pull", "--plain-http", &reference]);
    let asked = registry.seen().len();
    store.run(&["clone", "--plain-http", &reference, "vm-1"]);
    store.run(&["build", "--pull", "never", &reference]);
    assert_eq!(registry.seen().len(), asked, "an image that is there is not asked for again");
    store.run(&["build", "--plain-http", "--pull", "always", &reference]);
    assert!(registry.seen().len() > asked);
    let copied = directory.path().join("copied");
    offshoot_testkit::oracle::run(
        offshoot_testkit::oracle::command("cp").arg("-a").arg(&store.path).arg(&copied),
    );
    drop(registry);
    let elsewhere = Store::at(copied);
    assert!(elsewhere.run(&["clone", &reference, "vm-2"]).ends_with("clones/vm-2/rootfs.ext4"));
}

/// A pull that was killed leaves its bytes, and the next one goes on behind them.
#[test]
fn an_interrupted_download_goes_on_in_another_process() {
    let directory = scratch_directory();
    let (registry, layers) = small(directory.path());
    let reference = registry.reference("app", "v1");
    let store = Store::at(directory.path().join("store"));
    // It is cut after some bytes of the first layer, and whoever asks for the rest is refused for good.
    registry.fault(&layers[0].digest, Fault::CutAfter(500));
    registry.always(&layers[0].digest, vec![Fault::Status(404)]);
    let (message, _) = store.fails(&["pull", "--plain-http", &reference]);
    assert!(message.contains(registry.host().as_str()), "{message}");
    assert_eq!(fs::read_dir(store.path.join("downloads")).unwrap().count(), 1);
    registry.always(&layers[0].digest, Vec::new());
    store.run(&["pull", "--plain-http", &reference]);
    let seen = registry.seen_of(&layers[0].digest);
    assert!(seen.last().unwrap().header("range").is_some(), "{seen:?}");
    assert_eq!(fs::read_dir(store.path.join("downloads")).unwrap().count(), 0);
}

#[test]
fn what_a_registry_refuses_has_its_exit_code() {
    if !DockerRegistry::available() || !Sample::Tiny.available() {
        return;
    }
    let directory = scratch_directory();
    let registry = DockerRegistry::start(Setup::Password);
    registry.push(&format!("oci:{}", Sample::Tiny.reference()), "sample", "tiny");
    let store = Store::at(directory.path().join("store"));
    let reference = registry.reference("sample", "tiny");
    for (options, code, word) in [
        (vec!["--plain-http"], 7, "login"),
        (vec!["--plain-http", "--creds", "alice:wrong-secret"], 7, "login"),
        (vec![], 1, "--plain-http"),
    ] {
        let (message, found) = store.fails(&[&["pull", &reference], options.as_slice()].concat());
        assert_eq!(found, code, "{message}");
        assert!(message.contains(word) && !message.contains("wrong-secret"), "{message}");
    }
    let credentials = format!("{USER}:{PASSWORD}");
    let none = registry.reference("sample", "none");
    let (message, code) = store.fails(&["pull", &none, "--plain-http", "--creds", &credentials]);
    assert_eq!(code, 3, "{message}");
    // Logged in, nothing has to be said; logged out, it is as before.
    let authfile = directory.path().join("auth.json");
    let file = ["--authfile", text(&authfile)];
    let mut login =
        store.command(&["login", registry.host(), "--plain-http", "-u", USER, "--password-stdin"]);
    let mut login = login.args(file).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut login.stdin.take().unwrap(), PASSWORD.as_bytes()).unwrap();
    let output = login.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stderr).contains(PASSWORD));
    store.run(&[&["pull", &reference, "--plain-http"], file.as_slice()].concat());
    store.run(&[&["logout", registry.host()], file.as_slice()].concat());
    let (_, code) = store.fails(&[&["pull", &reference, "--plain-http"], file.as_slice()].concat());
    assert_eq!(code, 7);
}

#[test]
fn a_platform_that_is_not_there_lists_what_is() {
    let directory = scratch_directory();
    let (registry, _) = small(directory.path());
    let store = Store::at(directory.path().join("store"));
    let reference = registry.reference("app", "v1");
    let (message, code) = store.fails(&["pull", "--plain-http", "--platform", "linux/s390x", &reference]);
    assert_eq!(code, 3, "{message}");
    assert!(message.contains("linux/amd64") || message.contains("linux/arm64"), "{message}");
    let pulled = store.run(&["--format", "json", "pull", "--plain-http", &reference]);
    let value: Value = serde_json::from_str(&pulled).unwrap();
    assert_eq!(value["reference"], reference);
}
