use std::fmt::{Debug, Display};
use std::str::FromStr;

use offshoot_oci::{ExposedPort, ImageName, Injection, Platform, Reference, RegistryHost};
use offshoot_store::{Digest, EntryName};

/// One text as everything that a person or a document may name: what is taken is shown so that it is taken for the
/// same again, and nothing that becomes a path or a URL can climb.
pub fn reference(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(reference) = same_again::<Reference>(text) {
        assert_eq!(reference.familiar().parse(), Ok(reference.clone()), "{text:?}");
        let path = reference.path();
        assert!(path.split('/').all(|name| !matches!(name, "" | "." | "..")), "{text:?}: {path:?}");
        assert!(!reference.domain().contains(['/', '@', '\\', ' ']), "{text:?}: {}", reference.domain());
    }
    same_again::<ImageName>(text);
    if let Some(platform) = same_again::<Platform>(text) {
        assert!(platform.accepts(&platform), "{text:?}");
    }
    if let Some(host) = same_again::<RegistryHost>(text) {
        let reference: Reference = format!("{host}/name").parse().unwrap();
        assert_eq!(reference.domain(), host.as_str(), "{text:?}");
    }
    if let Some(digest) = same_again::<Digest>(text) {
        assert_eq!(Digest::from_hex(&digest.hex()), Ok(digest), "{text:?}");
    }
    same_again::<ExposedPort>(text);
    if let Ok(injection) = text.parse::<Injection>() {
        assert!(text.as_bytes().starts_with(injection.source.as_os_str().as_encoded_bytes()), "{text:?}");
        assert!(injection.destination.components().all(|name| name != b".."), "{text:?}");
    }
    file_name(text);
}

/// What is parsed is displayed so that it is parsed to the same.
fn same_again<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let first: T = text.parse().ok()?;
    let shown = first.to_string();
    let second: T = shown.parse().unwrap_or_else(|error| panic!("{text:?} as {shown:?}: {error:?}"));
    assert_eq!(first, second, "{text:?} as {shown:?}");
    Some(first)
}

/// Any text becomes one component of a path, and another one than that of a text that differs.
fn file_name(text: &str) {
    let encoded = EntryName::encode(text).to_string();
    assert!(!matches!(encoded.as_str(), "" | "." | "..") && encoded.len() <= 200, "{text:?}: {encoded}");
    assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'), "{text:?}: {encoded}");
    // Unless the text is so long that its digest stands for it, it can be told from its name.
    if !encoded.starts_with('~') && encoded != "%" {
        assert_eq!(percent_decoded(&encoded).as_deref(), Some(text.as_bytes()), "{encoded}");
    }
}

fn percent_decoded(encoded: &str) -> Option<Vec<u8>> {
    let mut pieces = encoded.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend(rest.bytes());
    }
    Some(bytes)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    const DIGEST: &str = "sha256:7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc";
    let with_digest = ["", "alpine@", "registry.example.com:5000/a/b:v1@", "oci:dir@", "oci-archive:a.tar@"];
    [
        "alpine",
        "alpine:3.21",
        "library/alpine",
        "docker.io/library/alpine:latest",
        "index.docker.io/a",
        "docker.io/a/b__c-d.e:T_1",
        "localhost/a:1",
        "localhost:5000/a",
        "[::1]:5000/a",
        "127.0.0.1/a",
        "docker://alpine",
        "oci:images:dev",
        "oci:dir@0",
        "oci-archive:a.tar:v1",
        "docker-archive:a.tar:app:v1",
        "docker-archive:a.tar:@0",
        "docker-daemon:app:v1",
        "containers-storage:app",
        "dockerfile:./dir",
        "dir:/srv/root",
        "tar:-",
        "scratch:",
        "linux/arm64/v8",
        "linux/amd64",
        "linux/arm",
        "windows/x86_64",
        "8080/tcp",
        "6000-6010/udp",
        "53",
        "./key:/root/.ssh/authorized_keys:0600:1000:1000",
        "a:/b::0:0",
        "vm/1",
        "..",
        "%2F",
        "~",
        "",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(with_digest.map(|start| format!("{start}{DIGEST}")))
    .map(String::into_bytes)
    .collect()
}
