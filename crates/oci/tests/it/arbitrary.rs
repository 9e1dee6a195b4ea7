//! Whatever comes from outside, nothing panics, and what is taken is taken the same way again.

use std::fs;
use std::path::Path;

use offshoot_oci::{
    ExposedPort, ImageConfig, ImageName, Injection, Manifest, PackedLayer, Platform, Reference,
    SourceOptions, media_type, open, synthesize,
};
use offshoot_store::Digest;
use offshoot_testkit::layout::{Layout, Tar};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::layouts;

/// Pieces that references and names are made of, so that many of them are accepted.
fn nameish() -> impl Strategy<Value = String> {
    const DIGEST: &str = "sha256:7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc";
    let pieces = [
        "a",
        "b1",
        "A",
        "alpine",
        "library",
        "localhost",
        "docker.io",
        "index.docker.io",
        "example.com",
        "[::1]",
        "/",
        "/",
        ":",
        ":",
        "@",
        "-",
        "_",
        "__",
        ".",
        "..",
        "5000",
        "v1.0",
        "latest",
        DIGEST,
        "oci",
        "oci:",
        "oci-archive:",
        "docker-archive:",
        "docker-daemon:",
        "containers-storage:",
        "dockerfile:",
        "dir:",
        "tar:",
        "scratch:",
        "docker://",
        "é",
        "\0",
        " ",
    ];
    vec(proptest::sample::select(pieces.to_vec()), 0..9).prop_map(|pieces| pieces.concat())
}

/// JSON with the keys and values of manifests and configs in any place.
fn documentish() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!(2)),
        Just(json!(Digest::of(b"").to_string())),
        Just(json!(media_type::OCI_INDEX)),
        Just(json!(media_type::OCI_MANIFEST)),
        Just(json!(media_type::OCI_CONFIG)),
        Just(json!(media_type::OCI_LAYER_GZIP)),
        Just(json!("linux")),
        Just(json!("amd64")),
        ".{0,8}".prop_map(Value::from),
    ];
    let keys = [
        "schemaVersion",
        "mediaType",
        "config",
        "layers",
        "manifests",
        "digest",
        "size",
        "platform",
        "os",
        "architecture",
        "variant",
        "annotations",
        "artifactType",
        "urls",
        "fsLayers",
        "rootfs",
        "type",
        "diff_ids",
        "Env",
        "Cmd",
        "Entrypoint",
        "ExposedPorts",
        "Labels",
        "Volumes",
        "User",
        "created",
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((proptest::sample::select(keys.to_vec()).prop_map(str::to_owned), inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A well-formed image manifest with one thing replaced.
fn almost_a_manifest() -> impl Strategy<Value = Value> {
    let layer =
        json!({"mediaType": media_type::OCI_LAYER_GZIP, "digest": Digest::of(b"l").to_string(), "size": 1});
    let config =
        json!({"mediaType": media_type::OCI_CONFIG, "digest": Digest::of(b"c").to_string(), "size": 1});
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer]});
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [layer]});
    let places = [
        "/schemaVersion",
        "/mediaType",
        "/config",
        "/config/size",
        "/config/digest",
        "/layers",
        "/layers/0",
        "/layers/0/mediaType",
        "/manifests",
        "/manifests/0/digest",
        "/manifests/0",
    ];
    (
        proptest::sample::select(vec![manifest, index]),
        proptest::sample::select(places.to_vec()),
        documentish(),
    )
        .prop_map(|(mut document, place, other)| {
            if let Some(replaced) = document.pointer_mut(place) {
                *replaced = other;
            }
            document
        })
}

fn check_document(bytes: &[u8]) {
    for led in [None, Some(media_type::OCI_INDEX), Some(media_type::DOCKER_MANIFEST)] {
        let _ = Manifest::parse(bytes, "m", led);
    }
    if let Ok(config) = ImageConfig::parse(bytes) {
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ImageConfig>(&json).unwrap(), config);
    }
}

proptest! {
    #[test]
    fn names(text in prop_oneof![nameish(), any::<String>()]) {
        if let Ok(reference) = text.parse::<Reference>() {
            prop_assert_eq!(reference.to_string().parse(), Ok(reference.clone()));
            prop_assert_eq!(reference.familiar().parse(), Ok(reference.clone()));
            prop_assert!(reference.familiar().len() <= reference.to_string().len());
            // It may become a file's name, encoded, or a part of a URL.
            prop_assert!(!reference.path().split('/').any(|name| matches!(name, "" | "." | "..")));
        }
        if let Ok(name) = text.parse::<ImageName>() {
            prop_assert_eq!(name.to_string().parse(), Ok(name.clone()));
            let _ = name.canonical();
        }
    }

    #[test]
    fn small_texts(text in prop_oneof![".{0,24}", "[a-z0-9/:.-]{0,24}", "[a-z/]{0,8}:/[a-z/.]{0,8}(:[0-9]{0,5})?"]) {
        if let Ok(platform) = text.parse::<Platform>() {
            prop_assert_eq!(platform.to_string().parse(), Ok(platform.clone()));
            prop_assert!(platform.accepts(&platform));
        }
        if let Ok(port) = text.parse::<ExposedPort>() {
            prop_assert_eq!(port.to_string().parse(), Ok(port));
        }
        if let Ok(injection) = text.parse::<Injection>() {
            prop_assert!(text.starts_with(injection.source.to_str().unwrap()));
        }
    }

    #[test]
    fn platforms(os in "[a-z]{1,8}", architecture in "(amd64|arm64|arm|aarch64|x86_64|[a-z0-9_]{1,8})",
        variant in proptest::option::of("v?[0-9]{1,3}(\\.[0-9])?")) {
        let platform = Platform::new(&os, &architecture, variant.as_deref()).unwrap();
        prop_assert_eq!(platform.to_string().parse(), Ok(platform.clone()));
    }

    #[test]
    fn bytes_as_documents(bytes in vec(any::<u8>(), 0..200)) {
        check_document(&bytes);
    }

    #[test]
    fn json_as_documents(document in prop_oneof![documentish(), almost_a_manifest()]) {
        check_document(document.to_string().as_bytes());
    }

    #[test]
    fn synthesized_images_can_be_read(layers in vec((any::<[u8; 32]>(), any::<[u8; 32]>(), any::<u64>()), 0..5)) {
        let layers: Vec<_> = layers
            .into_iter()
            .map(|(diff_id, blob, blob_bytes)| PackedLayer {
                diff_id: Digest::from_bytes(diff_id),
                blob: Digest::from_bytes(blob),
                blob_bytes,
                media_type: media_type::OCI_LAYER.to_owned(),
            })
            .collect();
        let (manifest, config) = synthesize(&Platform::host(), &layers);
        let Ok(Manifest::Image(parsed)) = Manifest::parse(&manifest.bytes, "m", None) else { panic!() };
        prop_assert_eq!(parsed.config.digest, Digest::of(&config.bytes));
        let sizes: Vec<_> = parsed.layers.iter().map(|layer| (layer.digest, layer.size)).collect();
        prop_assert_eq!(sizes, layers.iter().map(|layer| (layer.blob, layer.blob_bytes)).collect::<Vec<_>>());
        let parsed = ImageConfig::parse(&config.bytes).unwrap();
        prop_assert_eq!(parsed.diff_ids, layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_layout_of_anything(index in documentish(), manifest in prop_oneof![documentish(), almost_a_manifest()]) {
        let directory = tempfile::tempdir().unwrap();
        let mut layout = Layout::create(directory.path());
        layout.add_document("x", media_type::OCI_MANIFEST, &manifest);
        prop_assert!(layouts::resolve(&layouts::name(directory.path(), "x")).is_err());
        layout.add_document("y", media_type::OCI_INDEX, &index);
        prop_assert!(layouts::resolve(&layouts::name(directory.path(), "y")).is_err());
        fs::write(directory.path().join("index.json"), index.to_string()).unwrap();
        let name: ImageName = format!("oci:{}", directory.path().display()).parse().unwrap();
        if let Ok(source) = open(&name, &SourceOptions::new(directory.path())) {
            let _ = source.resolve(&Platform::host());
        }
    }

    #[test]
    fn a_damaged_archive(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
        let directory = tempfile::tempdir().unwrap();
        Layout::create(directory.path()).add("x", &layouts::two_layers());
        let mut tar = Tar::new();
        for name in ["index.json", "oci-layout"] {
            tar.file(name, 0o644, &fs::read(directory.path().join(name)).unwrap());
        }
        for blob in fs::read_dir(directory.path().join("blobs/sha256")).unwrap() {
            let path = blob.unwrap().path();
            let name = path.strip_prefix(directory.path()).unwrap();
            tar.file(name.to_str().unwrap(), 0o644, &fs::read(&path).unwrap());
        }
        let mut bytes = tar.finish();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let path = directory.path().join("archive");
        for length in [bytes.len(), cut.index(bytes.len())] {
            fs::write(&path, &bytes[..length]).unwrap();
            check_archive(&path);
        }
    }

    #[test]
    fn an_archive_of_anything(bytes in vec(any::<u8>(), 0..3000)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("archive");
        fs::write(&path, bytes).unwrap();
        check_archive(&path);
    }
}

/// Whatever an archive resolves to, its documents are what their digests say.
fn check_archive(path: &Path) {
    let name: ImageName = format!("oci-archive:{}", path.display()).parse().unwrap();
    let Ok(image) = layouts::resolve(&name) else { return };
    for document in [image.manifest.unwrap(), image.config.unwrap()] {
        assert_eq!(Digest::of(&document.bytes), document.digest);
    }
}
