use std::fs;
use std::path::Path;

use offshoot_oci::{
    Error, ErrorKind, ImageConfig, ImageName, Malformed, Missing, Platform, SourceImage, Unsupported,
};
use offshoot_store::Digest;
use offshoot_testkit::layout::{self, Image, Layout};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::layouts::{name, source};

struct Case {
    directory: TempDir,
    layout: Layout,
}

impl Case {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path());
        Self { directory, layout }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes `index.json` with these entries.
    fn index(&self, entries: &[Value]) {
        let index = json!({"schemaVersion": 2, "manifests": entries});
        fs::write(self.path().join("index.json"), index.to_string()).unwrap();
    }

    /// An image for a platform; its descriptor, without a name.
    fn image(&mut self, platform: &str) -> Value {
        let (os, architecture) = platform.split_once('/').unwrap();
        let digest = self.layout.add(platform, &Image::new().platform(os, architecture));
        self.descriptor(layout::MANIFEST, &digest)
    }

    fn index_blob(&mut self, entries: &[Value]) -> Value {
        let index = json!({"schemaVersion": 2, "mediaType": layout::INDEX, "manifests": entries});
        let digest = self.layout.add_document("index", layout::INDEX, &index);
        self.descriptor(layout::INDEX, &digest)
    }

    fn descriptor(&self, media_type: &str, digest: &str) -> Value {
        let size = fs::metadata(self.layout.blob(digest)).unwrap().len();
        json!({"mediaType": media_type, "digest": digest, "size": size})
    }

    fn resolve(&self, rest: &str, platform: &str) -> Result<SourceImage, Error> {
        let name: ImageName = format!("oci:{}{rest}", self.path().display()).parse().unwrap();
        source(&name)?.resolve(&platform.parse().unwrap())
    }

    /// The platform that the found image's config names.
    fn platform(&self, rest: &str, platform: &str) -> String {
        let image = self.resolve(rest, platform).unwrap();
        let config = ImageConfig::parse(&image.config.unwrap().bytes).unwrap();
        config.platform.map(|platform| platform.to_string()).unwrap_or_default()
    }
}

fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    descriptor
}

fn described(mut descriptor: Value, os: &str, architecture: &str, variant: Option<&str>) -> Value {
    descriptor["platform"] = json!({"os": os, "architecture": architecture, "variant": variant});
    descriptor
}

fn available(error: Error) -> Vec<String> {
    assert_eq!(error.kind(), ErrorKind::NotFound);
    match error {
        Error::NoPlatform { available, .. } => available.iter().map(ToString::to_string).collect(),
        error => panic!("{error:?}"),
    }
}

#[test]
fn an_index_for_several_platforms() {
    let mut case = Case::new();
    let images = ["linux/amd64", "linux/arm64"].map(|platform| {
        let (os, architecture) = platform.split_once('/').unwrap();
        Image::new().platform(os, architecture)
    });
    let digest = case.layout.add_index("x", &images);
    for rest in ["", ":x", &format!("@{digest}"), &format!(":whatever@{digest}")] {
        assert_eq!(case.platform(rest, "linux/amd64"), "linux/amd64");
        assert_eq!(case.platform(rest, "linux/arm64/v8"), "linux/arm64");
        let error = case.resolve(rest, "linux/s390x").unwrap_err();
        assert_eq!(error.to_string(), "there is no image for linux/s390x, only for linux/amd64, linux/arm64");
        assert_eq!(available(error), ["linux/amd64", "linux/arm64"]);
    }
}

#[test]
fn a_single_image_for_another_platform() {
    let mut case = Case::new();
    case.image("linux/arm64");
    for rest in ["", ":linux/arm64"] {
        let error = case.resolve(rest, "linux/amd64").unwrap_err();
        assert_eq!(error.to_string(), "the image is linux/arm64, not linux/amd64");
        assert_eq!(available(error), ["linux/arm64"]);
    }
    // What an index says of an image counts, whatever its config says: tools that build for other platforms
    // get configs wrong.
    let image = case.image("linux/arm64");
    case.index(&[described(image, "linux", "amd64", None)]);
    assert_eq!(case.platform("", "linux/amd64"), "linux/arm64");
    assert_eq!(available(case.resolve("", "linux/arm64").unwrap_err()), ["linux/amd64"]);
}

#[test]
fn an_image_that_does_not_say_what_it_is_for() {
    let mut case = Case::new();
    let config = case.layout.add_document("config", layout::CONFIG, &json!({}));
    let manifest = json!({"schemaVersion": 2, "mediaType": layout::MANIFEST,
        "config": case.descriptor(layout::CONFIG, &config), "layers": []});
    let digest = case.layout.add_document("x", layout::MANIFEST, &manifest);
    assert_eq!(case.platform(":x", "linux/s390x"), "");
    // One that does is preferred to it.
    let (silent, speaks) = (case.descriptor(layout::MANIFEST, &digest), case.image("linux/amd64"));
    let index = case.index_blob(&[silent, speaks]);
    case.index(&[index]);
    assert_eq!(case.platform("", "linux/amd64"), "linux/amd64");
    assert_eq!(case.platform("", "linux/s390x"), "");
}

#[test]
fn the_nearest_variant() {
    let mut case = Case::new();
    let images: Vec<Value> = [("linux/arm", "v6"), ("linux/arm", "v7"), ("linux/arm", "v5")]
        .iter()
        .enumerate()
        .map(|(number, (platform, variant))| {
            // Distinct images, told by a label.
            let (os, architecture) = platform.split_once('/').unwrap();
            let image = Image::new().platform(os, architecture).config(json!({"User": number.to_string()}));
            let digest = case.layout.add("v", &image);
            described(case.descriptor(layout::MANIFEST, &digest), os, architecture, Some(variant))
        })
        .collect();
    let index = case.index_blob(&images);
    case.index(&[index]);
    let user = |platform| {
        let config = case.resolve("", platform).unwrap().config.unwrap();
        ImageConfig::parse(&config.bytes).unwrap().user
    };
    assert_eq!(["linux/arm/v7", "linux/arm", "linux/arm/v6", "linux/arm/v5"].map(user), ["1", "1", "0", "2"]);
    assert_eq!(user("linux/arm/v8"), "1");
    assert_eq!(available(case.resolve("", "linux/arm64").unwrap_err()).len(), 3);
}

#[test]
fn attestations_and_artifacts_are_passed_over() {
    let mut case = Case::new();
    let image = described(case.image("linux/amd64"), "linux", "amd64", None);
    let attestation = described(case.image("linux/s390x"), "unknown", "unknown", None);
    let index = case.index_blob(&[attestation.clone(), image]);
    case.index(&[index]);
    assert_eq!(case.platform("", "linux/amd64"), "linux/amd64");
    assert_eq!(available(case.resolve("", "linux/s390x").unwrap_err()), ["linux/amd64"]);
    // A signature that its index does not tell from an image, beside an image it does not describe.
    let signature = json!({"schemaVersion": 2, "mediaType": layout::MANIFEST, "layers": [],
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2}});
    let digest = case.layout.add_document("s", layout::MANIFEST, &signature);
    let (signature, image) = (case.descriptor(layout::MANIFEST, &digest), case.image("linux/amd64"));
    let index = case.index_blob(&[signature.clone(), image]);
    case.index(&[index]);
    assert_eq!(case.platform("", "linux/amd64"), "linux/amd64");
    // Alone, it is what was asked for.
    case.index(&[signature]);
    let error = case.resolve("", "linux/amd64").unwrap_err();
    assert!(matches!(error, Error::Unsupported { reason: Unsupported::Artifact(_), .. }), "{error:?}");
    case.index(&[attestation]);
    assert!(matches!(case.resolve("", "linux/amd64"), Err(Error::NotFound(Missing::Image(_)))));
}

#[test]
fn indexes_in_indexes() {
    let mut case = Case::new();
    let mut inner = case.image("linux/arm64");
    // The fourth index below the layout's own is the last that is read.
    for depth in 1..=6 {
        inner = case.index_blob(&[inner]);
        case.index(&[inner.clone()]);
        let resolved = case.resolve("", "linux/arm64");
        if depth <= 4 {
            assert!(resolved.is_ok(), "{depth}: {resolved:?}");
        } else {
            let error = resolved.unwrap_err();
            assert!(matches!(error, Error::Malformed { problem: Malformed::Nested(_), .. }), "{error:?}");
        }
    }
}

#[test]
fn indexes_that_multiply_cost_no_more_than_their_blobs() {
    let mut case = Case::new();
    let mut inner = case.image("linux/arm64");
    for _ in 0..4 {
        inner = case.index_blob(&vec![inner; 90]);
    }
    case.index(&vec![inner; 90]);
    // 90^5 ways to one image.
    assert_eq!(case.platform("", "linux/arm64"), "linux/arm64");
    assert!(matches!(case.resolve("", "linux/amd64"), Err(Error::NoPlatform { .. })));
}

#[test]
fn names_that_fit_several_images() {
    let mut case = Case::new();
    let (one, other) = (case.image("linux/amd64"), case.image("linux/arm64"));
    case.index(&[named(one.clone(), "a"), named(other.clone(), "b")]);
    let error = case.resolve("", "linux/amd64").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let Error::Ambiguous { available, .. } = error else { panic!("{error:?}") };
    assert_eq!(available, ["a", "b"]);
    assert_eq!(case.platform(":b", "linux/arm64"), "linux/arm64");
    let Err(Error::NotFound(Missing::Tag { available, .. })) = case.resolve(":c", "linux/amd64") else {
        panic!()
    };
    assert_eq!(available, ["a", "b"]);
    // One name for several platforms is one image.
    case.index(&[named(one.clone(), "a"), named(other.clone(), "a")]);
    for rest in ["", ":a"] {
        assert_eq!(case.platform(rest, "linux/amd64"), "linux/amd64");
        assert_eq!(case.platform(rest, "linux/arm64"), "linux/arm64");
    }
    // One name for two images of one platform leaves open which is meant; for one image twice, it does not.
    let image = Image::new().platform("linux", "amd64").config(json!({"User": "other"}));
    let digest = case.layout.add("x", &image);
    let rival = case.descriptor(layout::MANIFEST, &digest);
    case.index(&[named(one.clone(), "a"), named(rival, "a")]);
    for rest in ["", ":a"] {
        let Err(Error::Ambiguous { available, .. }) = case.resolve(rest, "linux/amd64") else { panic!() };
        let mut expected = [one["digest"].as_str().unwrap(), &digest].map(|digest| format!("@{digest}"));
        expected.sort();
        assert_eq!(available, expected);
    }
    case.index(&[named(one.clone(), "a"), named(one, "a")]);
    assert_eq!(case.platform(":a", "linux/amd64"), "linux/amd64");
}

#[test]
fn digests_name_blobs_and_nothing_else() {
    let case = Case::new();
    let digest = Digest::of(b"gone");
    let name = format!("oci:{}@{digest}", case.path().display()).parse().unwrap();
    let error = source(&name).unwrap().resolve(&Platform::host()).unwrap_err();
    assert!(matches!(error, Error::NotFound(Missing::Blob { digest: own, .. }) if own == digest));
    let tag = name_with_slashes(&case);
    assert!(matches!(tag, Error::NotFound(Missing::Tag { .. })));
}

/// A tag is compared, never opened.
fn name_with_slashes(case: &Case) -> Error {
    source(&name(case.path(), "../../etc/passwd")).unwrap().resolve(&Platform::host()).unwrap_err()
}
