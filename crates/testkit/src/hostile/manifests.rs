use serde_json::{Value, json};

use super::Image;
use super::case::{Case, case};
use super::documents::{Document, RIGHT, changed, instead, with, without};
use super::outcome::{INTEGRITY, NOT_FOUND, Outcome, UNSUPPORTED, made, refused};
use crate::layout::{self, INDEX, Layout, MANIFEST, digest};

const UNPARSED: &str = "it cannot be parsed";

pub(super) fn cases() -> Vec<Case> {
    let shape = |name: &str, bytes: &[u8]| {
        changed(name, Document::Manifest, instead(bytes), refused(INTEGRITY, UNPARSED))
    };
    let field =
        |name: &str, path, value, outcome| changed(name, Document::Manifest, with(path, value), outcome);
    let descriptor = json!({"mediaType": MANIFEST, "digest": digest(b"x"), "size": 1});
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    vec![
        shape("no bytes at all", b""),
        shape("bytes that are no text", b"\xff\xfe\x00"),
        shape("an empty list", b"[]"),
        shape("null", b"null"),
        shape("a number", b"7"),
        shape("a string", br#""manifest""#),
        shape("half an object", br#"{"schemaVersion": 2, "layers": ["#),
        shape("an object, and more behind it", br#"{"schemaVersion": 2}{}"#),
        shape("a mark of byte order", b"\xef\xbb\xbf{}"),
        shape("a hundred thousand brackets", "[".repeat(100_000).as_bytes()),
        shape("one key twice", br#"{"schemaVersion": 2, "schemaVersion": 2, "manifests": []}"#),
        shape("the file of another", b"<html>404</html>"),
        changed(
            "more than 4 MiB",
            Document::Manifest,
            with("/annotations", json!({"a": "x".repeat(4 << 20)})),
            refused(INTEGRITY, "it is larger than 4194304 bytes"),
        ),
        changed(
            "an empty object",
            Document::Manifest,
            instead(b"{}"),
            refused(INTEGRITY, "its schemaVersion is missing"),
        ),
        changed(
            "no schemaVersion",
            Document::Manifest,
            without("schemaVersion"),
            refused(INTEGRITY, "its schemaVersion is missing, not 2"),
        ),
        field(
            "schemaVersion 3",
            "/schemaVersion",
            3.into(),
            refused(INTEGRITY, "its schemaVersion is 3, not 2"),
        ),
        field(
            "schemaVersion 1, obsolete",
            "/schemaVersion",
            1.into(),
            refused(UNSUPPORTED, "it is a Docker schema 1 manifest"),
        ),
        field("schemaVersion as a word", "/schemaVersion", "2".into(), refused(INTEGRITY, UNPARSED)),
        changed(
            "no config",
            Document::Manifest,
            without("config"),
            refused(INTEGRITY, "it has no \"config\""),
        ),
        field("a config that is null", "/config", Value::Null, refused(INTEGRITY, "it has no \"config\"")),
        field("a config that is a list", "/config", json!([]), refused(INTEGRITY, UNPARSED)),
        field("layers that are an object", "/layers", json!({}), refused(INTEGRITY, UNPARSED)),
        field("layers that are words", "/layers", json!(["a"]), refused(INTEGRITY, UNPARSED)),
        field(
            "layers that are null",
            "/layers",
            Value::Null,
            refused(INTEGRITY, "has 0 layers, and its config has 1"),
        ),
        field(
            "no layer for a diff_id",
            "/layers",
            json!([]),
            refused(INTEGRITY, "has 0 layers, and its config has 1"),
        ),
        changed(
            "a layer more than there are diff_ids",
            Document::Manifest,
            |mut manifest| {
                let layer = manifest["layers"][0].clone();
                manifest["layers"] = json!([layer, layer]);
                super::documents::bytes(&manifest)
            },
            refused(INTEGRITY, "has 2 layers, and its config has 1"),
        ),
        changed(
            "1,025 layers",
            Document::Manifest,
            |mut manifest| {
                let layer = manifest["layers"][0].clone();
                manifest["layers"] = vec![layer; 1025].into();
                super::documents::bytes(&manifest)
            },
            refused(INTEGRITY, "it lists 1025 layers, more than 1024"),
        ),
        field(
            "manifest and index at once",
            "/manifests",
            json!([descriptor]),
            refused(INTEGRITY, "both the fields"),
        ),
        field(
            "a manifest that says it is an index",
            "/mediaType",
            INDEX.into(),
            // A registry says so too, so it is read as one; a layout's descriptor says otherwise.
            refused(INTEGRITY, "is malformed: it "),
        ),
        field(
            "a manifest that says it is nothing known",
            "/mediaType",
            "text/html".into(),
            refused(INTEGRITY, "it says that it is text/html"),
        )
        // Its answer says the same as the document.
        .not_from(&[super::Source::Registry]),
        changed("no media type", Document::Manifest, without("mediaType"), made(RIGHT)),
        field(
            "an artifact",
            "/config/mediaType",
            "application/vnd.cncf.helm.config.v1+json".into(),
            refused(UNSUPPORTED, "it is an artifact of the type application/vnd.cncf.helm.config.v1+json"),
        ),
        field(
            "a layer of an unknown type",
            "/layers/0/mediaType",
            "application/vnd.example.layer+lz5".into(),
            refused(UNSUPPORTED, "a layer's media type is \"application/vnd.example.layer+lz5\""),
        ),
        field(
            "a layer that is encrypted",
            "/layers/0/mediaType",
            "application/vnd.oci.image.layer.v1.tar+gzip+encrypted".into(),
            refused(UNSUPPORTED, "a layer's media type is"),
        ),
        changed(
            "a layer that is to be fetched elsewhere",
            Document::Manifest,
            move |mut manifest| {
                manifest["layers"][0]["mediaType"] = foreign.into();
                manifest["layers"][0]["urls"] = json!(["http://registry.example.com/latest/meta-data"]);
                super::documents::bytes(&manifest)
            },
            refused(UNSUPPORTED, "is not distributed with the image"),
        ),
        field(
            "a layer with URLs to the host's files",
            "/layers/0/urls",
            json!(["file:///etc/passwd", "http://127.0.0.1:1/x"]),
            made(RIGHT),
        ),
        field(
            "a layer whose contents are said to be in its descriptor",
            "/layers/0/data",
            "aHR0cDovL2V4YW1wbGUuY29t".into(),
            made(RIGHT),
        ),
        field("a subject that is not there", "/subject", descriptor.clone(), made(RIGHT)),
        field("annotations of a megabyte", "/annotations", json!({"a": "x".repeat(1 << 20)}), made(RIGHT)),
        changed(
            "names in an index that climb",
            Document::Index,
            |mut index| {
                let mut other = index["manifests"][0].clone();
                other["annotations"] = json!({"org.opencontainers.image.ref.name": "../../../etc/passwd"});
                index["manifests"].as_array_mut().into_iter().for_each(|list| list.push(other.clone()));
                super::documents::bytes(&index)
            },
            made(RIGHT),
        ),
        changed(
            "an index.json that is a list",
            Document::Index,
            instead(b"[]"),
            refused(INTEGRITY, UNPARSED),
        ),
        changed(
            "an index.json of 5 MiB",
            Document::Index,
            with("/annotations", json!({"a": "x".repeat(5 << 20)})),
            refused(INTEGRITY, "it is larger than 4194304 bytes"),
        ),
        changed(
            "an index.json of 10,001 images",
            Document::Index,
            |mut index| {
                let entry = index["manifests"][0].clone();
                index["manifests"] = vec![entry; 10_001].into();
                super::documents::bytes(&index)
            },
            refused(INTEGRITY, "it lists 10001 manifests, more than 10000"),
        ),
        changed(
            "an index.json without images",
            Document::Index,
            with("/manifests", json!([])),
            refused(NOT_FOUND, "has no image"),
        ),
        changed(
            "a manifest that is not what its descriptor promised",
            Document::Index,
            with("/manifests/0/size", 9.into()),
            refused(INTEGRITY, "is not what its descriptor promised"),
        ),
        nested("indexes four deep", 4, made([""; 0])),
        nested("indexes five deep", 5, refused(INTEGRITY, "its indexes are nested more than 4 deep")),
        platform(
            "for another system only",
            json!({"os": "plan9", "architecture": "mips"}),
            refused(NOT_FOUND, "plan9/mips"),
        ),
        platform(
            "for a platform that is none",
            json!({"os": "li nux", "architecture": "../.."}),
            made([""; 0]),
        ),
        platform(
            "for a platform that is a number",
            json!({"os": 1, "architecture": 2}),
            refused(INTEGRITY, UNPARSED),
        ),
    ]
}

/// An empty image behind so many indexes besides that of the layout.
fn nested(name: &str, depth: usize, outcome: Outcome) -> Case {
    let image = Image::Layout(Box::new(move |place| {
        let mut layout = Layout::create(place);
        let mut digest = layout.add("lowest", &layout::Image::new());
        let mut kind = MANIFEST;
        for level in 0..depth {
            let size = std::fs::metadata(layout.blob(&digest)).map_or(0, |metadata| metadata.len());
            let entry = json!({"mediaType": kind, "digest": digest, "size": size});
            let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
            let tag = if level + 1 == depth { "x".to_owned() } else { format!("level-{level}") };
            digest = layout.add_document(&tag, INDEX, &index);
            kind = INDEX;
        }
    }));
    case(name, image, outcome)
}

/// An index of one image that is said to be for that platform.
fn platform(name: &str, platform: Value, outcome: Outcome) -> Case {
    let image = Image::Layout(Box::new(move |place| {
        let mut layout = Layout::create(place);
        let digest = layout.add("image", &layout::Image::new());
        let size = std::fs::metadata(layout.blob(&digest)).map_or(0, |metadata| metadata.len());
        let entry = json!({"mediaType": MANIFEST, "digest": digest, "size": size, "platform": platform});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
        layout.add_document("x", INDEX, &index);
    }));
    case(name, image, outcome)
}
