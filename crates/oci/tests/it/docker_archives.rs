use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use offshoot_oci::{
    Error, ImageConfig, ImageName, ImageSource, Malformed, Manifest, Missing, Platform, SourceImage,
    SourceOptions, media_type, open,
};
use offshoot_store::Digest;
use offshoot_testkit::layout::{Image, Layer, Layout, Style, Tar, TarEntry};
use offshoot_testkit::{oracle, scratch_directory};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::layouts;

/// A config for layers of these tars.
pub(crate) fn config(tars: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<String> = tars.iter().map(|tar| Digest::of(tar).to_string()).collect();
    let architecture = Platform::host().architecture().to_owned();
    json!({"architecture": architecture, "os": "linux", "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    .to_string()
    .into_bytes()
}

pub(crate) fn listed(config: &str, names: &[&str], layers: &[&str]) -> Value {
    json!({"Config": config, "RepoTags": names, "Layers": layers})
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    Digest::of(bytes).hex()
}

/// A first member that a later one replaces.
fn put_twice(tar: &mut Tar, name: &str, bytes: &[u8]) {
    tar.file(name, 0o644, b"outdated").file(name, 0o644, bytes);
}

fn put(tar: &mut Tar, name: &str, bytes: &[u8]) {
    tar.file(name, 0o644, bytes);
}

fn lower_and_upper() -> (Vec<u8>, Vec<u8>) {
    (layouts::tar(b"lower"), layouts::tar(b"upper"))
}

/// As Docker wrote them from version 1.10 to 24.
pub(crate) fn classic() -> Tar {
    classic_by(put)
}

fn classic_by(put: fn(&mut Tar, &str, &[u8])) -> Tar {
    let (lower, upper) = lower_and_upper();
    let config = config(&[&lower, &upper]);
    let name = format!("{}.json", hex(&config));
    let mut tar = Tar::new();
    for (id, layer) in [("1f", &lower), ("2f", &upper)] {
        tar.directory(&format!("{id}/"), 0o755);
        put(&mut tar, &format!("{id}/VERSION"), b"1.0");
        put(&mut tar, &format!("{id}/json"), b"{}");
        put(&mut tar, &format!("{id}/layer.tar"), layer);
    }
    put(&mut tar, &name, &config);
    let list = json!([listed(&name, &["app:v1"], &["1f/layer.tar", "2f/layer.tar"])]);
    put(&mut tar, "manifest.json", list.to_string().as_bytes());
    put(&mut tar, "repositories", br#"{"app":{"v1":"2f"}}"#);
    tar
}

/// As skopeo, podman and buildah write them, and hard links as tar makes them.
fn linked(prefix: &str, style: Style) -> Tar {
    let (lower, upper) = lower_and_upper();
    let config = config(&[&lower, &upper, &lower]);
    let mut tar = Tar::new();
    tar.global(&[(b"comment".to_vec(), b"x".to_vec())]);
    let mut member = |name: String, kind, contents: &[u8], link: String| {
        let mut entry = TarEntry::new(format!("{prefix}{name}"), kind);
        (entry.contents, entry.link, entry.style) = (contents.to_owned(), link.into_bytes(), style);
        tar.entry(&entry);
    };
    let long = "0123456789abcdef".repeat(8);
    member(format!("{long}/lower.tar"), b'0', &lower, String::new());
    member("upper.tar".to_owned(), b'0', &upper, String::new());
    member("a/layer.tar".to_owned(), b'2', b"", format!("../{long}/./lower.tar"));
    member("b/layer.tar".to_owned(), b'1', b"", format!("{prefix}upper.tar"));
    member("c/layer.tar".to_owned(), b'1', b"", format!("{prefix}a/layer.tar"));
    member("config".to_owned(), b'2', b"", "/really.json".to_owned());
    member("really.json".to_owned(), b'0', &config, String::new());
    let list = json!([listed("config", &[], &["a/layer.tar", "b/layer.tar", "./c/layer.tar"])]);
    member("manifest.json".to_owned(), b'0', list.to_string().as_bytes(), String::new());
    tar
}

/// As Docker writes them since version 25, with layers as they lie in containerd.
fn modern(layers: &[Layer], tars: &[&[u8]]) -> Tar {
    let config = config(tars);
    let mut tar = Tar::new();
    let mut paths = Vec::new();
    for layer in layers {
        let path = format!("blobs/{}", layer.digest.replace(':', "/"));
        put(&mut tar, &path, layer.blob.as_deref().unwrap());
        paths.push(path);
    }
    let name = format!("blobs/sha256/{}", hex(&config));
    put(&mut tar, &name, &config);
    put(&mut tar, "index.json", br#"{"schemaVersion":2,"manifests":[]}"#);
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut list = listed(&name, &["app:v1"], &paths);
    list["LayerSources"] = json!({});
    put(&mut tar, "manifest.json", json!([list]).to_string().as_bytes());
    put(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    tar
}

pub(crate) fn write(directory: &Path, bytes: &[u8]) -> PathBuf {
    let path = directory.join("saved.tar");
    fs::write(&path, bytes).unwrap();
    path
}

fn source(path: &Path, tag: &str, spool: &Path) -> Result<Box<dyn ImageSource>, Error> {
    let name: ImageName = format!("docker-archive:{}{tag}", path.display()).parse().unwrap();
    open(&name, &SourceOptions::new(spool))
}

pub(crate) fn resolve(path: &Path, tag: &str) -> Result<SourceImage, Error> {
    source(path, tag, Path::new("/nonexistent"))?.resolve(&Platform::host())
}

/// What is given as documents must fit together, and lead to these tars.
pub(crate) fn assert_image(source: &dyn ImageSource, tars: &[&[u8]]) -> SourceImage {
    let image = source.resolve(&Platform::host()).unwrap();
    let (manifest, document) = (image.manifest.clone().unwrap(), image.config.clone().unwrap());
    assert_eq!(Digest::of(&manifest.bytes), manifest.digest);
    assert_eq!(Digest::of(&document.bytes), document.digest);
    let parsed = Manifest::parse(&manifest.bytes, "m", Some(&manifest.media_type)).unwrap();
    let Manifest::Image(parsed) = parsed else { panic!("{parsed:?}") };
    assert_eq!((parsed.config.digest, parsed.config.size), (document.digest, document.bytes.len() as u64));
    let diff_ids: Vec<Digest> = tars.iter().map(|tar| Digest::of(tar)).collect();
    assert_eq!(ImageConfig::parse(&document.bytes).unwrap().diff_ids, diff_ids);
    let blobs = layouts::layers(source, &image);
    assert_eq!((blobs.len(), parsed.layers.len()), (tars.len(), tars.len()));
    for (index, layer) in image.layers.iter().enumerate() {
        assert_eq!(layer.diff_id, Some(diff_ids[index]));
        assert_eq!(layer.expected.digest, Some(parsed.layers[index].digest));
        assert_eq!(layer.expected.size, Some(parsed.layers[index].size));
        assert_eq!(layer.media_type.as_ref(), Some(&parsed.layers[index].media_type));
        let tar = match parsed.layers[index].media_type.as_str() {
            media_type::OCI_LAYER => blobs[index].clone(),
            media_type::OCI_LAYER_GZIP => gunzip(&blobs[index]),
            media_type::OCI_LAYER_ZSTD => zstd::decode_all(&blobs[index][..]).unwrap(),
            other => panic!("{other}"),
        };
        assert!(tar == tars[index], "layer {index}");
    }
    assert!(source.open_layer(&image, tars.len()).is_err());
    image
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut plain).unwrap();
    plain
}

#[test]
fn every_form() {
    let directory = tempdir().unwrap();
    let (lower, upper) = lower_and_upper();
    let two: [&[u8]; 2] = [&lower, &upper];
    let nowhere = Path::new("/nonexistent");
    let check = |tar: &Tar, tars: &[&[u8]]| {
        let first = assert_image(
            source(&write(directory.path(), &tar.finish()), "", nowhere).unwrap().as_ref(),
            tars,
        );
        // Two blocks of zeros at the end are usual, and not needed.
        let path = write(directory.path(), &tar.unfinished());
        assert_eq!(assert_image(source(&path, "", nowhere).unwrap().as_ref(), tars), first);
        first
    };
    let plain = check(&classic(), &two);
    assert_eq!(check(&classic_by(put_twice), &two), plain);
    for (prefix, style) in [("", Style::Pax), ("./", Style::Gnu), ("", Style::Gnu), ("./", Style::Pax)] {
        check(&linked(prefix, style), &[&lower, &upper, &lower]);
    }
    let blobs = [Layer::plain(&lower), Layer::plain(&upper)];
    // The same image, and so the same manifest, whatever the form.
    assert_eq!(check(&modern(&blobs, &two), &two), plain);
    check(&modern(&[Layer::gzip(&lower), Layer::zstd(&upper)], &two), &two);
}

#[test]
fn compressed_layers_without_a_digest_of_their_own() {
    let directory = tempdir().unwrap();
    let (lower, upper) = lower_and_upper();
    let config = config(&[&lower, &lower, &upper]);
    let list = json!([listed("c.json", &[], &["a.tar", "link.tar", "b.tar"])]);
    let mut tar = Tar::new();
    tar.file("a.tar", 0o644, &Layer::gzip(&lower).blob.unwrap())
        .symlink("link.tar", "a.tar")
        .file("b.tar", 0o644, &Layer::zstd(&upper).blob.unwrap())
        .file("c.json", 0o644, &config)
        .file("manifest.json", 0o644, list.to_string().as_bytes());
    let path = write(directory.path(), &tar.finish());
    assert_image(source(&path, "", Path::new("/nonexistent")).unwrap().as_ref(), &[&lower, &lower, &upper]);
}

#[test]
fn archives_compressed_as_a_whole() {
    let directory = tempdir().unwrap();
    let spool = tempdir().unwrap();
    let (lower, upper) = lower_and_upper();
    let whole = classic().finish();
    let (first, second) = whole.split_at(777);
    let layer = |bytes: &[u8], gzip: bool| {
        let layer = if gzip { Layer::gzip(bytes) } else { Layer::zstd(bytes) };
        layer.blob.unwrap()
    };
    let several = |gzip| [layer(first, gzip), layer(second, gzip)].concat();
    for bytes in [layer(&whole, true), layer(&whole, false), several(true), several(false)] {
        let path = write(directory.path(), &bytes);
        assert_image(source(&path, "", spool.path()).unwrap().as_ref(), &[&lower, &upper]);
        let cut = write(directory.path(), &bytes[..bytes.len() - 9]);
        let error = source(&cut, "", spool.path()).err().unwrap();
        assert!(matches!(error, Error::Malformed { problem: Malformed::Compressed(_), .. }), "{error:?}");
    }
    // A bomb goes off within its bound.
    let path = write(directory.path(), &layer(&vec![0; 8 << 20], false));
    let name = format!("docker-archive:{}", path.display()).parse().unwrap();
    let mut options = SourceOptions::new(spool.path());
    options.spool_bytes = 8 << 20;
    assert!(matches!(open(&name, &options).err(), Some(Error::NotFound(Missing::DockerArchive { .. }))));
    options.spool_bytes -= 1;
    let error = open(&name, &options).err().unwrap();
    let limit = options.spool_bytes;
    assert!(
        matches!(error, Error::Malformed { problem: Malformed::HugeArchive { limit: own }, .. } if own == limit)
    );
    // Empty frames that claim windows of 128 and of 256 MiB.
    let frame = |window| [0x28, 0xb5, 0x2f, 0xfd, 0, window, 1, 0, 0];
    let error = |window| source(&write(directory.path(), &frame(window)), "", spool.path()).err().unwrap();
    assert!(matches!(error(0x88), Error::NotFound(Missing::DockerArchive { .. })), "{:?}", error(0x88));
    let larger = error(0x90);
    assert!(matches!(larger, Error::Malformed { problem: Malformed::Compressed(_), .. }), "{larger:?}");
    assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 0);
}

#[test]
fn an_archive_from_a_pipe() {
    let directory = tempdir().unwrap();
    let (pipe, spool) = (directory.path().join("pipe"), directory.path().join("spool"));
    fs::create_dir(&spool).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (bytes, writer) = (classic().finish(), pipe.clone());
    std::thread::spawn(move || File::options().write(true).open(writer).unwrap().write_all(&bytes).unwrap());
    let (lower, upper) = lower_and_upper();
    assert_image(source(&pipe, ":app:v1", &spool).unwrap().as_ref(), &[&lower, &upper]);
    assert_eq!(fs::read_dir(&spool).unwrap().count(), 0);
}

/// Standard input is the process's: the test starts itself again, with an archive there.
#[test]
fn an_archive_from_standard_input() {
    const CHILD: &str = "OFFSHOOT_OCI_TEST_SAVED";
    if let Some(directory) = std::env::var_os(CHILD) {
        let (lower, upper) = lower_and_upper();
        let source = source(Path::new("-"), "", Path::new(&directory)).unwrap();
        assert_image(source.as_ref(), &[&lower, &upper]);
        println!("read from standard input");
        return;
    }
    let directory = scratch_directory();
    // As `docker save | gzip` gives it.
    let path = write(directory.path(), &Layer::gzip(&classic().finish()).blob.unwrap());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "docker_archives::an_archive_from_standard_input", "--nocapture"])
        .env(CHILD, directory.path())
        .stdin(File::open(path).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("read from standard input"), "{text}");
}

#[test]
fn one_of_several() {
    let directory = tempdir().unwrap();
    let (lower, upper) = lower_and_upper();
    let (first, second) = (config(&[&lower]), config(&[&upper]));
    let list = json!([
        listed("1.json", &["one:latest", "registry.example.com:5000/team/one:v1"], &["l"]),
        listed("2.json", &["two:v2"], &["u"]),
    ]);
    let mut tar = Tar::new();
    tar.file("l", 0o644, &lower).file("u", 0o644, &upper).file("1.json", 0o644, &first);
    tar.file("2.json", 0o644, &second).file("manifest.json", 0o644, list.to_string().as_bytes());
    let path = write(directory.path(), &tar.finish());
    for (tag, expected) in [
        (":one", &first),
        (":docker.io/library/one:latest", &first),
        (":registry.example.com:5000/team/one:v1", &first),
        (":two:v2", &second),
        (":v2", &second),
        (":@1", &second),
    ] {
        assert_eq!(&resolve(&path, tag).unwrap().config.unwrap().bytes, expected, "{tag}");
    }
    let Err(Error::Ambiguous { available, .. }) = resolve(&path, "") else { panic!() };
    assert_eq!(available, ["one:latest", "two:v2"]);
    let gone = resolve(&path, ":two");
    assert!(matches!(&gone, Err(Error::NotFound(Missing::Tag { tag, .. })) if tag == "two"), "{gone:?}");
}

#[test]
fn archives_of_skopeo() {
    if !oracle::available(&["skopeo"]) {
        return;
    }
    let directory = tempdir().unwrap();
    let (lower, upper) = lower_and_upper();
    let layout = directory.path().join("layout");
    let image = Image::new().layer(Layer::gzip(&lower)).layer(Layer::plain(&upper));
    Layout::create(&layout).add("x", &image);
    let saved = directory.path().join("skopeo.tar");
    let skopeo = |arguments: &[String]| {
        let mut command = oracle::command("skopeo");
        command.arg("--insecure-policy").args(arguments);
        oracle::run(&mut command)
    };
    let copy = |from: String, to: String| skopeo(&["copy".into(), "-q".into(), from, to]);
    copy(
        format!("oci:{}:x", layout.display()),
        format!("docker-archive:{}:example.com/app:v1", saved.display()),
    );
    let image =
        assert_image(source(&saved, "", Path::new("/nonexistent")).unwrap().as_ref(), &[&lower, &upper]);
    for tag in [":example.com/app:v1", ":v1", ":@0"] {
        assert_eq!(resolve(&saved, tag).unwrap(), image);
    }
    let of_skopeo = skopeo(&[
        "inspect".into(),
        "--raw".into(),
        "--config".into(),
        format!("docker-archive:{}", saved.display()),
    ]);
    assert_eq!(of_skopeo.trim_end().as_bytes(), image.config.unwrap().bytes);
    // What the other tests take for Docker's work, skopeo takes for it, too, and finds the same in it.
    let path = write(directory.path(), &classic().finish());
    let copied = directory.path().join("copied");
    copy(format!("docker-archive:{}", path.display()), format!("oci:{}:x", copied.display()));
    let theirs = layouts::resolve(&layouts::name(&copied, "x")).unwrap();
    let ours = resolve(&path, "").unwrap();
    let diff_ids = |image: &SourceImage| image.layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>();
    assert_eq!(diff_ids(&theirs), diff_ids(&ours));
}

#[test]
fn another_platform() {
    let directory = tempdir().unwrap();
    let path = write(directory.path(), &classic().finish());
    let source = source(&path, "", Path::new("/nonexistent")).unwrap();
    let error = source.resolve(&"linux/s390x".parse().unwrap()).unwrap_err();
    let Error::NoPlatform { available, .. } = error else { panic!("{error:?}") };
    assert_eq!(available, [Platform::host()]);
}
