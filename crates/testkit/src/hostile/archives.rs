use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use super::case::{Case, case, tar};
use super::documents::{RIGHT, docker_archive};
use super::outcome::{INTEGRITY, NOT_FOUND, Outcome, UNSUPPORTED, USAGE, made, refused};
use super::{Image, Source};
use crate::layout::{self, Layer, Layout, Tar, TarEntry};

pub(super) fn cases(victim: &str) -> Vec<Case> {
    let right = list("c.json", "l/layer.tar");
    let docker = |name: &str, list: &Value, outcome: Outcome| {
        case(name, Image::DockerArchive(docker_archive(list, None, &[])), outcome)
    };
    let whole = |name: &str, fill: &dyn Fn(&mut Tar), outcome: Outcome| {
        let mut tar = Tar::new();
        fill(&mut tar);
        case(name, Image::DockerArchive(tar.finish()), outcome)
    };
    let oci = |name: &str, fill: &dyn Fn(&mut Tar), outcome: Outcome| {
        let mut tar = Tar::new();
        fill(&mut tar);
        case(name, Image::OciArchive(tar.finish()), outcome)
    };
    let precious = format!("{victim}/precious");
    let up = format!("{}{}", "../".repeat(40), &precious[1..]);
    let missing =
        |name: &str| refused(NOT_FOUND, &format!("has no file {name:?}, which its manifest.json names"));
    let with_link = |kind: u8, target: String| {
        let link = TarEntry { link: target.into_bytes(), ..TarEntry::new("link.tar", kind) };
        let sound = docker_archive(&list("c.json", "link.tar"), None, &[]);
        [link.to_bytes(), sound].concat()
    };
    vec![
        docker("a layer at a path of the host", &list("c.json", &precious), missing(&precious)),
        docker("a layer above the archive", &list("c.json", &up), missing(&up)),
        docker("a config at a path of the host", &list("/etc/passwd", "l/layer.tar"), missing("/etc/passwd")),
        docker("a layer by a winding path within", &list("./c.json", "x/../l//layer.tar"), made(RIGHT)),
        case(
            "a layer that is a link to the host",
            Image::DockerArchive(with_link(b'2', precious.clone())),
            missing("link.tar"),
        ),
        case(
            "a layer that is a link above",
            Image::DockerArchive(with_link(b'2', up.clone())),
            missing("link.tar"),
        ),
        case(
            "a layer that is a hard link to the host",
            Image::DockerArchive(with_link(b'1', precious)),
            missing("link.tar"),
        ),
        case(
            "a layer that is a link to itself",
            Image::DockerArchive(with_link(b'2', "link.tar".to_owned())),
            refused(INTEGRITY, "is a link behind more than 16 others"),
        ),
        case(
            "a layer that is a link within",
            Image::DockerArchive(with_link(b'2', "l/layer.tar".to_owned())),
            made(RIGHT),
        ),
        docker("no image", &json!([]), refused(NOT_FOUND, "has no image")),
        docker("a list that is none", &json!({}), refused(INTEGRITY, "it cannot be parsed")),
        docker("a list of words", &json!(["a"]), refused(INTEGRITY, "it cannot be parsed")),
        docker(
            "a config that is a number",
            &json!([{"Config": 7, "Layers": []}]),
            refused(INTEGRITY, "it cannot be parsed"),
        ),
        docker(
            "layers that are fewer than the diff_ids",
            &json!([{"Config": "c.json", "RepoTags": ["app:v1"], "Layers": []}]),
            refused(INTEGRITY, "and its config has 1 diff_ids"),
        ),
        docker(
            "names that are none",
            &json!([{"Config": "c.json", "RepoTags": ["../../x", "", "a b"], "Layers": ["l/layer.tar"]}]),
            made(RIGHT),
        ),
        case(
            "a config by another's digest",
            Image::DockerArchive(docker_archive(
                &list(&format!("{}.json", "0".repeat(64)), "l/layer.tar"),
                None,
                &[(&format!("{}.json", "0".repeat(64)), b"{}")],
            )),
            refused(INTEGRITY, "is not what"),
        ),
        case(
            "members that climb beside those that are right",
            Image::DockerArchive(docker_archive(
                &right,
                None,
                &[("../../../etc/passwd", b"x"), ("/etc/passwd", b"x"), (&up, b"x")],
            )),
            made(RIGHT),
        ),
        case(
            "a first manifest.json that a second replaces",
            Image::DockerArchive(docker_archive(&right, None, &[("manifest.json", b"garbage")])),
            made(RIGHT),
        ),
        case(
            "a config of 5 MiB",
            Image::DockerArchive(docker_archive(&right, Some(&vec![b' '; 5 << 20]), &[])),
            refused(INTEGRITY, "it is larger than 4194304 bytes"),
        ),
        whole("nothing at all", &|_| {}, refused(NOT_FOUND, "has no manifest.json")),
        whole(
            "an archive of before Docker 1.10",
            &|tar| {
                tar.file("repositories", 0o644, b"{}").file("1f/json", 0o644, b"{}").file(
                    "1f/VERSION",
                    0o644,
                    b"1.0",
                );
            },
            refused(UNSUPPORTED, "as Docker wrote archives before version 1.10"),
        ),
        whole(
            "a manifest.json that is a directory",
            &|tar| {
                tar.directory("manifest.json", 0o755);
            },
            refused(NOT_FOUND, "has no manifest.json"),
        ),
        whole(
            "a manifest.json that is a link to the host",
            &|tar| {
                tar.symlink("manifest.json", "/etc/hostname");
            },
            refused(NOT_FOUND, "has no manifest.json"),
        ),
        case(
            "an archive that is cut",
            Image::DockerArchive({
                let whole = docker_archive(&right, None, &[]);
                whole[..1500].to_vec()
            }),
            refused(INTEGRITY, "it is cut short at 1500 bytes"),
        ),
        case(
            "an archive that is none",
            Image::DockerArchive(vec![b'x'; 4096]),
            refused(INTEGRITY, "it has no tar header at byte 0"),
        ),
        case(
            "an archive in xz",
            Image::DockerArchive(b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46".to_vec()),
            refused(UNSUPPORTED, "it is compressed with xz"),
        )
        .not_from(&PLAIN),
        case(
            "an archive in gzip that is damaged",
            Image::DockerArchive({
                let gzip = Layer::gzip(&docker_archive(&right, None, &[])).blob.unwrap_or_default();
                gzip[..gzip.len() - 20].to_vec()
            }),
            refused(INTEGRITY, "it cannot be decompressed"),
        )
        .not_from(&PLAIN),
        oci(
            "a layout without oci-layout",
            &|tar| {
                tar.file("index.json", 0o644, br#"{"schemaVersion":2,"manifests":[]}"#);
            },
            refused(NOT_FOUND, "it has no oci-layout"),
        ),
        oci(
            "a layout of another version",
            &|tar| {
                tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"9"}"#).file(
                    "index.json",
                    0o644,
                    b"{}",
                );
            },
            refused(INTEGRITY, "its imageLayoutVersion is \"9\", not 1.0.0"),
        ),
        oci(
            "an index.json that is a link to the host",
            &|tar| {
                tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)
                    .symlink("index.json", "/etc/hostname");
            },
            refused(NOT_FOUND, "it has no index.json"),
        ),
        oci(
            "an index.json with a size of 8 EiB",
            &|tar| {
                let records = vec![(b"size".to_vec(), (1_u64 << 63).to_string().into_bytes())];
                tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)
                    .entry(&TarEntry { records, ..TarEntry::new("index.json", b'0') });
            },
            refused(INTEGRITY, "it is cut short at"),
        ),
        in_directory("a blobs directory that is a link to the host", "blobs", victim),
        in_directory(
            "an index.json that is a link to the host, in a directory",
            "index.json",
            "/etc/hostname",
        ),
        in_directory("an oci-layout that is a link to the host", "oci-layout", "/etc/hostname"),
    ]
    .into_iter()
    .chain([case(
        "an index.json that is a pipe",
        Image::LayoutDirectory(Box::new(|place| {
            Layout::create(place).add("x", &layout::Image::new());
            let path = place.join("index.json");
            fs::remove_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            super::directories::pipe(&path);
        })),
        refused(USAGE, "where a regular file is needed"),
    )])
    .collect()
}

/// What these hand over is never compressed.
const PLAIN: [Source; 2] = [Source::ContainersStorage, Source::DockerDaemon];

fn list(config: &str, layer: &str) -> Value {
    json!([{"Config": config, "RepoTags": ["app:v1"], "Layers": [layer]}])
}

/// A layout of which one part is a link.
fn in_directory(name: &str, part: &'static str, target: &str) -> Case {
    let target = target.to_owned();
    let fill = move |place: &Path| {
        let layer = Layer::gzip(&tar(|tar| tar.file("f", 0o644, b"x")));
        Layout::create(place).add("x", &layout::Image::new().layer(layer));
        let path = place.join(part);
        let moved = place.join("moved");
        fs::rename(&path, moved)
            .and_then(|()| symlink(&target, &path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    };
    case(name, Image::LayoutDirectory(Box::new(fill)), refused(USAGE, "where a regular file is needed"))
}
