//! What was reported against others. Where an advisory is about something that offshoot does not do (it has no build
//! mounts, no volumes, no users to look up), the image that it was about still is a case: it becomes a disk.

use serde_json::{Value, json};

use super::Image;
use super::case::{Case, case, layer, tar, two_layers};
use super::documents::{Document, RIGHT, changed, docker_archive, with};
use super::outcome::{INTEGRITY, NOT_FOUND, Outcome, UNSUPPORTED, counted, made, refused, unmergeable};
use super::tree::{contents, directories_above};
use crate::layout::{SparseFormat, TarEntry, checksum, extension};

const ROOT: &str = "the root of a layer can only be a directory";
const CLIMBS: &str = "the path has a \"..\" component";

pub(super) fn cases(victim: &str) -> Vec<Case> {
    let mut cases = of_tar_readers(victim);
    cases.extend(of_image_readers(victim));
    cases.extend(of_runtimes());
    cases
}

/// What lies behind a link of the host's is made inside the image.
fn behind(victim: &str, more: &[String]) -> Outcome {
    let mut lines = directories_above(&format!("{victim}/x"));
    lines.push(format!("l link -> {}", contents(victim.as_bytes())));
    lines.extend(more.iter().cloned());
    made(lines)
}

fn of_tar_readers(victim: &str) -> Vec<Case> {
    let inner = &victim[1..];
    let through = behind(victim, &[format!("f {inner}/precious \"x\"")]);
    let precious = format!("{victim}/precious");
    let smuggled = tar(|tar| tar.file("smuggled", 0o755, b"x"));
    let sized = |size: u64, header: u64| {
        let record = (b"size".to_vec(), size.to_string().into_bytes());
        TarEntry {
            records: vec![record],
            contents: smuggled.clone(),
            claimed_size: Some(header),
            ..TarEntry::new("f", b'0')
        }
    };
    let whole = smuggled.len() as u64;
    let up = format!("{}{inner}", "../".repeat(40));
    vec![
        // GNU tar
        layer(
            "GNU tar, CVE-2016-6321: a path with .. behind a member's name",
            |tar| tar.file("etc/motd/../../../etc/shadow", 0o644, b"x"),
            refused(INTEGRITY, CLIMBS),
        ),
        layer(
            "GNU tar, CVE-2006-6097: a list of names that makes links",
            |tar| {
                let text = format!("Symlink {victim} to link\n");
                tar.entry(&TarEntry { contents: text.into_bytes(), ..TarEntry::new("names", b'N') }).file(
                    "link/precious",
                    0o644,
                    b"x",
                )
            },
            refused(INTEGRITY, "its type is 'N', which is not supported"),
        ),
        layer(
            "GNU tar, CVE-2019-9923: a sparse header without a map",
            |tar| {
                let record = |key: &str, value: &str| {
                    (format!("GNU.sparse.{key}").into_bytes(), value.as_bytes().to_vec())
                };
                tar.entry(&TarEntry {
                    records: vec![record("major", "1"), record("minor", "0"), record("name", "f")],
                    ..TarEntry::new("f", b'0')
                })
            },
            refused(INTEGRITY, "its sparse map is malformed"),
        ),
        layer(
            "GNU tar, CVE-2022-48303: a time of blanks in a header of before ustar",
            |tar| {
                let mut header = [0; 512];
                header.copy_from_slice(&TarEntry::new("f", b'0').to_bytes());
                header[136..148].copy_from_slice(b"           \x80");
                header[257..265].fill(0);
                checksum(&mut header);
                tar.raw(&header)
            },
            refused(INTEGRITY, "its mtime is no number"),
        ),
        layer(
            "GNU tar, CVE-2023-39804: an attribute's record with an enormous name",
            |tar| {
                tar.entry(&TarEntry {
                    records: vec![(
                        [b"SCHILY.xattr.".to_vec(), vec![b'a'; 900 << 10]].concat(),
                        b"v".to_vec(),
                    )],
                    ..TarEntry::new("f", b'0')
                })
            },
            refused(INTEGRITY, "the name of an extended attribute is not possible"),
        ),
        two_layers(
            "GNU tar, CVE-2025-45582: a link by one archive, a file through it by the next",
            |tar| tar.symlink("link", &up),
            |tar| tar.file("link/precious", 0o644, b"x"),
            {
                let mut lines = directories_above(&format!("{victim}/x"));
                lines.push(format!("l link -> {}", contents(up.as_bytes())));
                lines.push(format!("f {inner}/precious \"x\""));
                made(lines)
            },
        ),
        // The tar crate and its relatives
        layer(
            "tar-rs, CVE-2018-20990: a hard link out, then a file over it",
            |tar| tar.hard_link("f", &precious).file("f", 0o644, b"x"),
            unmergeable("which does not exist"),
        ),
        layer(
            "tar-rs, CVE-2021-38511: a link, then a directory through it and up",
            |tar| tar.symlink("link", victim).directory("link/../../made", 0o755),
            refused(INTEGRITY, CLIMBS),
        ),
        layer(
            "tar-rs, CVE-2026-33055: a PAX size unlike a header's that is not 0",
            |tar| tar.entry(&sized(whole, 512)).file("z", 0o644, b"x"),
            made([format!("f f {}", contents(&smuggled)), r#"f z "x""#.to_owned()]),
        )
        .like_umoci(),
        layer(
            "tar-rs, CVE-2026-33056: a link, then a directory of its name with another mode",
            |tar| tar.symlink("link", victim).directory("link/.", 0o777),
            made(["d link mode=0777"]),
        ),
        layer(
            "tar-rs, GHSA-3pv8-6f4r-ffg2: a PAX size before a long name",
            |tar| {
                let long = extension(b'L', b"././@LongLink", b"long\0");
                tar.raw(&extension(b'x', b"PaxHeaders/f", b"13 size=2048\n"))
                    .raw(&long)
                    .entry(&TarEntry {
                        contents: vec![b'y'; 2048],
                        claimed_size: Some(16),
                        ..TarEntry::new("f", b'0')
                    })
                    .file("z", 0o644, b"x")
            },
            made([format!("f long {}", contents(&[b'y'; 2048])), r#"f z "x""#.to_owned()]),
        )
        .like_umoci(),
        layer(
            "tokio-tar, CVE-2025-62518: a PAX size, and a header that says 0 (TARmageddon)",
            |tar| tar.entry(&sized(whole, 0)).file("z", 0o644, b"x"),
            made([format!("f f {}", contents(&smuggled)), r#"f z "x""#.to_owned()]),
        )
        .like_umoci(),
        layer(
            "astral-tokio-tar, CVE-2025-59825: a link behind a link",
            |tar| {
                tar.directory("d", 0o755).symlink("d/up", "..").symlink("link", &format!("d/up/{up}")).file(
                    "link/precious",
                    0o644,
                    b"x",
                )
            },
            {
                let mut lines = directories_above(&format!("{victim}/x"));
                lines.extend([
                    "d d".to_owned(),
                    r#"l d/up -> "..""#.to_owned(),
                    format!("l link -> {}", contents(format!("d/up/{up}").as_bytes())),
                    format!("f {inner}/precious \"x\""),
                ]);
                made(lines)
            },
        ),
        layer(
            "astral-tokio-tar, CVE-2026-32766: a malformed PAX record, passed over",
            |tar| {
                tar.raw(&extension(b'x', b"PaxHeaders/f", b"30 linkpath=/etc\n9 path=a\n"))
                    .file("f", 0o644, b"x")
            },
            refused(INTEGRITY, "its PAX extended header is malformed"),
        ),
        // node-tar
        layer(
            "node-tar, CVE-2021-37701: a directory, a link of its name with a backslash, a file",
            |tar| tar.directory("link", 0o755).symlink("link\\", victim).file("link/precious", 0o644, b"x"),
            made([
                "d link".to_owned(),
                r#"f link/precious "x""#.to_owned(),
                format!(r"l link\\ -> {}", contents(victim.as_bytes())),
            ]),
        )
        .like_umoci(),
        layer(
            "node-tar, CVE-2024-28863: a path without an end",
            |tar| tar.file(&"a/".repeat(50_000), 0o644, b""),
            refused(INTEGRITY, "exceeds the limit of 4095 bytes"),
        ),
        layer(
            "node-tar, CVE-2026-23745: a hard link with an absolute target",
            |tar| tar.hard_link("f", &precious),
            unmergeable("which does not exist"),
        ),
        layer(
            "node-tar, CVE-2026-23950: two names that fold into one",
            |tar| {
                tar.file("stra\u{df}e", 0o644, b"1").symlink("strasse", victim).file("STRASSE", 0o644, b"2")
            },
            made([
                r#"f STRASSE "2""#.to_owned(),
                format!("l strasse -> {}", contents(victim.as_bytes())),
                r#"f stra\xc3\x9fe "1""#.to_owned(),
            ]),
        ),
        layer(
            "node-tar, CVE-2026-24842: a hard link that climbs from a deep place",
            |tar| tar.directory("a/b/c", 0o755).hard_link("a/b/c/f", "../../../../precious"),
            refused(INTEGRITY, CLIMBS),
        ),
        layer(
            "node-tar, CVE-2026-26960: a hard link through a chain of links",
            |tar| tar.symlink("a", "b/up").symlink("b", victim).hard_link("f", "a/precious"),
            unmergeable("which does not exist"),
        ),
        layer(
            "node-tar, CVE-2026-31802: a link with a drive before its dots",
            |tar| tar.symlink("link", "C:../../../target").file("link/x", 0o644, b"x"),
            made([r#"l link -> "C:../../../target""#, "d C:..", "d target", r#"f target/x "x""#]),
        ),
        // Go's archive/tar
        layer(
            "Go archive/tar, CVE-2022-2879: a header of a hundred megabytes",
            |tar| {
                tar.entry(&TarEntry {
                    claimed_size: Some(100 << 20),
                    contents: vec![b'1'; 4096],
                    ..TarEntry::new("PaxHeaders/f", b'x')
                })
            },
            refused(INTEGRITY, "exceeds the limit of 1048576 bytes of extended header"),
        ),
        layer(
            "Go archive/tar, CVE-2025-58183: a sparse map of a million pieces",
            |tar| {
                let pieces: Vec<(u64, &[u8])> = (0..1_000_000).map(|n| (n * 512, b"".as_slice())).collect();
                tar.sparse("f", 1 << 30, &pieces, SparseFormat::Pax10)
            },
            refused(INTEGRITY, "exceeds the limit of 1048576 bytes of extended header"),
        ),
        layer(
            "containerd, CVE-2021-32760: a hard link to the host's file, then its mode",
            |tar| {
                tar.entry(&TarEntry {
                    link: precious.clone().into_bytes(),
                    mode: 0o4777,
                    ..TarEntry::new("f", b'1')
                })
            },
            unmergeable("which does not exist"),
        ),
        two_layers(
            "boxlite, CVE-2026-46703: an absolute link, then files through it",
            |tar| tar.symlink("link", victim),
            |tar| tar.file("link/precious", 0o644, b"x"),
            through,
        ),
    ]
}

fn of_image_readers(victim: &str) -> Vec<Case> {
    let inner = &victim[1..];
    let through = behind(victim, &[format!("f {inner}/precious \"x\"")]);
    let list =
        |config: &str, layer: &str| json!([{"Config": config, "RepoTags": ["app:v1"], "Layers": [layer]}]);
    vec![
        two_layers(
            "umoci, CVE-2021-29136: a link in place of the root",
            |tar| tar.symlink(".", victim),
            |tar| tar.file("precious", 0o644, b"x"),
            refused(INTEGRITY, ROOT),
        ),
        layer(
            "docker, CVE-2014-6407: links out of an image that is pulled or loaded",
            |tar| tar.symlink("link", victim).file("link/precious", 0o644, b"x"),
            through.clone(),
        ),
        case(
            "docker, CVE-2014-9356: an absolute link as a layer of an archive",
            Image::DockerArchive({
                let link = TarEntry {
                    link: format!("{victim}/precious").into_bytes(),
                    ..TarEntry::new("l.tar", b'2')
                };
                [link.to_bytes(), docker_archive(&list("c.json", "l.tar"), None, &[])].concat()
            }),
            refused(NOT_FOUND, "has no file \"l.tar\""),
        ),
        layer_blob(
            "docker, CVE-2014-9357: a layer in xz, which another program would inflate",
            b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46",
            refused(UNSUPPORTED, "compressed with xz"),
        ),
        case(
            "docker, CVE-2014-9358: an image's id that is a path",
            Image::DockerArchive(docker_archive(
                &list("../../../var/lib/docker/x.json", "l/layer.tar"),
                None,
                &[],
            )),
            refused(NOT_FOUND, "has no file \"../../../var/lib/docker/x.json\""),
        ),
        layer(
            "docker, CVE-2017-14992: a layer that inflates to a thousand times its size",
            |tar| tar.file("f", 0o644, &vec![0; 8 << 20]),
            counted(1, 8 << 20),
        ),
        changed(
            "docker, CVE-2021-21285: a layer that is no tar but the config",
            Document::Manifest,
            |mut manifest| {
                manifest["layers"][0]["digest"] = manifest["config"]["digest"].clone();
                manifest["layers"][0]["size"] = manifest["config"]["size"].clone();
                super::documents::bytes(&manifest)
            },
            refused(INTEGRITY, "the tar is cut short"),
        ),
        changed(
            "containerd, CVE-2020-15157: a layer to be had from elsewhere, with credentials",
            Document::Manifest,
            |mut manifest| {
                manifest["layers"][0]["mediaType"] =
                    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into();
                manifest["layers"][0]["urls"] = json!(["https://registry.example.com/layer"]);
                super::documents::bytes(&manifest)
            },
            refused(UNSUPPORTED, "is not distributed with the image, but said to be at"),
        ),
        changed(
            "OCI distribution, CVE-2021-41190: manifest and index in one",
            Document::Manifest,
            with("/manifests", json!([])),
            refused(INTEGRITY, "both the fields"),
        ),
        changed(
            "containerd, CVE-2022-23648: volumes that climb",
            Document::Config,
            with("/config/Volumes", json!({"/../../../../../../etc": {}})),
            made(RIGHT),
        ),
        changed(
            "containerd, CVE-2023-25153: a manifest that is very large",
            Document::Index,
            with("/manifests/0/size", (1_u64 << 40).into()),
            refused(INTEGRITY, "it is larger than 4194304 bytes"),
        ),
        changed(
            "containerd, CVE-2024-40635: a user beyond 32 bits",
            Document::Config,
            with("/config/User", "4294967296:4294967296".into()),
            made(RIGHT),
        ),
        two_layers(
            "containerd, CVE-2025-47290: a directory that becomes a link between two looks",
            |tar| tar.directory("link", 0o755),
            |tar| tar.symlink("link", victim).file("link/precious", 0o644, b"x"),
            through,
        ),
        changed(
            "containerd, CVE-2026-53488: a label that a plugin takes for a command",
            Document::Config,
            with("/config/Labels", json!({"containerd.io/restart.logpath": "binary:///bin/sh?-c=touch+/x"})),
            made(RIGHT),
        ),
        layer(
            "containerd, CVE-2026-47262: an etc/group without an end",
            |tar| tar.file("etc/group", 0o644, &b"x:x:0:".repeat(1 << 20)),
            counted(2, 6 << 20),
        ),
        changed(
            "containers/image, CVE-2020-1702: a config without an end",
            Document::Manifest,
            with("/config/size", (1_u64 << 40).into()),
            refused(INTEGRITY, "it is larger than 4194304 bytes"),
        ),
        changed(
            "containers/image, CVE-2024-3727: a digest that is a path",
            Document::Manifest,
            with("/config/digest", format!("sha256:../../../../{victim}").into()),
            refused(INTEGRITY, "it names an impossible digest"),
        ),
        layer_blob(
            "containers/storage, CVE-2021-20291: a layer that the decompressor gives up on",
            b"\xfd7zXZ\0garbage",
            refused(UNSUPPORTED, "compressed with xz"),
        ),
        layer(
            "containers/storage, CVE-2024-9676: an etc/passwd that is a link to the host",
            |tar| tar.symlink("etc/passwd", "/dev/zero").symlink("etc/group", "/proc/self/fd/0"),
            made(["d etc", r#"l etc/group -> "/proc/self/fd/0""#, r#"l etc/passwd -> "/dev/zero""#]),
        ),
    ]
}

fn of_runtimes() -> Vec<Case> {
    vec![
        layer(
            "buildah and podman, CVE-2024-1753: a directory of the image that is a link to the host's root",
            |tar| tar.symlink("mnt", "/").file("mnt/x", 0o644, b"x"),
            made([r#"l mnt -> "/""#, r#"f x "x""#]),
        ),
        changed(
            "runc, CVE-2019-16884: a volume at /proc",
            Document::Config,
            with("/config/Volumes", json!({"/proc": {}})),
            made(RIGHT),
        ),
        changed(
            "runc, CVE-2024-21626: a working directory by a leaked descriptor",
            Document::Config,
            with("/config/WorkingDir", Value::from("/proc/self/fd/7/../../..")),
            made(RIGHT),
        ),
        layer(
            "runc, CVE-2026-41579: /dev as a link",
            |tar| tar.symlink("dev", "/etc").device("dev/null", b'3', 1, 3),
            made([r#"l dev -> "/etc""#, "d etc", "c etc/null 1:3"]),
        ),
    ]
}

fn layer_blob(name: &str, bytes: &[u8], outcome: Outcome) -> Case {
    super::case::blob(name, super::compression::layer(bytes.to_vec(), b"", "+gzip"), outcome)
}
