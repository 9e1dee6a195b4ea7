//! Manifests, indexes and configs from a registry: verified, bounded, chosen, and not mixed.

use offshoot_oci::{
    Error, ErrorKind, MAX_DOCUMENT_SIZE, Malformed, Missing, Platform, RegistryProblem, Unsupported,
};
use offshoot_store::{Digest, VerifyError};
use offshoot_testkit::layout::{CONFIG, Image, Layer, MANIFEST, Tar};
use offshoot_testkit::registry::Fault;
use serde_json::json;

use crate::registry_fixture::{Fixture, line};

fn layer(contents: &[u8]) -> Layer {
    Layer::gzip(&Tar::new().file("f", 0o644, contents).finish())
}

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

#[test]
fn by_tag_by_digest_and_by_both() {
    let mut fixture = Fixture::new(10);
    let other = fixture.layout.add("v2", &Image::new().layer(layer(b"other")));
    let host = fixture.registry.host();
    for (reference, digest) in [
        (format!("{host}/app:v1"), &fixture.manifest),
        (format!("{host}/a/b/c:v2"), &other),
        (format!("{host}/app@{other}"), &other),
        // The digest decides.
        (format!("{host}/app:v1@{other}"), &other),
        (format!("{host}/app:gone@{other}"), &other),
    ] {
        let found = fixture.open(&reference).resolve(&Platform::host()).unwrap();
        assert_eq!(found.manifest.unwrap().digest.to_string(), *digest, "{reference}");
    }
    let asked = fixture.registry.seen();
    assert!(asked[0].header("accept").unwrap().contains(MANIFEST));
    assert_eq!(asked[0].path, "/v2/app/manifests/v1");
    assert!(asked.iter().all(|seen| !seen.path.contains("gone")));
}

#[test]
fn an_index_is_chosen_from() {
    let mut fixture = Fixture::new(10);
    let images: Vec<Image> = ["amd64", "arm64"]
        .map(|architecture| {
            Image::new().platform("linux", architecture).layer(layer(architecture.as_bytes()))
        })
        .into();
    fixture.layout.add_index("multi", &images);
    let source = fixture.open(&fixture.registry.reference("app", "multi"));
    for (index, wanted) in ["linux/amd64", "linux/arm64"].into_iter().enumerate() {
        let found = source.resolve(&platform(wanted)).unwrap();
        let expected = layer(["amd64", "arm64"][index].as_bytes()).digest;
        assert_eq!(found.layers[0].expected.digest.unwrap().to_string(), expected);
    }
    let error = source.resolve(&platform("linux/s390x")).unwrap_err();
    assert_eq!(line(&error), "there is no image for linux/s390x, only for linux/amd64, linux/arm64");
    let single = fixture.source().resolve(&platform("plan9/mips")).unwrap_err();
    assert!(matches!(&single, Error::NoPlatform { available, .. } if available.len() == 1), "{single:?}");
    // Each time the index, the manifest and the config; by digest but for the first.
    let paths: Vec<_> = fixture.registry.seen().iter().map(|seen| seen.path.clone()).collect();
    assert!(paths[0].ends_with("/manifests/multi") && paths[1].contains("/manifests/sha256:"));
    assert!(paths[2].contains("/blobs/sha256:"));
}

#[test]
fn a_tag_that_moves_does_not_mix_images() {
    let mut fixture = Fixture::new(10);
    let images: Vec<Image> = vec![Image::new().layer(layer(b"old")), Image::new().platform("linux", "s390x")];
    let old = fixture.layout.add_index("moving", &images);
    let new = fixture.layout.add("other", &Image::new().layer(layer(b"new")));
    let source = fixture.open(&fixture.registry.reference("app", "moving"));
    let found = source.resolve(&Platform::host()).unwrap();
    fixture.registry.tag("moving", &new);
    assert_eq!(found.layers[0].expected.digest.unwrap().to_string(), layer(b"old").digest);
    let (bytes, end) = crate::registry_fixture::read(source.open_layer(&found, 0));
    end.unwrap();
    assert_eq!(Digest::of(&bytes).to_string(), layer(b"old").digest);
    assert_eq!(fixture.registry.seen_of("moving").len(), 1);
    assert_ne!(old, new);
}

#[test]
fn what_is_wrong_is_refused() {
    let fixture = Fixture::new(10);
    let digest: Digest = fixture.manifest.parse().unwrap();
    let pinned = format!("{}/app@{digest}", fixture.registry.host());
    let by_digest = || fixture.open(&pinned).resolve(&Platform::host()).unwrap_err();
    let wrong = |error: Error| match error {
        Error::Verify { source: VerifyError::Digest { expected, actual }, .. } => (expected, actual),
        other => panic!("{other:?}"),
    };
    // Other bytes than the digest's, though the header says otherwise.
    fixture.registry.fault(&fixture.manifest, Fault::Body(b"{}".to_vec()));
    assert_eq!(wrong(by_digest()), (digest, Digest::of(b"{}")));
    // Other bytes than the header says.
    fixture.registry.fault("v1", Fault::Header("Docker-Content-Digest".into(), Digest::of(b"x").to_string()));
    assert_eq!(wrong(fixture.resolve().unwrap_err()), (Digest::of(b"x"), digest));
    let config: Digest = fixture.config().parse().unwrap();
    let same_size = vec![b' '; std::fs::read(fixture.layout.blob(&fixture.config())).unwrap().len()];
    fixture.registry.fault(&fixture.config(), Fault::Body(same_size.clone()));
    assert_eq!(wrong(fixture.resolve().unwrap_err()), (config, Digest::of(&same_size)));
    fixture.registry.fault(&fixture.config(), Fault::Body(b"{}".to_vec()));
    let error = fixture.resolve().unwrap_err();
    assert!(matches!(error, Error::Verify { source: VerifyError::Size { actual: 2, .. }, .. }), "{error:?}");
    // None of these may go better the next time.
    assert!(fixture.watcher.pauses.lock().unwrap().is_empty());
    // A header that is no digest, or of another kind, says nothing.
    for header in ["nonsense", "sha512:00"] {
        fixture.registry.fault("v1", Fault::Header("Docker-Content-Digest".into(), header.into()));
        fixture.resolve().unwrap();
    }
}

#[test]
fn what_is_huge_or_garbage_is_refused() {
    let fixture = Fixture::new(10);
    let malformed = |error: Error| match error {
        Error::Malformed { problem, .. } => problem,
        other => panic!("{other:?}"),
    };
    let unclaimed = |body: Fault| {
        let claim = Digest::of(b"").to_string();
        vec![body, Fault::Header("Docker-Content-Digest".into(), claim.replace("sha256", "none"))]
    };
    for size in [MAX_DOCUMENT_SIZE + 1, 64 << 20] {
        fixture.registry.faults("v1", unclaimed(Fault::Huge(size)));
        assert!(matches!(malformed(fixture.resolve().unwrap_err()), Malformed::TooLarge));
    }
    fixture.registry.faults("v1", [unclaimed(Fault::Huge(64 << 20)), vec![Fault::Chunked(1 << 16)]].concat());
    assert!(matches!(malformed(fixture.resolve().unwrap_err()), Malformed::TooLarge));
    for body in ["", "{", "<html>", "[]", "7", "\0\0"] {
        fixture.registry.faults("v1", unclaimed(Fault::Body(body.into())));
        assert!(matches!(malformed(fixture.resolve().unwrap_err()), Malformed::Json(_)), "{body}");
    }
}

#[test]
fn documents_that_are_not_images_are_refused_by_name() {
    let mut fixture = Fixture::new(10);
    let digest = Digest::of(b"{}").to_string();
    let config = json!({"mediaType": CONFIG, "digest": digest, "size": 2});
    let descriptor = |media_type: &str| json!({"mediaType": media_type, "digest": digest, "size": 2, "urls": ["https://x.example"]});
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    for (tag, document) in [
        ("schema1", json!({"schemaVersion": 1, "name": "app", "fsLayers": [], "history": []})),
        (
            "both",
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [], "manifests": []}),
        ),
        (
            "chart",
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor("application/vnd.cncf.helm.config.v1+json"), "layers": []}),
        ),
        (
            "foreign",
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [descriptor(foreign)]}),
        ),
    ] {
        fixture.layout.add_document(tag, MANIFEST, &document);
    }
    let fails = |tag: &str| {
        fixture.open(&fixture.registry.reference("app", tag)).resolve(&Platform::host()).unwrap_err()
    };
    let unsupported = |tag: &str| match fails(tag) {
        Error::Unsupported { reason, .. } => reason,
        other => panic!("{tag}: {other:?}"),
    };
    assert!(matches!(unsupported("schema1"), Unsupported::Schema1));
    assert!(matches!(unsupported("chart"), Unsupported::Artifact(_)));
    assert!(matches!(unsupported("foreign"), Unsupported::ForeignLayer { .. }));
    assert!(matches!(fails("both"), Error::Malformed { problem: Malformed::Ambiguous, .. }));
    // The server calls it another thing than it does itself.
    let index = "application/vnd.oci.image.index.v1+json; charset=utf-8";
    fixture.registry.fault("v1", Fault::Header("Content-Type".into(), index.into()));
    let error = fixture.resolve().unwrap_err();
    assert!(matches!(error, Error::Malformed { problem: Malformed::MediaType { .. }, .. }), "{error:?}");
    // Some servers know no types at all.
    fixture.registry.fault("v1", Fault::Header("Content-Type".into(), "text/plain".into()));
    fixture.resolve().unwrap();
}

#[test]
fn an_image_without_layers() {
    let mut fixture = Fixture::new(10);
    fixture.layout.add("empty", &Image::new());
    let source = fixture.open(&fixture.registry.reference("app", "empty"));
    let image = source.resolve(&Platform::host()).unwrap();
    assert!(image.layers.is_empty());
    assert!(matches!(source.open_layer(&image, 0).err().unwrap(), Error::NotFound(Missing::Layer(0))));
}

#[test]
fn what_is_not_there_is_said_so() {
    let fixture = Fixture::new(10);
    let error =
        fixture.open(&fixture.registry.reference("app", "gone")).resolve(&Platform::host()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let host = fixture.registry.host();
    let expected = format!(
        "cannot get {host}/app:gone from {host}: it has no such image: MANIFEST_UNKNOWN as it was told to say"
    );
    assert_eq!(line(&error), expected);
    std::fs::remove_file(fixture.layout.blob(&fixture.config())).unwrap();
    let error = fixture.resolve().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.to_string().starts_with(&format!("cannot get the config {} of {host}/app", fixture.config()))
    );
}

#[test]
fn documents_are_asked_for_again() {
    let fixture = Fixture::new(10).impatient();
    for (name, faults) in [
        ("v1", vec![Fault::Hangup]),
        ("v1", vec![Fault::Status(500)]),
        ("v1", vec![Fault::CutAfter(9)]),
        (&*fixture.config(), vec![Fault::CutAfter(9)]),
        (&*fixture.config(), vec![Fault::StallAfter(9)]),
        (&*fixture.config(), vec![Fault::Chunked(3), Fault::CutAfter(9)]),
    ] {
        fixture.registry.faults(name, faults);
        fixture.resolve().unwrap();
    }
    assert_eq!(fixture.watcher.pauses.lock().unwrap().len(), 6);
    fixture.registry.always("v1", vec![Fault::Status(501)]);
    let error = fixture.resolve().unwrap_err();
    assert!(
        matches!(&error, Error::Registry { problem, .. } if matches!(**problem, RegistryProblem::Status { status: 501, .. }))
    );
    assert_eq!(fixture.watcher.pauses.lock().unwrap().len(), 6);
}
