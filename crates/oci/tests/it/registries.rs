//! Against Debian's `docker-registry`, and what skopeo pushes to it.

use offshoot_oci::{ImageName, Platform, RegistryOptions, SourceOptions, open};
use offshoot_store::Digest;
use offshoot_testkit::layout::Layout;
use offshoot_testkit::registry::{DockerRegistry, Setup};

use crate::layouts::{layers, two_layers};

/// Options that see nothing of the host that runs the tests.
pub(crate) fn options(registry: RegistryOptions) -> SourceOptions {
    let registry = RegistryOptions { host_directories: Vec::new(), ..registry };
    SourceOptions { registry, ..SourceOptions::new("/nonexistent".as_ref()) }
}

#[test]
fn anonymously_over_plain_http() {
    if !DockerRegistry::available() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let digest = Layout::create(directory.path()).add("x", &two_layers());
    let registry = DockerRegistry::start(Setup::Plain);
    registry.push(&format!("oci:{}:x", directory.path().display()), "team/app", "v1");
    let name: ImageName = registry.reference("team/app", "v1").parse().unwrap();
    let plain = options(RegistryOptions { plain_http: true, ..RegistryOptions::default() });
    let source = open(&name, &plain).unwrap();
    let found = source.resolve(&Platform::host()).unwrap();
    assert_eq!(found.manifest.as_ref().unwrap().digest.to_string(), digest);
    let bytes = layers(source.as_ref(), &found);
    assert_eq!(bytes.len(), 2);
    assert_eq!(Digest::of(&bytes[1]), found.layers[1].expected.digest.unwrap());
}
