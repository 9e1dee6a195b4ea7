use offshoot_oci::{ImageConfig, MAX_LAYERS, MAX_MANIFESTS, Manifest, media_type};
use offshoot_store::Digest;
use serde_json::{Value, json};

/// The media types that may have led to a document.
const LED_BY: [Option<&str>; 4] =
    [None, Some(media_type::OCI_INDEX), Some(media_type::DOCKER_MANIFEST), Some("text/plain")];

/// One document as manifest, index and config: what is taken is bounded, and a config is the same again once it was
/// kept in a record.
pub fn document(input: &[u8]) {
    for led_by in LED_BY {
        match Manifest::parse(input, "the document", led_by) {
            Ok(Manifest::Image(image)) => {
                assert!(image.layers.len() <= MAX_LAYERS);
                assert!(image.layers.iter().all(|layer| layer.media_type.contains("tar")), "{image:?}");
            }
            Ok(Manifest::Index(index)) => assert!(index.manifests.len() <= MAX_MANIFESTS),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    if let Ok(config) = ImageConfig::parse(input) {
        let kept = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ImageConfig>(&kept).unwrap(), config);
        assert!(config.diff_ids.len() <= MAX_LAYERS, "{} layers", config.diff_ids.len());
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let descriptor = |media_type: &str| json!({"mediaType": media_type, "digest": Digest::of(b"x").to_string(), "size": 1});
    let manifest = |own: &str, config: &str, layer: &str| {
        json!({"schemaVersion": 2, "mediaType": own, "config": descriptor(config),
            "layers": [descriptor(layer), descriptor(layer)], "annotations": {"a": "b"}})
    };
    let index = |own: &str, manifest: &str| {
        let mut entry = descriptor(manifest);
        entry["platform"] = json!({"os": "linux", "architecture": "arm64", "variant": "v8"});
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
        json!({"schemaVersion": 2, "mediaType": own, "manifests": [entry, descriptor(own)]})
    };
    let config = json!({
        "created": "2020-01-01T00:00:00Z", "architecture": "arm64", "os": "linux", "variant": "v8",
        "config": {
            "User": "1000:1000", "WorkingDir": "/srv", "StopSignal": "SIGINT",
            "Env": ["PATH=/bin", "EMPTY=", "A=b=c", "NONE"], "Entrypoint": ["/init"], "Cmd": ["-v"],
            "ExposedPorts": {"80/tcp": {}, "6000-6010/udp": {}, "x": {}},
            "Labels": {"a": "b"}, "Volumes": {"/data": {}},
        },
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(b"x").to_string()]},
        "history": [{"created_by": "x", "empty_layer": true}],
    });
    let documents: [Value; 8] = [
        manifest(media_type::OCI_MANIFEST, media_type::OCI_CONFIG, media_type::OCI_LAYER_GZIP),
        manifest(media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG, media_type::DOCKER_LAYER),
        manifest(media_type::OCI_MANIFEST, media_type::OCI_CONFIG, media_type::OCI_LAYER_ZSTD),
        index(media_type::OCI_INDEX, media_type::OCI_MANIFEST),
        index(media_type::DOCKER_LIST, media_type::DOCKER_MANIFEST),
        config,
        json!({"config": null, "rootfs": {"diff_ids": null}}),
        json!({"schemaVersion": 1, "fsLayers": [], "artifactType": "x", "manifests": null}),
    ];
    documents.iter().map(|document| document.to_string().into_bytes()).collect()
}
