use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::Image;
use super::case::{Case, case, tar};
use super::delivery;
use super::outcome::Outcome;
use crate::layout::{self, CONFIG, Layer, MANIFEST, digest};

/// Which document of a layout is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Document {
    Config,
    Manifest,
    /// `index.json`
    Index,
}

/// The disk of the image that is otherwise right.
pub(super) const RIGHT: [&str; 1] = [r#"f f "x""#];

/// A layout of one small image, of which one document is changed; what is above it has the digest of the changed one.
pub(super) fn changed(
    name: &str,
    document: Document,
    change: impl Fn(Value) -> Vec<u8> + 'static,
    outcome: Outcome,
) -> Case {
    let image = Image::Layout(Box::new(move |place| write(place, document, &change)));
    let case = case(name, image, outcome);
    // A registry has no index.json.
    if document == Document::Index { case.not_from(&[super::Source::Registry]) } else { case }
}

/// Another value instead of one field's.
pub(super) fn with(path: &'static str, value: Value) -> impl Fn(Value) -> Vec<u8> {
    move |mut document| {
        match document.pointer_mut(path) {
            Some(field) => *field = value.clone(),
            None => insert(&mut document, path, value.clone()),
        }
        bytes(&document)
    }
}

/// Without one field.
pub(super) fn without(field: &'static str) -> impl Fn(Value) -> Vec<u8> {
    move |mut document| {
        if let Some(fields) = document.as_object_mut() {
            fields.remove(field);
        }
        bytes(&document)
    }
}

/// Something else altogether.
pub(super) fn instead(bytes: &[u8]) -> impl Fn(Value) -> Vec<u8> + use<> {
    let bytes = bytes.to_owned();
    move |_| bytes.clone()
}

pub(super) fn bytes(document: &Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

fn insert(document: &mut Value, path: &str, value: Value) {
    let Some((parent, name)) = path.rsplit_once('/') else { return };
    if let Some(fields) = document.pointer_mut(parent).and_then(Value::as_object_mut) {
        fields.insert(name.to_owned(), value);
    }
}

fn write(place: &Path, document: Document, change: &dyn Fn(Value) -> Vec<u8>) {
    let layer = Layer::gzip(&tar(|tar| tar.file("f", 0o644, b"x")));
    let apply = |this: Document, value: Value| if this == document { change(value) } else { bytes(&value) };
    let blob = |media_type: &str, bytes: &[u8]| {
        let digest = digest(bytes);
        put(&place.join("blobs").join(digest.replace(':', "/")), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    };
    put(&place.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#);
    blob("", layer.blob.as_deref().unwrap_or_default());
    let config = json!({
        "os": "linux",
        "architecture": layout::architecture(),
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
    });
    let config = blob(CONFIG, &apply(Document::Config, config));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [{"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}],
    });
    let mut manifest = blob(MANIFEST, &apply(Document::Manifest, manifest));
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "x"});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    put(&place.join("index.json"), &apply(Document::Index, index));
}

fn put(path: &Path, bytes: &[u8]) {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, bytes))
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

/// A Docker archive of one small image, of which the list or the configuration is another.
pub(super) fn docker_archive(list: &Value, config: Option<&[u8]>, members: &[(&str, &[u8])]) -> Vec<u8> {
    let layer = tar(|tar| tar.file("f", 0o644, b"x"));
    let right = delivery::config(&json!({"type": "layers", "diff_ids": [digest(&layer)]}));
    tar(|tar| {
        for (name, bytes) in members {
            tar.file(name, 0o644, bytes);
        }
        tar.file("c.json", 0o644, config.unwrap_or(&right)).file("l/layer.tar", 0o644, &layer).file(
            "manifest.json",
            0o644,
            list.to_string().as_bytes(),
        )
    })
}
