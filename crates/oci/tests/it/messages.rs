use std::error::Error as _;
use std::path::Path;

use offshoot_oci::{ImageName, Injection, Platform, Reference, SourceOptions, open};
use offshoot_testkit::layout::{self, Image, Layer, Layout, Tar};
use serde_json::json;

use crate::layouts::{name, resolve, tar};

/// An error with its sources, as the program prints it.
fn line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line = format!("{line}: {error}");
        source = error.source();
    }
    assert!(!line.contains('\n'), "{line}");
    line
}

#[test]
fn what_a_person_reads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let shown = path.display();
    let mut layout = Layout::create(path);
    layout.add("x", &Image::new().platform("linux", "s390x"));
    let layer = Layer::plain(&tar(b"x")).with_media_type("text/plain");
    let odd = layout.add("odd", &Image::new().layer(layer));
    let chart = layout.add_document(
        "chart",
        layout::MANIFEST,
        &json!({"schemaVersion": 2, "mediaType": layout::MANIFEST, "layers": [], "config":
            {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": odd, "size": 2}}),
    );
    let plain = |tag: &str| {
        let error = open(&name(path, tag), &SourceOptions::new(path))
            .unwrap()
            .resolve(&"linux/amd64".parse().unwrap())
            .unwrap_err();
        line(&error).replace(&shown.to_string(), "DIR")
    };
    assert_eq!(plain("x"), "the image is linux/s390x, not linux/amd64");
    assert_eq!(plain("y"), "DIR has no image tagged \"y\", only chart, odd, x");
    assert_eq!(
        plain("chart"),
        format!(
            "cannot use the manifest {chart}: it is an artifact of the type \
             application/vnd.cncf.helm.config.v1+json, not an image"
        )
    );
    assert_eq!(
        plain("odd"),
        format!(
            "cannot use the manifest {odd}: a layer's media type is \"text/plain\"; known are tar, tar+gzip and \
             tar+zstd as application/vnd.oci.image.layer.v1.tar… and Docker's image.rootfs.diff.tar, .tar.gzip \
             and .tar.zstd"
        )
    );
    std::fs::write(layout.blob(&chart), b"{}").unwrap();
    assert!(plain("chart").starts_with(&format!(
        "the manifest {chart} is not what its descriptor promised: the size is 2 bytes, expected "
    )));
    std::fs::remove_file(layout.blob(&chart)).unwrap();
    assert_eq!(plain("chart"), format!("DIR has no blob {chart}"));
    let any = open(&format!("oci:{shown}").parse().unwrap(), &SourceOptions::new(path))
        .unwrap()
        .resolve(&Platform::host())
        .unwrap_err();
    assert_eq!(
        line(&any).replace(&shown.to_string(), "DIR"),
        "DIR has several images that fit, name one of: chart, odd, x"
    );
    let none = resolve(&name(&path.join("blobs"), "x")).unwrap_err();
    assert_eq!(
        line(&none).replace(&shown.to_string(), "DIR"),
        "DIR/blobs is not an OCI image layout: it has no oci-layout"
    );
    let text = line(&"Alpine".parse::<ImageName>().unwrap_err());
    assert_eq!(
        text,
        "\"Alpine\" does not name an image: \"Alpine\" is not an image reference: the repository \"Alpine\" must be \
         lower case"
    );
    assert_eq!(
        line(&"a@sha256:1".parse::<Reference>().unwrap_err()),
        "\"a@sha256:1\" is not an image reference: its digest cannot be used: \"sha256:1\" is not a digest of the \
         form sha256:<64 hexadecimal digits>"
    );
    assert_eq!(
        line(&"x:/y:9".parse::<Injection>().unwrap_err()),
        "\"x:/y:9\" is not of the form SRC:DST[:MODE[:UID:GID]]: MODE \"9\" is not an octal number up to 7777"
    );
    assert!("linux".parse::<Platform>().unwrap_err().source().is_none());
}

#[test]
fn of_docker_archives() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.tar");
    let plain = |tar: &Tar| {
        std::fs::write(&file, tar.finish()).unwrap();
        let name = format!("docker-archive:{}", file.display()).parse().unwrap();
        let error = open(&name, &SourceOptions::new(directory.path())).err().unwrap();
        line(&error).replace(&file.display().to_string(), "FILE")
    };
    assert_eq!(plain(&Tar::new()), "FILE is not a Docker archive: it has no manifest.json");
    assert_eq!(
        plain(Tar::new().file("oci-layout", 0o644, b"{}")),
        "FILE is not a Docker archive: it has no manifest.json; it is an OCI image layout, which oci-archive: reads"
    );
    assert_eq!(
        plain(Tar::new().file("repositories", 0o644, b"{}")),
        "cannot use FILE: it has repositories and no manifest.json, as Docker wrote archives before version 1.10; \
         load it into a current Docker and save it again"
    );
    let list = br#"[{"Config": "c", "Layers": ["a/layer.tar"]}]"#;
    let mut tar = Tar::new();
    tar.file("manifest.json", 0o644, list);
    assert_eq!(plain(&tar), "FILE has no file \"c\", which its manifest.json names");
    tar.symlink("c", "c");
    assert_eq!(plain(&tar), "FILE is malformed: its \"c\" is a link behind more than 16 others");
    std::fs::write(&file, b"\x1f\x8b\x08garbage that is no gzip").unwrap();
    let name = format!("oci-archive:{}", file.display()).parse().unwrap();
    let error = open(&name, &SourceOptions::new(directory.path())).err().unwrap();
    let text = line(&error).replace(&file.display().to_string(), "FILE");
    assert!(text.starts_with("FILE is malformed: it cannot be decompressed: "), "{text}");
}

#[test]
fn scratch_is_empty_for_any_platform() {
    let source = open(&"scratch:".parse().unwrap(), &SourceOptions::new(Path::new("/nonexistent"))).unwrap();
    let image = source.resolve(&"plan9/mips".parse().unwrap()).unwrap();
    assert!(image.manifest.is_none() && image.config.is_none() && image.layers.is_empty());
    assert!(source.open_layer(&image, 0).is_err());
}
