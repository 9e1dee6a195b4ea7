use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use offshoot_oci::{
    Error, ErrorKind, ImageName, Malformed, Missing, PathOrStdin, Platform, SourceOptions, Unsupported, open,
};
use offshoot_testkit::layout::{Layout, Style, Tar, TarEntry};
use offshoot_testkit::{oracle, scratch_directory};

use crate::layouts;

fn archive(file: &Path) -> ImageName {
    ImageName::OciArchive { file: PathOrStdin::Path(file.to_owned()), tag: None, digest: None }
}

/// The files of a layout with one image, in no particular order.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    Layout::create(directory).add("x", &layouts::two_layers());
    let blobs = fs::read_dir(directory.join("blobs/sha256")).unwrap();
    let names = blobs.map(|blob| format!("blobs/sha256/{}", blob.unwrap().file_name().to_str().unwrap()));
    ["index.json".to_owned(), "oci-layout".to_owned()]
        .into_iter()
        .chain(names)
        .map(|name| (name.clone(), fs::read(directory.join(name)).unwrap()))
        .collect()
}

fn write(directory: &Path, bytes: &[u8]) -> ImageName {
    let path = directory.join("archive.tar");
    fs::write(&path, bytes).unwrap();
    archive(&path)
}

/// What the layout itself gives must be what its archive gives.
fn assert_like_the_layout(directory: &Path, name: &ImageName, spool: &Path) {
    let expected = layouts::resolve(&layouts::name(directory, "x")).unwrap();
    let source = open(name, &SourceOptions::new(spool)).unwrap();
    let found = source.resolve(&Platform::host()).unwrap();
    assert_eq!(found, expected);
    let expected_layers =
        layouts::layers(layouts::source(&layouts::name(directory, "x")).unwrap().as_ref(), &expected);
    assert_eq!(layouts::layers(source.as_ref(), &found), expected_layers);
}

#[test]
fn archives_of_every_style() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    for (prefix, style) in [("", Style::Pax), ("./", Style::Gnu), ("", Style::Gnu)] {
        let mut tar = Tar::new();
        tar.global(&[(b"comment".to_vec(), b"x".to_vec())])
            .directory("blobs", 0o755)
            .symlink("link", "/etc/passwd");
        for (name, bytes) in &files {
            // A first entry that a later one replaces, and records of no interest.
            tar.file(&format!("{prefix}{name}"), 0o644, b"outdated");
            let mut entry = TarEntry::new(format!("{prefix}{name}"), b'0');
            entry.contents.clone_from(bytes);
            entry.style = style;
            entry.mtime = (1, 5);
            tar.entry(&entry);
        }
        assert_like_the_layout(
            directory.path(),
            &write(directory.path(), &tar.finish()),
            Path::new("/nonexistent"),
        );
        // Two blocks of zeros at the end are usual, and not needed.
        assert_like_the_layout(
            directory.path(),
            &write(directory.path(), &tar.unfinished()),
            Path::new("/nonexistent"),
        );
    }
}

#[test]
fn sizes_and_names_in_extended_headers() {
    let directory = tempfile::tempdir().unwrap();
    let mut tar = Tar::new();
    for (name, bytes) in files(directory.path()) {
        let mut entry = TarEntry::new("elsewhere", b'0');
        entry.records.push((b"path".to_vec(), name.into_bytes()));
        entry.records.push((b"size".to_vec(), bytes.len().to_string().into_bytes()));
        entry.claimed_size = Some(0);
        entry.contents = bytes;
        tar.entry(&entry);
    }
    assert_like_the_layout(
        directory.path(),
        &write(directory.path(), &tar.finish()),
        Path::new("/nonexistent"),
    );
}

#[test]
fn archives_that_skopeo_and_tar_write() {
    if !oracle::available(&["skopeo", "tar"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    files(directory.path());
    let path = directory.path().join("out.tar");
    oracle::run(
        oracle::command("skopeo")
            .args(["--insecure-policy", "copy", "-q"])
            .arg(format!("oci:{}:x", directory.path().display()))
            .arg(format!("oci-archive:{}:tagged", path.display())),
    );
    assert_like_the_layout(directory.path(), &archive(&path), Path::new("/nonexistent"));
    let tagged: ImageName = format!("oci-archive:{}:tagged", path.display()).parse().unwrap();
    assert_like_the_layout(directory.path(), &tagged, Path::new("/nonexistent"));
    let other: ImageName = format!("oci-archive:{}:other", path.display()).parse().unwrap();
    assert!(matches!(layouts::resolve(&other), Err(Error::NotFound(Missing::Tag { .. }))));
    for format in ["gnu", "pax", "ustar", "v7", "oldgnu"] {
        oracle::run(
            oracle::command("tar")
                .arg(format!("--format={format}"))
                .arg("-cf")
                .arg(&path)
                .arg("-C")
                .arg(directory.path())
                .args(["./blobs", "oci-layout", "index.json"]),
        );
        assert_like_the_layout(directory.path(), &archive(&path), Path::new("/nonexistent"));
    }
}

#[test]
fn an_archive_from_a_pipe_is_spooled_without_a_name() {
    let directory = tempfile::tempdir().unwrap();
    let mut tar = Tar::new();
    for (name, bytes) in files(directory.path()) {
        tar.file(&name, 0o644, &bytes);
    }
    let (pipe, spool) = (directory.path().join("pipe"), directory.path().join("spool"));
    fs::create_dir(&spool).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (bytes, writer) = (tar.finish(), pipe.clone());
    std::thread::spawn(move || File::options().write(true).open(writer).unwrap().write_all(&bytes).unwrap());
    assert_like_the_layout(directory.path(), &archive(&pipe), &spool);
    assert_eq!(fs::read_dir(&spool).unwrap().count(), 0);
}

/// Standard input is the process's: the test starts itself again, with an archive there.
#[test]
fn an_archive_from_standard_input() {
    const CHILD: &str = "OFFSHOOT_OCI_TEST_CHILD";
    if let Some(directory) = std::env::var_os(CHILD) {
        let directory = Path::new(&directory);
        assert_like_the_layout(directory, &"oci-archive:-".parse().unwrap(), directory);
        println!("read from standard input");
        return;
    }
    let directory = scratch_directory();
    let mut tar = Tar::new();
    for (name, bytes) in files(directory.path()) {
        tar.file(&name, 0o644, &bytes);
    }
    write(directory.path(), &tar.finish());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "archives::an_archive_from_standard_input", "--nocapture"])
        .env(CHILD, directory.path())
        .stdin(File::open(directory.path().join("archive.tar")).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("read from standard input"), "{text}");
}

#[test]
fn what_is_no_archive_of_a_layout() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path());
    let mut tar = Tar::new();
    for (name, bytes) in &files {
        tar.file(name, 0o644, bytes);
    }
    let whole = tar.finish();
    let error = |bytes: &[u8]| layouts::resolve(&write(directory.path(), bytes)).unwrap_err();

    let compressed = |magic: &[u8]| match error(&[magic, &whole[magic.len()..]].concat()) {
        Error::Unsupported { reason: Unsupported::CompressedArchive(name), .. } => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(compressed(b"\xfd7zXZ\0"), "xz");
    assert_eq!(compressed(b"BZh91AY&SY"), "bzip2");

    assert!(matches!(error(b""), Error::NotFound(Missing::Layout { file: "oci-layout", .. })));
    assert!(matches!(error(&Tar::new().finish()), Error::NotFound(Missing::Layout { .. })));
    let truncated =
        |bytes: &[u8]| matches!(error(bytes), Error::Malformed { problem: Malformed::Truncated { .. }, .. });
    assert!(truncated(b"{}"));
    assert!(truncated(&whole[..700]));
    assert!(truncated(&whole[..513]));
    let header = |bytes: &[u8]| match error(bytes) {
        Error::Malformed { problem: Malformed::TarHeader { offset }, .. } => offset,
        other => panic!("{other:?}"),
    };
    assert_eq!(header(&[b'x'; 1024]), 0);
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    assert_eq!(header(&damaged), 0);

    let mut huge = TarEntry::new("oci-layout", b'0');
    huge.claimed_size = Some(u64::MAX);
    assert!(!matches!(error(&Tar::new().entry(&huge).finish()).kind(), ErrorKind::NotFound));
    for (records, contents) in [(&[(b"size".to_vec(), b"-1".to_vec())][..], &b""[..]), (&[], b"no record")] {
        let mut entry = TarEntry::new("a", if records.is_empty() { b'x' } else { b'0' });
        entry.records = records.to_vec();
        entry.contents = contents.to_owned();
        let error = error(&Tar::new().entry(&entry).finish());
        assert!(
            matches!(error, Error::Malformed { problem: Malformed::TarExtension { .. }, .. }),
            "{error:?}"
        );
    }
    let mut long = TarEntry::new("a", b'L');
    long.contents = vec![b'a'; 2 << 20];
    let long = error(&Tar::new().entry(&long).finish());
    assert!(matches!(long, Error::Malformed { problem: Malformed::TarExtension { .. }, .. }), "{long:?}");

    // Links are not files, wherever they lead.
    let mut links = Tar::new();
    links.symlink("oci-layout", "/etc/passwd").hard_link("index.json", "/etc/passwd");
    assert!(matches!(error(&links.finish()), Error::NotFound(Missing::Layout { file: "oci-layout", .. })));
    assert!(matches!(layouts::resolve(&archive(directory.path())), Err(Error::WrongKind { .. })));
    let gone = layouts::resolve(&archive(&directory.path().join("gone")));
    assert!(matches!(gone, Err(Error::NotFound(Missing::Path(_)))));
}
