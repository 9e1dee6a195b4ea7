use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::layer::digest;
use super::{CONFIG, INDEX, Layer, MANIFEST};

/// An image: its layers, and what its configuration says.
#[derive(Clone, Debug)]
pub struct Image {
    layers: Vec<Layer>,
    config: Value,
    os: String,
    architecture: String,
}

impl Image {
    /// Of no layers, for Linux on this machine's architecture.
    pub fn new() -> Self {
        Self {
            layers: Vec::new(),
            config: json!({}),
            os: "linux".to_owned(),
            architecture: architecture().to_owned(),
        }
    }

    /// One more layer on top.
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// The `config` object: `Env`, `Cmd`, `Entrypoint`, …
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// For another platform.
    pub fn platform(mut self, os: &str, architecture: &str) -> Self {
        os.clone_into(&mut self.os);
        architecture.clone_into(&mut self.architecture);
        self
    }
}

impl Default for Image {
    fn default() -> Self {
        Self::new()
    }
}

/// This machine's architecture as Go calls it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An OCI image layout in a directory.
#[derive(Debug)]
pub struct Layout {
    directory: PathBuf,
    manifests: Vec<Value>,
}

impl Layout {
    /// An empty layout in a directory that is there, or is made.
    pub fn create(directory: &Path) -> Self {
        let layout = Self { directory: directory.to_owned(), manifests: Vec::new() };
        fs::create_dir_all(directory.join("blobs/sha256"))
            .unwrap_or_else(|error| panic!("cannot make {}: {error}", directory.display()));
        layout.write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        layout.write_index();
        layout
    }

    /// Adds an image under a tag; gives its manifest's digest.
    pub fn add(&mut self, tag: &str, image: &Image) -> String {
        let descriptor = self.manifest(image);
        self.publish(tag, descriptor)
    }

    /// Adds an index of images, each for its platform, under a tag; gives its digest.
    pub fn add_index(&mut self, tag: &str, images: &[Image]) -> String {
        let manifests: Vec<Value> = images
            .iter()
            .map(|image| {
                let mut descriptor = self.manifest(image);
                descriptor["platform"] = json!({"os": image.os, "architecture": image.architecture});
                descriptor
            })
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        let descriptor = self.json_blob(INDEX, &index);
        self.publish(tag, descriptor)
    }

    /// Adds any document as what the tag names.
    pub fn add_document(&mut self, tag: &str, media_type: &str, document: &Value) -> String {
        let descriptor = self.json_blob(media_type, document);
        self.publish(tag, descriptor)
    }

    /// Where a blob lies.
    pub fn blob(&self, digest: &str) -> PathBuf {
        self.directory.join("blobs").join(digest.replace(':', "/"))
    }

    fn manifest(&self, image: &Image) -> Value {
        let diff_ids: Vec<&str> = image.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = json!({
            "os": image.os,
            "architecture": image.architecture,
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.json_blob(CONFIG, &config);
        let layers: Vec<Value> = image
            .layers
            .iter()
            .map(|layer| {
                if let Some(blob) = &layer.blob {
                    self.write(&format!("blobs/{}", layer.digest.replace(':', "/")), blob);
                }
                json!({"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size})
            })
            .collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        self.json_blob(MANIFEST, &manifest)
    }

    fn publish(&mut self, tag: &str, mut descriptor: Value) -> String {
        let digest = descriptor["digest"].as_str().unwrap_or_default().to_owned();
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        self.manifests.push(descriptor);
        self.write_index();
        digest
    }

    fn json_blob(&self, media_type: &str, document: &Value) -> Value {
        let bytes = document.to_string().into_bytes();
        let digest = digest(&bytes);
        self.write(&format!("blobs/{}", digest.replace(':', "/")), &bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn write_index(&self) {
        let index = json!({"schemaVersion": 2, "manifests": self.manifests});
        self.write("index.json", index.to_string().as_bytes());
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.directory.join(path);
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Tar;
    use crate::oracle;

    #[test]
    fn umoci_and_skopeo_read_it() {
        if !oracle::root() || !oracle::available(&["umoci", "skopeo"]) {
            return;
        }
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let mut layout = Layout::create(directory.path());
        let (mut lower, mut upper) = (Tar::new(), Tar::new());
        lower.directory("d", 0o755).file("d/a", 0o644, b"a").file("d/b", 0o644, b"b");
        upper.whiteout("d/a").file("d/c", 0o600, b"c");
        let image = Image::new().layer(Layer::gzip(&lower.finish())).layer(Layer::plain(&upper.finish()));
        layout.add("x", &image);
        layout.add("z", &Image::new().layer(Layer::zstd(&lower.finish())));
        layout.add("m", &Image::new().layer(Layer::gzip_members(&lower.finish(), 1000)));
        let oci = |tag: &str| format!("{}:{tag}", directory.path().display());
        for tag in ["x", "z", "m"] {
            oracle::run(oracle::command("skopeo").args(["inspect", &format!("oci:{}", oci(tag))]));
        }
        let bundle = directory.path().join("bundle");
        oracle::run(oracle::command("umoci").args(["unpack", "--image", &oci("x")]).arg(&bundle));
        let mut names: Vec<_> =
            fs::read_dir(bundle.join("rootfs/d")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["b", "c"]);
    }

    #[test]
    fn lies_are_where_they_should_be() {
        let directory = tempfile::tempdir().unwrap();
        let mut layout = Layout::create(directory.path());
        let layer = Layer::gzip(&Tar::new().file("f", 0o644, b"f").finish());
        let length = layer.blob.as_ref().unwrap().len();
        layout.add("wrong", &Image::new().layer(layer.clone().with_wrong_digest()));
        let found = fs::read(layout.blob(&layer.digest)).unwrap();
        assert_ne!(digest(&found), layer.digest);
        layout.add("short", &Image::new().layer(layer.clone().truncated(9)));
        assert_eq!(fs::metadata(layout.blob(&layer.digest)).unwrap().len(), 9);
        let other = Layer::gzip(&Tar::new().file("g", 0o644, b"g").finish());
        layout.add("missing", &Image::new().layer(other.clone().missing()));
        assert!(!layout.blob(&other.digest).exists());
        assert_eq!(layer.clone().cut_short(length - 8).size, length as u64 - 8);
        assert_ne!(layer.clone().with_wrong_diff_id().diff_id, layer.diff_id);
    }
}
