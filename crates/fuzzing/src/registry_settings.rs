use std::fs;

use offshoot_oci::{Environment, ImageName, RegistryHost, RegistryOptions, SourceOptions, logout, open};
use serde_json::{Map, Value, json};

use crate::parts::{joined, parts};

const REGISTRY: &str = "registry.example.com";

/// A `hosts.toml` and a file of credentials, the two parts of the input. Nobody is asked for anything: the registry is
/// opened as far as the files go, and then logged out of.
pub fn registry_settings(input: &[u8]) {
    let parts = parts(input);
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    fs::create_dir_all(place("hosts").join(REGISTRY)).unwrap();
    fs::create_dir(place("no-programs")).unwrap();
    fs::write(place("hosts").join(REGISTRY).join("hosts.toml"), &parts[0]).unwrap();
    let auth_file = place("auth.json");
    if let Some(credentials) = parts.get(1) {
        fs::write(&auth_file, credentials).unwrap();
    }
    let registry = RegistryOptions {
        auth_file: Some(auth_file.clone()),
        environment: Environment { path: Some(place("no-programs").into()), ..Environment::default() },
        host_directories: vec![place("hosts")],
        ..RegistryOptions::default()
    };
    let host: RegistryHost = REGISTRY.parse().unwrap();
    if logout(&host, &registry).is_ok() {
        assert_eq!(logout(&host, &registry).unwrap(), [], "what is forgotten is gone");
        let kept: Map<String, Value> = fs::read(&auth_file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        assert!(kept.get("auths").and_then(|auths| auths.get(REGISTRY)).is_none(), "{kept:?}");
    }
    let name: ImageName = format!("{REGISTRY}/team/app").parse().unwrap();
    let options = SourceOptions { registry, ..SourceOptions::new(directory.path()) };
    if let Err(error) = open(&name, &options).map(drop) {
        assert!(!error.to_string().is_empty());
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let hosts = [
        "server = \"https://registry.example.com\"\n[host.\"https://mirror.example.com\"]\n\
            capabilities = [\"pull\", \"resolve\"]\nskip_verify = true\noverride_path = true\n\
            [host.\"https://mirror.example.com\".header]\nx-a = [\"b\", \"c\"]\nx-d = \"e\"\n",
        "[host.\"mirror.example.com:5000/v2\"]\nca = \"ca.pem\"\nclient = [[\"a.cert\", \"a.key\"]]\n",
        "[host.\"http://[::1]:5000\"]\nclient = \"both.pem\"\nca = [\"a\", \"b\"]\n",
        "server = \"\"\n",
        "",
    ];
    let auth = "dXNlcjpwYXNzd29yZA==";
    let files = [
        json!({"auths": {REGISTRY: {"auth": auth}, "other.example.com": {"auth": auth}}}),
        json!({"auths": {format!("https://{REGISTRY}/v1/"): {"username": "a", "password": "b"},
            format!("{REGISTRY}/team"): {"identitytoken": "c"}}, "HttpHeaders": {"a": "b"}}),
        json!({"auths": {REGISTRY: {"auth": "!", "registrytoken": "d"}}}),
        json!({"credsStore": "desktop", "credHelpers": {REGISTRY: "pass", "b": ""}, "auths": {REGISTRY: {}}}),
        json!({"auths": null}),
    ];
    let pairs = hosts.iter().zip(&files);
    pairs.map(|(hosts, file)| joined(&[hosts.as_bytes(), file.to_string().as_bytes()])).collect()
}
