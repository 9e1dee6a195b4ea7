use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use offshoot_oci::{
    Error, ErrorKind, ImageConfig, ImageName, ImageSource, MAX_DOCUMENT_SIZE, Malformed, Missing, Platform,
    SourceImage, SourceOptions, media_type, open,
};
use offshoot_store::{Digest, VerifyError, VerifyingReader};
use offshoot_testkit::layout::{self, Image, Layer, Layout, Tar};
use offshoot_testkit::oracle;
use serde_json::json;
use tempfile::TempDir;

pub(crate) fn name(directory: &Path, tag: &str) -> ImageName {
    ImageName::OciLayout { directory: directory.to_owned(), tag: Some(tag.to_owned()), digest: None }
}

pub(crate) fn source(name: &ImageName) -> Result<Box<dyn ImageSource>, Error> {
    open(name, &SourceOptions::new(Path::new("/nonexistent")))
}

/// The image on this host's platform.
pub(crate) fn resolve(name: &ImageName) -> Result<SourceImage, Error> {
    source(name)?.resolve(&Platform::host())
}

/// Every layer's verified bytes.
pub(crate) fn layers(source: &dyn ImageSource, image: &SourceImage) -> Vec<Vec<u8>> {
    (0..image.layers.len())
        .map(|index| {
            let mut reader =
                VerifyingReader::new(source.open_layer(image, index).unwrap(), image.layers[index].expected);
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            reader.finish().unwrap().unwrap();
            bytes
        })
        .collect()
}

pub(crate) fn tar(contents: &[u8]) -> Vec<u8> {
    Tar::new().file("f", 0o644, contents).finish()
}

pub(crate) fn two_layers() -> Image {
    Image::new()
        .layer(Layer::gzip(&tar(b"lower")))
        .layer(Layer::zstd(&tar(b"upper")))
        .config(json!({"Cmd": ["/bin/sh"]}))
}

/// A layout with one image, tagged `x`.
fn one(image: &Image) -> (TempDir, Layout) {
    let directory = tempfile::tempdir().unwrap();
    let mut layout = Layout::create(directory.path());
    layout.add("x", image);
    (directory, layout)
}

#[test]
fn an_image_of_a_layout() {
    let image = two_layers();
    let directory = tempfile::tempdir().unwrap();
    let mut layout = Layout::create(directory.path());
    let digest = layout.add("x", &image);
    let names = [
        name(directory.path(), "x"),
        format!("oci:{}", directory.path().display()).parse().unwrap(),
        format!("oci:{}@{digest}", directory.path().display()).parse().unwrap(),
    ];
    for name in names {
        let source = source(&name).unwrap();
        let found = source.resolve(&Platform::host()).unwrap();
        let (manifest, config) = (found.manifest.clone().unwrap(), found.config.clone().unwrap());
        assert_eq!(manifest.digest.to_string(), digest);
        assert_eq!(manifest.bytes, fs::read(layout.blob(&digest)).unwrap());
        assert_eq!(
            (manifest.media_type.as_str(), config.media_type.as_str()),
            (layout::MANIFEST, layout::CONFIG)
        );
        let parsed = ImageConfig::parse(&config.bytes).unwrap();
        assert_eq!(parsed.cmd, ["/bin/sh"]);
        assert_eq!(
            found.layers.iter().map(|layer| layer.diff_id.unwrap()).collect::<Vec<_>>(),
            parsed.diff_ids
        );
        let types: Vec<_> = found.layers.iter().map(|layer| layer.media_type.as_deref().unwrap()).collect();
        assert_eq!(types, [media_type::OCI_LAYER_GZIP, media_type::OCI_LAYER_ZSTD]);
        let bytes = layers(source.as_ref(), &found);
        assert_eq!(bytes[0], Layer::gzip(&tar(b"lower")).blob.unwrap());
        assert_eq!(Digest::of(&bytes[1]), found.layers[1].expected.digest.unwrap());
        let beyond = source.open_layer(&found, 2).err().unwrap();
        assert!(matches!(beyond, Error::NotFound(Missing::Layer(2))));
    }
}

#[test]
fn an_image_of_no_layers() {
    let (directory, _layout) = one(&Image::new());
    assert!(resolve(&name(directory.path(), "x")).unwrap().layers.is_empty());
}

#[test]
fn what_is_not_a_layout() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let missing = |file| move |error: &Error| matches!(error, Error::NotFound(Missing::Layout { file: own, .. }) if *own == file);
    let check = |path: &Path, fits: &dyn Fn(&Error) -> bool| {
        let error = source(&name(path, "x")).err().unwrap();
        assert!(fits(&error), "{error:?}");
    };
    check(&path.join("gone"), &|error| matches!(error, Error::NotFound(Missing::Path(_))));
    check(path, &missing("oci-layout"));
    fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    check(path, &missing("index.json"));
    check(&path.join("oci-layout"), &|error| matches!(error, Error::WrongKind { .. }));
    let malformed = |problem: fn(&Malformed) -> bool| move |error: &Error| matches!(error, Error::Malformed { problem: own, .. } if problem(own));
    for (index, problem) in [
        ("", (|own| matches!(own, Malformed::Json(_))) as fn(&Malformed) -> bool),
        ("{}", |own| matches!(own, Malformed::SchemaVersion(None))),
        (r#"{"schemaVersion":2}"#, |own| matches!(own, Malformed::Field("manifests"))),
        (r#"{"schemaVersion":2,"config":null,"layers":[]}"#, |own| matches!(own, Malformed::Field("config"))),
    ] {
        fs::write(path.join("index.json"), index).unwrap();
        check(path, &malformed(problem));
    }
    fs::write(path.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    let empty = resolve(&format!("oci:{}", path.display()).parse().unwrap()).unwrap_err();
    assert!(matches!(empty, Error::NotFound(Missing::Image(_))));
    fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    check(path, &malformed(|own| matches!(own, Malformed::LayoutVersion(version) if version == "2.0.0")));
    fs::write(path.join("oci-layout"), "{}").unwrap();
    check(path, &malformed(|own| matches!(own, Malformed::Json(_))));
    // As large as a disk can hold, and never read whole.
    fs::File::create(path.join("oci-layout")).unwrap().set_len(1 << 40).unwrap();
    check(path, &malformed(|own| matches!(own, Malformed::TooLarge)));
}

#[test]
fn nothing_is_reached_through_links_or_pipes() {
    let (directory, layout) = one(&two_layers());
    let name = name(directory.path(), "x");
    let image = resolve(&name).unwrap();
    let digest = image.manifest.as_ref().unwrap().digest.to_string();
    let (blob, aside) = (layout.blob(&digest), directory.path().join("aside"));
    fs::rename(&blob, &aside).unwrap();
    let refused = |what: &str| {
        let error = resolve(&name).unwrap_err();
        assert!(matches!(error, Error::WrongKind { .. }), "{what}: {error:?}");
        assert_eq!(error.kind(), ErrorKind::Usage);
    };
    symlink(&aside, &blob).unwrap();
    refused("a link");
    fs::remove_file(&blob).unwrap();
    fs::create_dir(&blob).unwrap();
    refused("a directory");
    fs::remove_dir(&blob).unwrap();
    assert!(Command::new("mkfifo").arg(&blob).status().unwrap().success());
    refused("a pipe");
    fs::remove_file(&blob).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&blob));
    refused("a socket");
    fs::remove_file(&blob).unwrap();
    fs::rename(&aside, &blob).unwrap();
    assert_eq!(resolve(&name).unwrap(), image);
    let blobs = directory.path().join("blobs");
    fs::rename(&blobs, &aside).unwrap();
    symlink(&aside, &blobs).unwrap();
    refused("a link to all blobs");
}

#[test]
fn blobs_that_are_not_what_was_promised() {
    let image = two_layers();
    let (directory, layout) = one(&image);
    let name = name(directory.path(), "x");
    let good = resolve(&name).unwrap();
    let (manifest, config) = (good.manifest.unwrap(), good.config.unwrap());
    for (document, what) in [(manifest, "the manifest"), (config, "the config")] {
        let blob = layout.blob(&document.digest.to_string());
        let named = format!("{what} {}", document.digest);
        let mut other = document.bytes.clone();
        let last = other.len() - 1;
        other[last] = b' ';
        let longer = [&document.bytes[..], b"\n"].concat();
        for bytes in [&other, &longer, &document.bytes[..last].to_vec(), &Vec::new()] {
            fs::write(&blob, bytes).unwrap();
            let error = resolve(&name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity);
            let Error::Verify { what, source } = error else { panic!("{error:?}") };
            assert_eq!(what, named);
            assert_eq!(matches!(source, VerifyError::Digest { .. }), bytes.len() == document.bytes.len());
        }
        fs::remove_file(&blob).unwrap();
        let error = resolve(&name).unwrap_err();
        assert!(matches!(error, Error::NotFound(Missing::Blob { digest, .. }) if digest == document.digest));
        fs::write(&blob, &document.bytes).unwrap();
    }
    assert!(resolve(&name).is_ok());
}

#[test]
fn layers_that_are_missing_short_or_lie() {
    let layer = Layer::gzip(&tar(b"layer"));
    let length = layer.blob.as_ref().unwrap().len() as u64;
    for (layer, expected) in [
        (layer.clone().missing(), "has no blob"),
        (layer.clone().truncated(9), "is not what its descriptor promised"),
    ] {
        let (directory, _layout) = one(&Image::new().layer(layer));
        let source = source(&name(directory.path(), "x")).unwrap();
        let image = source.resolve(&Platform::host()).unwrap();
        let error = source.open_layer(&image, 0).err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }
    // Of the right size, only its reader can tell.
    let (directory, _layout) = one(&Image::new().layer(layer.with_wrong_digest()));
    let source = source(&name(directory.path(), "x")).unwrap();
    let image = source.resolve(&Platform::host()).unwrap();
    let reader = VerifyingReader::new(source.open_layer(&image, 0).unwrap(), image.layers[0].expected);
    assert!(matches!(reader.finish().unwrap(), Err(VerifyError::Digest { .. })));
    assert_eq!(image.layers[0].expected.size, Some(length));
}

#[test]
fn manifest_and_config_must_fit() {
    let directory = tempfile::tempdir().unwrap();
    let mut layout = Layout::create(directory.path());
    let config =
        json!({"rootfs": {"type": "layers", "diff_ids": [Digest::of(b"a"), Digest::of(b"b")]}}).to_string();
    let digest = Digest::of(config.as_bytes());
    fs::write(layout.blob(&digest.to_string()), &config).unwrap();
    let layer = json!({"mediaType": media_type::OCI_LAYER, "digest": digest, "size": 1});
    let manifest = |layers: usize, size: u64| {
        json!({
            "schemaVersion": 2,
            "mediaType": layout::MANIFEST,
            "config": {"mediaType": layout::CONFIG, "digest": digest, "size": size},
            "layers": vec![layer.clone(); layers],
        })
    };
    let size = config.len() as u64;
    for (tag, layers) in [("none", 0), ("one", 1), ("two", 2), ("three", 3)] {
        layout.add_document(tag, layout::MANIFEST, &manifest(layers, size));
        let resolved = resolve(&name(directory.path(), tag));
        match resolved {
            Ok(image) => assert_eq!((layers, image.layers.len()), (2, 2)),
            Err(Error::Malformed { problem: Malformed::LayerCount { layers: own, diff_ids: 2 }, .. }) => {
                assert_eq!(own, layers);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    layout.add_document("huge", layout::MANIFEST, &manifest(2, MAX_DOCUMENT_SIZE + 1));
    let huge = resolve(&name(directory.path(), "huge")).unwrap_err();
    assert!(matches!(huge, Error::Malformed { problem: Malformed::TooLarge, .. }));
    // The index calls it Docker's, and it is OCI's.
    layout.add_document("other", media_type::DOCKER_MANIFEST, &manifest(2, size));
    let other = resolve(&name(directory.path(), "other")).unwrap_err();
    assert!(matches!(other, Error::Malformed { problem: Malformed::MediaType { .. }, .. }));
}

#[test]
fn docker_manifests_as_skopeo_writes_them() {
    if !oracle::available(&["skopeo"]) {
        return;
    }
    let (directory, _layout) =
        one(&Image::new().layer(Layer::gzip(&tar(b"layer"))).config(json!({"Env": ["A=b"]})));
    let plain = directory.path().join("plain");
    oracle::run(
        oracle::command("skopeo")
            .args(["--insecure-policy", "copy", "-q", "--format", "v2s2"])
            .arg(format!("oci:{}:x", directory.path().display()))
            .arg(format!("dir:{}", plain.display())),
    );
    let mut docker = Layout::create(&directory.path().join("docker"));
    for file in fs::read_dir(&plain).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        fs::write(docker.blob(&Digest::of(&bytes).to_string()), &bytes).unwrap();
    }
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(plain.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["mediaType"], media_type::DOCKER_MANIFEST);
    docker.add_document("x", media_type::DOCKER_MANIFEST, &manifest);
    let name = name(&directory.path().join("docker"), "x");
    let source = source(&name).unwrap();
    let image = source.resolve(&Platform::host()).unwrap();
    assert_eq!(image.manifest.as_ref().unwrap().media_type, media_type::DOCKER_MANIFEST);
    assert_eq!(image.config.as_ref().unwrap().media_type, media_type::DOCKER_CONFIG);
    assert_eq!(
        ImageConfig::parse(&image.config.as_ref().unwrap().bytes).unwrap().env,
        [("A".into(), "b".into())]
    );
    assert_eq!(layers(source.as_ref(), &image)[0], Layer::gzip(&tar(b"layer")).blob.unwrap());
}

#[test]
fn layouts_that_umoci_makes() {
    if !oracle::available(&["umoci"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("layout");
    let umoci = |arguments: &[&str]| oracle::run(oracle::command("umoci").args(arguments));
    umoci(&["init", "--layout", path.to_str().unwrap()]);
    let empty = resolve(&format!("oci:{}", path.display()).parse().unwrap()).unwrap_err();
    assert!(matches!(empty, Error::NotFound(Missing::Image(_))));
    let image = format!("{}:v1", path.display());
    umoci(&["new", "--image", &image]);
    umoci(&["config", "--image", &image, "--config.cmd", "/bin/sh", "--config.exposedports", "80/tcp"]);
    let found = resolve(&name(&path, "v1")).unwrap();
    assert!(found.layers.is_empty());
    let config = ImageConfig::parse(&found.config.unwrap().bytes).unwrap();
    assert_eq!((config.cmd, config.exposed_ports.len()), (vec!["/bin/sh".to_owned()], 1));
}
