mod server;

use std::error::Error;
use std::io::Read;
use std::time::Duration;

use offshoot_oci::{
    Credentials, ImageName, ImageSource, Platform, RegistryLimits, RegistryOptions, SourceOptions, Watch,
    media_type, open,
};
use offshoot_store::{Expected, VerifyingReader};
use offshoot_testkit::layout::Tar;
use serde_json::json;

use crate::image_source::{config, manifest};
use crate::parts::{find, joined, parts, replaced};
use server::{Script, address, play};

const USER: &str = "somebody";
const PASSWORD: &str = "correct-horse-battery-staple";
/// `base64(USER:PASSWORD)`
const ENCODED: &str = "c29tZWJvZHk6Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZQ==";

/// What a registry answers, over a connection of this machine: heads, challenges, redirects, tokens, cut bodies.
///
/// The first byte says how many of the parts are a repository's documents, the last of them its manifest; those after
/// them are answers, byte by byte, that are given before the repository's own; in them `$HERE` is the registry's URL, and
/// `$TOLD` what it was just told to be convinced. No error tells a secret.
pub fn registry_answers(input: &[u8]) {
    // A registry that knows it already: libFuzzer puts into inputs what it saw being looked for.
    if [PASSWORD, ENCODED].iter().any(|secret| find(input, secret.as_bytes()).is_some()) {
        return;
    }
    if let Err(error) = pulled(input) {
        keeps_secrets(&*error);
    }
}

fn pulled(input: &[u8]) -> Result<(), Box<dyn Error>> {
    let (count, rest) = input.split_first().unwrap_or((&0, input));
    let mut documents = parts(&harmless(rest));
    let count = usize::from(*count) % 8;
    let answers = documents.split_off(count.min(documents.len()));
    let here = format!("http://{}/", address());
    let answers = answers.iter().map(|answer| replaced(answer, b"$HERE", here.as_bytes())).collect();
    let manifest = documents.pop().unwrap_or_default();
    let _playing = play(Script::new(documents, manifest, answers));
    let name: ImageName = format!("{}/team/app:v1", address()).parse().unwrap();
    let limits = RegistryLimits {
        attempts: 4,
        first_pause: Duration::ZERO,
        longest_pause: Duration::from_secs(1),
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(5),
        redirects: 2,
        ..RegistryLimits::default()
    };
    let registry = RegistryOptions {
        plain_http: true,
        credentials: Some(Credentials::password(USER, PASSWORD)),
        host_directories: Vec::new(),
        limits,
        watch: std::sync::Arc::new(Hurried),
        ..RegistryOptions::default()
    };
    let source = open(&name, &SourceOptions { registry, ..SourceOptions::new("/nonexistent".as_ref()) });
    pull(&*source.unwrap())
}

/// An image and its layers as far as they come.
fn pull(source: &dyn ImageSource) -> Result<(), Box<dyn Error>> {
    let image = source.resolve(&Platform::new("linux", "amd64", None)?)?;
    for (index, layer) in image.layers.iter().enumerate().take(3) {
        let stream = source.open_layer(&image, index)?;
        let expected = Expected { size: layer.expected.size.map(|size| size.min(1 << 20)), ..layer.expected };
        let mut reader = VerifyingReader::new(stream.take(1 << 20), expected);
        reader.read_to_end(&mut Vec::new())?;
        reader.finish()??;
    }
    Ok(())
}

fn keeps_secrets(error: &dyn Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains(PASSWORD) && !text.contains(ENCODED), "a secret is told: {text}");
        }
        next = error.source();
    }
}

/// Without anything that could lead to another machine: no scheme, and nothing that begins a host's name.
fn harmless(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    while let Some((at, length)) = leads_away(&bytes) {
        bytes.drain(at..at + length);
    }
    bytes
}

fn leads_away(bytes: &[u8]) -> Option<(usize, usize)> {
    [&b"//"[..], b"\\", b"http:", b"https:"].iter().find_map(|leading| {
        let found = |window: &[u8]| window.eq_ignore_ascii_case(leading);
        Some((bytes.windows(leading.len()).position(found)?, leading.len()))
    })
}

/// Pauses do not pass.
struct Hurried;

impl Watch for Hurried {
    fn pause(&self, _: Duration) {}
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let layer = Tar::new().file("f", 0o644, &[7; 3000]).unfinished();
    let (config, manifest) = (config().to_string(), manifest().to_string());
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [
        {"mediaType": media_type::OCI_MANIFEST, "digest": "@2", "size": "#2",
            "platform": {"os": "linux", "architecture": "amd64"}}]})
    .to_string();
    let token = r#"{"token":"abc","access_token":"def","expires_in":300,"issued_at":"2020-01-01T00:00:00Z"}"#;
    let basic =
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"r\"\r\nContent-Length: 0\r\n\r\n";
    let bearer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"$HEREtoken\",service=\"s\",scope=\"repository:team/app:pull\"\r\nContent-Length: 0\r\n\r\n";
    let token = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{token}", token.len());
    let answers: [&[&str]; 16] = [
        &[],
        &[bearer, &token],
        &[basic],
        &[
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate, Bearer realm=$HEREtoken\r\n\r\n",
            "HTTP/1.1 403 Forbidden\r\n\r\n{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\"}]}",
        ],
        &[
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: $HEREv2/team/app/manifests/v1\r\nContent-Length: 0\r\n\r\n",
        ],
        &["HTTP/1.1 301 Moved\r\nLocation: ../x?y=z#f\r\n\r\n"],
        &["HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n\r\n"],
        &["HTTP/1.1 503 Busy\r\nRetry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\nContent-Length: 0\r\n\r\n"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2;x=y\r\n1}\r\n0\r\n\r\n"],
        &[
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n\r\n{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}",
        ],
        &["HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\nDocker-Content-Digest: sha256:0\r\n\r\n{"],
        &["\0\r\n\r\n"],
        &[
            basic,
            "HTTP/1.1 403 Forbidden\r\n\r\n{\"errors\":[{\"code\":\"DENIED\",\"message\":\"$TOLD is not good\"}]}",
        ],
        &[bearer, "HTTP/1.1 403 No\r\n\r\n$TOLD"],
        &[basic, "HTTP/1.1 200 OK\r\n\r\n{\"schemaVersion\":2,\"mediaType\":\"$TOLD\"}"],
        &[basic, "HTTP/1.1 307 Moved\r\nLocation: $TOLD://x/\r\nContent-Length: 0\r\n\r\n"],
    ];
    let seed = |documents: &[&[u8]], answers: &[&str]| {
        let count = u8::try_from(documents.len()).unwrap();
        let answers: Vec<&[u8]> = answers.iter().map(|answer| answer.as_bytes()).collect();
        [&[count], &joined(&[documents, &answers].concat())[..]].concat()
    };
    let mut seeds: Vec<Vec<u8>> = answers
        .iter()
        .map(|answers| seed(&[&layer, config.as_bytes(), manifest.as_bytes()], answers))
        .collect();
    seeds.push(seed(&[&layer, config.as_bytes(), manifest.as_bytes(), index.as_bytes()], &[]));
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_well_is_pulled() {
        let ends: Vec<bool> = seeds().iter().map(|seed| pulled(seed).is_ok()).collect();
        let fail = [3, 8, 9, 12, 13, 14, 15];
        let expected: Vec<bool> = (0..ends.len()).map(|number| !fail.contains(&number)).collect();
        assert_eq!(ends, expected);
    }

    #[test]
    fn nothing_leads_away() {
        let input = b"Location: hthttp:tp:\\//evil.example.com HTTPS:x";
        assert_eq!(harmless(input), b"Location: evil.example.com x");
    }
}
