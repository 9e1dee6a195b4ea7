use std::fs;
use std::io::Read;
use std::path::Path;

use offshoot_oci::{
    ImageConfig, ImageName, ImageSource, MAX_LAYERS, Manifest, Platform, SourceImage, SourceOptions,
    media_type, open,
};
use offshoot_store::Digest;
use offshoot_testkit::layout::{Style, Tar, TarEntry};
use serde_json::{Value, json};

use crate::pack::{mended, sample};
use crate::parts::{joined, parts};

/// So that a small input cannot keep a run busy for long.
const MOST_BYTES: u64 = 4 << 20;
/// From here on, the first byte says that a part is spoiled, and in bits 4 to 6 which.
const SPOILS: u8 = 0x80;

/// The documents of an image as an OCI layout in a directory or a tar, and as what `docker save` writes; or any tar as
/// all of these. What is resolved is what its digests say, and its layers can be read or are refused.
///
/// The first byte says which, and may say of one document that it changes after it got its name. Between documents
/// stands a line of `%%`; `"@0"` in one of them is the digest of the first. The last is `index.json` or `manifest.json`.
pub fn image_source(input: &[u8]) {
    resolved(input);
}

/// How many images there were.
fn resolved(input: &[u8]) -> usize {
    let Some((kind, rest)) = input.split_first() else { return 0 };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image");
    let spoiled = (*kind >= SPOILS).then_some(usize::from(kind >> 4) % 8);
    let transports: &[&str] = match kind % 4 {
        0 => {
            write_layout(&path, &parts(rest), spoiled);
            &["oci"]
        }
        1 => {
            fs::write(&path, layout_archive(&parts(rest), spoiled)).unwrap();
            &["oci-archive"]
        }
        2 => {
            fs::write(&path, docker_archive(&parts(rest), spoiled)).unwrap();
            &["docker-archive"]
        }
        _ => {
            fs::write(&path, mended(rest)).unwrap();
            &["oci-archive", "docker-archive", "tar"]
        }
    };
    let options = SourceOptions { spool_bytes: MOST_BYTES, ..SourceOptions::new(directory.path()) };
    let mut resolved = 0;
    for transport in transports {
        for selection in ["", ":v1", ":@0", "@0"] {
            let Ok(name) = format!("{transport}:{}{selection}", path.display()).parse::<ImageName>() else {
                continue;
            };
            if open(&name, &options).is_ok_and(|source| use_source(&*source)) {
                resolved += 1;
            }
        }
    }
    resolved
}

/// Resolves an image and reads its layers; whether there is one.
fn use_source(source: &dyn ImageSource) -> bool {
    let platform = Platform::new("linux", "amd64", None).unwrap();
    let Ok(image) = source.resolve(&platform) else { return false };
    check_image(&image);
    for index in 0..image.layers.len().min(3) {
        if let Ok(layer) = source.open_layer(&image, index) {
            let _ = layer.take(MOST_BYTES).read_to_end(&mut Vec::new());
        }
    }
    assert!(source.open_layer(&image, image.layers.len()).is_err(), "a layer too many");
    true
}

fn check_image(image: &SourceImage) {
    assert!(image.layers.len() <= MAX_LAYERS);
    assert_eq!(image.manifest.is_some(), image.config.is_some());
    let (Some(manifest), Some(config)) = (&image.manifest, &image.config) else { return };
    for document in [manifest, config] {
        assert_eq!(Digest::of(&document.bytes), document.digest);
    }
    let Ok(Manifest::Image(parsed)) = Manifest::parse(&manifest.bytes, "it", None) else {
        panic!("the manifest of an image is none: {manifest:?}");
    };
    let sizes: Vec<_> = parsed.layers.iter().map(|layer| (Some(layer.digest), Some(layer.size))).collect();
    let expected: Vec<_> =
        image.layers.iter().map(|layer| (layer.expected.digest, layer.expected.size)).collect();
    assert_eq!((parsed.config.digest, sizes), (config.digest, expected));
    let diff_ids: Vec<_> = image.layers.iter().map(|layer| layer.diff_id).collect();
    let promised: Vec<_> =
        ImageConfig::parse(&config.bytes).unwrap().diff_ids.into_iter().map(Some).collect();
    assert_eq!(diff_ids, promised);
}

/// Each part but the last is a blob.
fn write_layout(directory: &Path, parts: &[Vec<u8>], spoiled: Option<usize>) {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let Some((index, rest)) = parts.split_last() else { return };
    for (name, blob) in named(rest, spoiled) {
        fs::write(blobs.join(name), blob).unwrap();
    }
    fs::write(directory.join("index.json"), index).unwrap();
}

fn layout_archive(parts: &[Vec<u8>], spoiled: Option<usize>) -> Vec<u8> {
    let mut tar = Tar::new();
    tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#);
    if let Some((index, rest)) = parts.split_last() {
        for (name, blob) in named(rest, spoiled) {
            tar.file(&format!("blobs/sha256/{name}"), 0o644, &blob);
        }
        tar.file("index.json", 0o644, index);
    }
    tar.finish()
}

/// Each part but the last under its number, its digest, and as links to these.
fn docker_archive(parts: &[Vec<u8>], spoiled: Option<usize>) -> Vec<u8> {
    let mut tar = Tar::new();
    if let Some((manifest, rest)) = parts.split_last() {
        for (number, (name, part)) in named(rest, spoiled).enumerate() {
            tar.file(&format!("{number}"), 0o644, &part);
            tar.hard_link(&format!("blobs/sha256/{name}"), &format!("{number}"));
            tar.symlink(&format!("links/{number}"), &format!("../{number}"));
        }
        tar.file("manifest.json", 0o644, manifest);
    }
    tar.finish()
}

/// Blobs under their digests; to the spoiled one a blank is added, which no JSON minds.
fn named(blobs: &[Vec<u8>], spoiled: Option<usize>) -> impl Iterator<Item = (String, Vec<u8>)> {
    blobs.iter().enumerate().map(move |(number, blob)| {
        let blank: &[u8] = if spoiled == Some(number) { b" " } else { b"" };
        (Digest::of(blob).hex(), [blob, blank].concat())
    })
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let layer = Tar::new().file("f", 0o644, b"x").unfinished();
    let (config, manifest) = (config(), manifest());
    let one_layer = |documents: &[&Value]| {
        let texts: Vec<Vec<u8>> =
            documents.iter().map(|document| document.to_string().into_bytes()).collect();
        let all: Vec<&[u8]> = [&layer[..]].into_iter().chain(texts.iter().map(Vec::as_slice)).collect();
        joined(&all)
    };
    let descriptor = |part: usize, media_type: &str| json!({"mediaType": media_type, "digest": format!("@{part}"), "size": format!("#{part}")});
    let mut named = descriptor(2, media_type::OCI_MANIFEST);
    named["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
    let index = json!({"schemaVersion": 2, "manifests": [named]});
    let nested = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [
        {"mediaType": media_type::OCI_MANIFEST, "digest": "@2", "size": "#2",
            "platform": {"os": "linux", "architecture": "amd64"}},
        {"mediaType": media_type::OCI_MANIFEST, "digest": "@2", "size": "#2",
            "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
    ]});
    let outer = json!({"schemaVersion": 2, "manifests": [descriptor(3, media_type::OCI_INDEX)]});
    let docker = json!([{"Config": "1", "RepoTags": ["app:v1"], "Layers": ["0"]}]);
    let path = format!("blobs/sha256/{}", Digest::of(&parts(&one_layer(&[&config]))[1]).hex());
    let docker_by_digest = json!([{"Config": path, "RepoTags": ["app:v1"], "Layers": ["0"]}]);
    let linked = json!([{"Config": "links/1", "RepoTags": null, "Layers": ["links/0"]}]);
    let layout = one_layer(&[&config, &manifest, &index]);
    let indexed = one_layer(&[&config, &manifest, &nested, &outer]);
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let saved = docker_archive(&parts(&one_layer(&[&config, &docker])), None);
    vec![
        with(0, &layout),
        with(0, &indexed),
        with(1, &layout),
        with(1, &indexed),
        with(2, &one_layer(&[&config, &docker])),
        with(2, &one_layer(&[&config, &linked])),
        with(3, &layout_archive(&parts(&layout), None)),
        with(3, &saved),
        with(3, &sample(Style::Gnu).finish()),
        with(SPOILS | 1 << 4, &layout),
        with(SPOILS | 2 << 4, &layout),
        with(SPOILS | 2 << 4 | 1, &indexed),
        with(SPOILS | 3 << 4 | 1, &indexed),
        with(SPOILS | 1 << 4 | 2, &one_layer(&[&config, &docker_by_digest])),
        with(3, &TarEntry { link: b"b".to_vec(), ..TarEntry::new("manifest.json", b'2') }.to_bytes()),
    ]
}

/// Of one layer, the first part.
pub(crate) fn config() -> Value {
    json!({"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/bin/sh"], "Env": ["A=b"]},
        "rootfs": {"type": "layers", "diff_ids": ["@0"]}})
}

/// Of the first part as layer and the second as config.
pub(crate) fn manifest() -> Value {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": {"mediaType": media_type::OCI_CONFIG, "digest": "@1", "size": "#1"},
        "layers": [{"mediaType": media_type::OCI_LAYER, "digest": "@0", "size": "#0"}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_images_unless_they_are_spoiled() {
        for (number, seed) in seeds().iter().enumerate() {
            let whole = seed[0] < SPOILS;
            assert_eq!(resolved(seed) > 0, whole, "seed {number}");
        }
    }
}
