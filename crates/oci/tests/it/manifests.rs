use offshoot_oci::{Error, MAX_LAYERS, MAX_MANIFESTS, Malformed, Manifest, Unsupported, media_type};
use offshoot_store::Digest;
use serde_json::{Value, json};

fn parse(value: &Value, descriptor: Option<&str>) -> Result<Manifest, Error> {
    Manifest::parse(value.to_string().as_bytes(), "the manifest", descriptor)
}

fn malformed(value: &Value, descriptor: Option<&str>) -> Malformed {
    match parse(value, descriptor) {
        Err(Error::Malformed { problem, .. }) => problem,
        other => panic!("{value}: {other:?}"),
    }
}

fn unsupported(value: &Value, descriptor: Option<&str>) -> Unsupported {
    match parse(value, descriptor) {
        Err(Error::Unsupported { reason, .. }) => reason,
        other => panic!("{value}: {other:?}"),
    }
}

fn descriptor(media_type: &str) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(media_type.as_bytes()), "size": 7})
}

fn manifest(own: &str, config: &str, layers: &[&str]) -> Value {
    let layers: Vec<Value> = layers.iter().map(|layer| descriptor(layer)).collect();
    json!({"schemaVersion": 2, "mediaType": own, "config": descriptor(config), "layers": layers})
}

fn valid() -> Value {
    manifest(media_type::OCI_MANIFEST, media_type::OCI_CONFIG, &[media_type::OCI_LAYER_GZIP])
}

fn with(mut value: Value, key: &str, other: Value) -> Value {
    value[key] = other;
    value
}

fn without(mut value: Value, key: &str) -> Value {
    value.as_object_mut().unwrap().remove(key).unwrap();
    value
}

#[test]
fn images_of_both_kinds() {
    use media_type::*;
    for (own, config, layers) in [
        (OCI_MANIFEST, OCI_CONFIG, &[OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD][..]),
        (DOCKER_MANIFEST, DOCKER_CONFIG, &[DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_LAYER_ZSTD]),
        // Tools mix them.
        (OCI_MANIFEST, DOCKER_CONFIG, &[DOCKER_LAYER_GZIP, OCI_LAYER_ZSTD]),
        (OCI_MANIFEST, OCI_CONFIG, &[]),
    ] {
        let value = manifest(own, config, layers);
        for (value, led) in [
            (value.clone(), None),
            (value.clone(), Some("")),
            (value.clone(), Some(own)),
            (without(value, "mediaType"), Some(own)),
        ] {
            let Ok(Manifest::Image(image)) = parse(&value, led) else { panic!("{value}") };
            assert_eq!((image.media_type.as_str(), image.config.media_type.as_str()), (own, config));
            let found: Vec<_> = image.layers.iter().map(|layer| layer.media_type.as_str()).collect();
            assert_eq!(found, layers);
        }
    }
    // Told by its fields alone.
    let Ok(Manifest::Image(image)) = parse(&without(valid(), "mediaType"), None) else { panic!() };
    assert_eq!(image.media_type, OCI_MANIFEST);
    // Go's empty list; a distributable layer with mirrors; an image that says what kind of artifact it is.
    for value in [
        with(valid(), "layers", Value::Null),
        with(valid(), "artifactType", OCI_CONFIG.into()),
        with(valid(), "annotations", json!({"a": null})),
        with(valid(), "subject", descriptor("x")),
    ] {
        assert!(matches!(parse(&value, None), Ok(Manifest::Image(_))), "{value}");
    }
}

#[test]
fn indexes_keep_what_may_be_an_image() {
    let entry = |own: &str, os: &str, architecture: &str| {
        let platform = json!({"os": os, "architecture": architecture});
        with(descriptor(own), "platform", platform)
    };
    let image = entry(media_type::OCI_MANIFEST, "linux", "amd64");
    let manifests = json!([
        image,
        entry(media_type::DOCKER_MANIFEST, "linux", "aarch64"),
        entry(media_type::OCI_MANIFEST, "unknown", "unknown"),
        with(image.clone(), "annotations", json!({"vnd.docker.reference.type": "attestation-manifest"})),
        with(image.clone(), "artifactType", "application/vnd.example.sbom".into()),
        with(image.clone(), "artifactType", "".into()),
        with(image.clone(), "digest", "sha512:00".into()),
        descriptor("application/vnd.example.chart"),
        descriptor(media_type::OCI_INDEX),
        with(image.clone(), "platform", json!({"os": "a b", "architecture": "x"})),
        with(image.clone(), "platform", json!({})),
    ]);
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests});
    let Ok(Manifest::Index(found)) = parse(&index, None) else { panic!() };
    let platforms: Vec<_> =
        found.manifests.iter().map(|entry| entry.platform.as_ref().map(ToString::to_string)).collect();
    let expected = [Some("linux/amd64"), Some("linux/arm64"), Some("linux/amd64"), None, None, None];
    assert_eq!(platforms, expected.map(|platform| platform.map(str::to_owned)));
    for value in [
        with(index.clone(), "mediaType", media_type::DOCKER_LIST.into()),
        without(index.clone(), "mediaType"),
        with(index.clone(), "manifests", Value::Null),
        with(index.clone(), "config", Value::Null),
    ] {
        assert!(matches!(parse(&value, None), Ok(Manifest::Index(_))), "{value}");
    }
}

#[test]
fn documents_that_break_their_specification() {
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []});
    // Both at once is either, as one likes: CVE-2021-41190.
    for value in [
        with(valid(), "manifests", json!([])),
        with(without(valid(), "mediaType"), "manifests", json!([])),
        with(index.clone(), "layers", json!([])),
        with(index.clone(), "config", descriptor("x")),
    ] {
        assert!(matches!(malformed(&value, None), Malformed::Ambiguous), "{value}");
    }
    let Malformed::MediaType { document, descriptor: led } =
        malformed(&valid(), Some(media_type::DOCKER_MANIFEST))
    else {
        panic!()
    };
    assert_eq!((document.as_str(), led.as_str()), (media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST));
    assert!(matches!(malformed(&valid(), Some(media_type::OCI_INDEX)), Malformed::MediaType { .. }));
    for (value, field) in [
        (json!({"schemaVersion": 2}), "manifests"),
        (without(valid(), "config"), "config"),
        (with(valid(), "config", Value::Null), "config"),
        (with(valid(), "mediaType", media_type::OCI_INDEX.into()), "manifests"),
        (with(index, "mediaType", media_type::OCI_MANIFEST.into()), "config"),
    ] {
        assert!(matches!(malformed(&value, None), Malformed::Field(own) if own == field), "{value}");
    }
    assert!(matches!(malformed(&without(valid(), "schemaVersion"), None), Malformed::SchemaVersion(None)));
    assert!(matches!(
        malformed(&with(valid(), "schemaVersion", 3.into()), None),
        Malformed::SchemaVersion(Some(3))
    ));
    let config = |key: &str, value: Value| {
        with(valid(), "config", with(descriptor(media_type::OCI_CONFIG), key, value))
    };
    for value in [
        json!([]),
        json!(null),
        config("size", (-1).into()),
        config("size", 1.5.into()),
        config("size", "7".into()),
        config("digest", Value::Null),
        with(valid(), "config", without(descriptor("x"), "size")),
        with(valid(), "layers", json!({})),
    ] {
        assert!(matches!(malformed(&value, None), Malformed::Json(_)), "{value}");
    }
    for digest in ["", "sha256:", "sha256:../../../../etc/passwd", "7173", "md5:00"] {
        assert!(
            matches!(malformed(&config("digest", digest.into()), None), Malformed::Digest(_)),
            "{digest}"
        );
    }
    let doubled = br#"{"schemaVersion":2,"schemaVersion":2,"manifests":[]}"#;
    assert!(Manifest::parse(doubled, "m", None).is_err());
}

#[test]
fn well_formed_things_that_are_no_image() {
    for own in ["v1+json", "v1+prettyjws"] {
        let own = format!("application/vnd.docker.distribution.manifest.{own}");
        assert_eq!(unsupported(&without(valid(), "mediaType"), Some(&own)), Unsupported::Schema1);
        assert_eq!(unsupported(&with(valid(), "mediaType", own.into()), None), Unsupported::Schema1);
    }
    assert_eq!(
        unsupported(&json!({"schemaVersion": 1, "fsLayers": [], "history": []}), None),
        Unsupported::Schema1
    );
    let own = "application/vnd.oci.artifact.manifest.v1+json";
    let artifact = with(valid(), "mediaType", own.into());
    assert_eq!(unsupported(&artifact, None), Unsupported::ManifestMediaType(own.to_owned()));

    let empty = "application/vnd.oci.empty.v1+json";
    let chart = "application/vnd.cncf.helm.config.v1+json";
    for (config, kind, expected) in [(chart, None, chart), (empty, Some("application/x"), "application/x")] {
        let mut value = manifest(media_type::OCI_MANIFEST, config, &[]);
        if let Some(kind) = kind {
            value["artifactType"] = kind.into();
        }
        assert_eq!(unsupported(&value, None), Unsupported::Artifact(expected.to_owned()));
    }
    for layer in ["application/vnd.oci.image.layer.v1.tar+encrypted", "text/plain", ""] {
        let value = manifest(media_type::OCI_MANIFEST, media_type::OCI_CONFIG, &[layer]);
        assert_eq!(unsupported(&value, None), Unsupported::LayerMediaType(layer.to_owned()));
    }
    for layer in [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ] {
        let mut value = manifest(media_type::OCI_MANIFEST, media_type::OCI_CONFIG, &[layer]);
        value["layers"][0]["urls"] = json!(["https://example.com/layer"]);
        let Unsupported::ForeignLayer { urls, .. } = unsupported(&value, None) else { panic!() };
        assert_eq!(urls, ["https://example.com/layer"]);
    }
    let mut value = valid();
    value["layers"][0]["digest"] = "sha512:00".into();
    assert!(matches!(unsupported(&value, None), Unsupported::Digest(_)));
}

#[test]
fn lists_are_bounded() {
    let layers = |count| with(valid(), "layers", vec![descriptor(media_type::OCI_LAYER); count].into());
    assert!(parse(&layers(MAX_LAYERS), None).is_ok());
    assert!(matches!(
        malformed(&layers(MAX_LAYERS + 1), None),
        Malformed::TooMany { what: "layers", count, limit } if count == limit + 1
    ));
    let entries = vec![descriptor(media_type::OCI_MANIFEST); MAX_MANIFESTS + 1];
    let index = json!({"schemaVersion": 2, "manifests": entries});
    assert!(matches!(malformed(&index, None), Malformed::TooMany { what: "manifests", .. }));
}
