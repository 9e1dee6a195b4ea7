use std::fs;

use offshoot_oci::{Error, MAX_DOCUMENT_SIZE, Malformed, Missing, Unsupported};
use offshoot_store::{Digest, VerifyError};
use offshoot_testkit::layout::{Layer, Tar, TarEntry};
use serde_json::json;
use tempfile::tempdir;

use crate::docker_archives::{config, hex, listed, resolve, write};
use crate::layouts;

/// What a hostile or damaged archive is refused with, in a word.
fn verdict(error: &Error) -> &'static str {
    match error {
        Error::NotFound(Missing::DockerArchive { is_layout: true, .. }) => "layout",
        Error::NotFound(Missing::DockerArchive { .. }) => "no manifest",
        Error::NotFound(Missing::Member { .. }) => "member",
        Error::NotFound(Missing::Image(_)) => "no image",
        Error::Malformed { problem: Malformed::Links { .. }, .. } => "links",
        Error::Malformed { problem: Malformed::TooLarge, .. } => "large",
        Error::Malformed { problem: Malformed::TooMany { .. }, .. } => "many",
        Error::Malformed { problem: Malformed::Json(_), .. } => "json",
        Error::Malformed { problem: Malformed::LayerCount { .. }, .. } => "count",
        Error::Malformed { problem: Malformed::Digest(_), .. } => "digest",
        Error::Malformed { problem: Malformed::Truncated { .. }, .. } => "truncated",
        Error::Verify { source: VerifyError::Digest { .. }, .. } => "verify",
        Error::Unsupported { reason: Unsupported::AncientDockerArchive, .. } => "ancient",
        Error::Unsupported { reason: Unsupported::Compression("xz"), .. } => "xz",
        _ => "something else",
    }
}

#[test]
fn hostile_and_damaged_archives() {
    let directory = tempdir().unwrap();
    let secret = directory.path().join("secret");
    let lower = layouts::tar(b"lower");
    fs::write(&secret, &lower).unwrap();
    let good = config(&[&lower]);
    let secret = secret.to_str().unwrap();
    let many_layers = json!([listed("c", &[], &vec!["l"; 1025])]);
    let huge = vec![b' '; usize::try_from(MAX_DOCUMENT_SIZE).unwrap() + 1];
    let wrong_name = format!("{}.json", hex(b"another"));
    type Fill<'a> = &'a dyn Fn(&mut Tar);
    let list = |tar: &mut Tar, config: &str, layer: &str| {
        let list = json!([listed(config, &[], &[layer])]).to_string();
        tar.file("manifest.json", 0o644, list.as_bytes());
    };
    let rest = |tar: &mut Tar| {
        tar.file("c", 0o644, &good).file("l", 0o644, &lower);
    };
    let cases: [(&str, Fill<'_>); 31] = [
        ("no manifest", &|_| {}),
        ("layout", &|tar| {
            tar.file("oci-layout", 0o644, b"{}");
        }),
        ("ancient", &|tar| {
            tar.file("repositories", 0o644, b"{}").file("1f/json", 0o644, b"{}").file(
                "1f/VERSION",
                0o644,
                b"1.0",
            );
        }),
        ("json", &|tar| {
            tar.file("manifest.json", 0o644, b"{}");
        }),
        ("json", &|tar| {
            tar.file("manifest.json", 0o644, br#"[{"Layers":[]}]"#);
        }),
        ("json", &|tar| {
            tar.file("manifest.json", 0o644, br#"[{"Config":"c","Config":"d","Layers":["l"]}]"#);
        }),
        ("json", &|tar| {
            tar.file("manifest.json", 0o644, "[".repeat(100_000).as_bytes());
        }),
        ("no image", &|tar| {
            tar.file("manifest.json", 0o644, b"[]");
        }),
        ("large", &|tar| {
            tar.file("manifest.json", 0o644, &huge);
        }),
        ("large", &|tar| {
            tar.file("c", 0o644, &huge).file("l", 0o644, &lower);
            list(tar, "c", "l");
        }),
        ("many", &|tar| {
            rest(tar);
            tar.file("manifest.json", 0o644, many_layers.to_string().as_bytes());
        }),
        ("many", &|tar| {
            let list = format!("[{}{{\"Config\":\"c\"}}]", "{\"Config\":\"c\"},".repeat(10_000));
            tar.file("manifest.json", 0o644, list.as_bytes());
        }),
        ("many", &|tar| {
            let mut members = Tar::new();
            members.symlink("000000", "1");
            let mut member = members.unfinished();
            member.truncate(512);
            let mut all = Vec::new();
            for number in 0..65_537_u32 {
                member[..6].copy_from_slice(format!("{number:06}").as_bytes());
                let header: &mut [u8; 512] = (&mut member[..512]).try_into().unwrap();
                offshoot_testkit::layout::checksum(header);
                all.extend_from_slice(header);
            }
            tar.raw(&all);
        }),
        ("member", &|tar| {
            rest(tar);
            list(tar, "gone", "l");
        }),
        ("member", &|tar| {
            rest(tar);
            list(tar, "c", "gone");
        }),
        // Paths of the host, and links there: these are names in the archive, and nothing is there.
        ("member", &|tar| {
            rest(tar);
            list(tar, "c", secret);
        }),
        ("member", &|tar| {
            rest(tar);
            list(tar, "c", &format!("../../../../../..{secret}"));
        }),
        ("member", &|tar| {
            rest(tar);
            tar.symlink("x/layer.tar", secret);
            list(tar, "c", "x/layer.tar");
        }),
        ("member", &|tar| {
            rest(tar);
            tar.symlink("x/layer.tar", &format!("../../../../../../..{secret}"));
            list(tar, "c", "x/layer.tar");
        }),
        ("member", &|tar| {
            rest(tar);
            tar.hard_link("x/layer.tar", secret);
            list(tar, "c", "x/layer.tar");
        }),
        ("member", &|tar| {
            rest(tar);
            tar.symlink("x/layer.tar", "");
            list(tar, "c", "x/layer.tar");
        }),
        ("member", &|tar| {
            rest(tar);
            tar.directory("dir", 0o755).fifo("fifo");
            list(tar, "c", "dir");
        }),
        ("member", &|tar| {
            rest(tar);
            tar.directory("dir", 0o755).fifo("fifo");
            list(tar, "c", "fifo");
        }),
        ("links", &|tar| {
            rest(tar);
            tar.symlink("a", "b").hard_link("b", "a");
            list(tar, "c", "a");
        }),
        ("links", &|tar| {
            tar.symlink("manifest.json", "manifest.json");
        }),
        ("verify", &|tar| {
            tar.file(&wrong_name, 0o644, &good).file("l", 0o644, &lower);
            list(tar, &wrong_name, "l");
        }),
        ("verify", &|tar| {
            let name = format!("blobs/sha256/{}", hex(b"another"));
            tar.file(&name, 0o644, &good).file("l", 0o644, &lower);
            list(tar, &name, "l");
        }),
        ("count", &|tar| {
            rest(tar);
            let list = json!([listed("c", &[], &["l", "l"])]).to_string();
            tar.file("manifest.json", 0o644, list.as_bytes());
        }),
        ("digest", &|tar| {
            let config = br#"{"rootfs":{"type":"layers","diff_ids":["../../../etc/passwd"]}}"#;
            tar.file("c", 0o644, config).file("l", 0o644, &lower);
            list(tar, "c", "l");
        }),
        ("xz", &|tar| {
            tar.file("c", 0o644, &good).file("l", 0o644, b"\xfd7zXZ\0\0\0");
            list(tar, "c", "l");
        }),
        ("truncated", &|tar| {
            let mut entry = TarEntry::new("l", b'0');
            entry.claimed_size = Some(1 << 30);
            tar.entry(&entry);
        }),
    ];
    for (number, (expected, fill)) in cases.into_iter().enumerate() {
        let mut tar = Tar::new();
        fill(&mut tar);
        let error = resolve(&write(directory.path(), &tar.finish()), "").unwrap_err();
        assert_eq!(verdict(&error), expected, "case {number}: {error:?}");
    }
}

/// Nothing but the bytes of a layer says what it is: they are held against the digests when it is read.
#[test]
fn layers_that_are_not_what_they_should_be() {
    let directory = tempdir().unwrap();
    let (lower, upper) = (layouts::tar(b"lower"), layouts::tar(b"upper"));
    let gzip = Layer::gzip(&lower);
    let blob = format!("blobs/sha256/{}", gzip.digest.replace("sha256:", ""));
    for (name, contents, expected) in
        [("l", &upper, Digest::of(&lower)), (blob.as_str(), &lower, gzip.digest.parse().unwrap())]
    {
        let mut tar = Tar::new();
        tar.file("c", 0o644, &config(&[&lower])).file(name, 0o644, contents);
        let list = json!([listed("c", &[], &[name])]).to_string();
        tar.file("manifest.json", 0o644, list.as_bytes());
        let image = resolve(&write(directory.path(), &tar.finish()), "").unwrap();
        assert_eq!(image.layers[0].expected.digest, Some(expected));
        assert_eq!(image.layers[0].diff_id, Some(Digest::of(&lower)));
    }
}

#[test]
fn what_is_no_archive() {
    let directory = tempdir().unwrap();
    let error = resolve(directory.path(), "").unwrap_err();
    assert!(matches!(error, Error::WrongKind { .. }), "{error:?}");
    let gone = resolve(&directory.path().join("gone"), "");
    assert!(matches!(gone, Err(Error::NotFound(Missing::Path(_)))), "{gone:?}");
    for (magic, expected) in [(&b"\xfd7zXZ\0"[..], "xz"), (b"BZh91AY&SY", "bzip2")] {
        let error = resolve(&write(directory.path(), magic), "").unwrap_err();
        let Error::Unsupported { reason: Unsupported::CompressedArchive(found), .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(found, expected);
    }
}
