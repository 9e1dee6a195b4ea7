use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use offshoot_oci::{Error, Missing, Platform, Unsupported, media_type};
use offshoot_testkit::layout::Layer;
use tempfile::tempdir;

use crate::directories::read;
use crate::layouts::{resolve, source, tar};

fn name(path: &Path) -> offshoot_oci::ImageName {
    format!("tar:{}", path.display()).parse().unwrap()
}

#[test]
fn a_tarball_is_one_layer_whatever_its_compression() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("rootfs");
    let plain = tar(b"x");
    for (bytes, media_type) in [
        (plain.clone(), media_type::OCI_LAYER),
        (Layer::gzip(&plain).blob.unwrap(), media_type::OCI_LAYER_GZIP),
        (Layer::zstd(&plain).blob.unwrap(), media_type::OCI_LAYER_ZSTD),
        (Vec::new(), media_type::OCI_LAYER),
        (b"BZhello.txt".to_vec(), media_type::OCI_LAYER),
    ] {
        fs::write(&path, &bytes).unwrap();
        let source = source(&name(&path)).unwrap();
        let image = source.resolve(&Platform::host()).unwrap();
        assert!(image.manifest.is_none() && image.config.is_none());
        let [layer] = &image.layers[..] else { panic!("{image:?}") };
        assert_eq!(layer.media_type.as_deref(), Some(media_type));
        assert_eq!((layer.expected.size, layer.expected.digest), (Some(bytes.len() as u64), None));
        assert_eq!(layer.diff_id, None);
        // A file can be read again, and by several at once.
        let (first, second) = (source.open_layer(&image, 0).unwrap(), source.open_layer(&image, 0).unwrap());
        assert_eq!((read(first), read(second)), (bytes.clone(), bytes));
        assert!(matches!(source.open_layer(&image, 1).err(), Some(Error::NotFound(Missing::Layer(1)))));
    }
}

#[test]
fn a_pipe_is_read_once() {
    let directory = tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let bytes = Layer::gzip(&tar(&[b'x'; 300_000])).blob.unwrap();
    let (sent, writer) = (bytes.clone(), pipe.clone());
    std::thread::spawn(move || File::options().write(true).open(writer).unwrap().write_all(&sent).unwrap());
    let source = source(&name(&pipe)).unwrap();
    let image = source.resolve(&Platform::host()).unwrap();
    assert_eq!(image.layers[0].media_type.as_deref(), Some(media_type::OCI_LAYER_GZIP));
    assert_eq!(image.layers[0].expected.size, None);
    assert!(read(source.open_layer(&image, 0).unwrap()) == bytes);
    let again = source.open_layer(&image, 0).err().unwrap();
    assert!(matches!(&again, Error::AlreadyRead { path } if *path == pipe), "{again:?}");
}

/// Standard input is the process's: the test starts itself again, with a tarball there.
#[test]
fn a_tarball_from_standard_input() {
    const CHILD: &str = "OFFSHOOT_OCI_TEST_TARBALL";
    let expected = tar(b"from standard input");
    if std::env::var_os(CHILD).is_some() {
        let source = source(&"tar:-".parse().unwrap()).unwrap();
        let image = source.resolve(&Platform::host()).unwrap();
        assert_eq!(read(source.open_layer(&image, 0).unwrap()), expected);
        println!("read from standard input");
        return;
    }
    let directory = tempdir().unwrap();
    let path = directory.path().join("rootfs.tar");
    fs::write(&path, &expected).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tarballs::a_tarball_from_standard_input", "--nocapture"])
        .env(CHILD, "1")
        .stdin(File::open(&path).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("read from standard input"), "{text}");
}

#[test]
fn what_is_no_tarball() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("rootfs");
    for (magic, expected) in [(&b"\xfd7zXZ\0\0\0"[..], "xz"), (b"BZh91AY&SY", "bzip2")] {
        fs::write(&path, magic).unwrap();
        let Err(Error::Unsupported { reason: Unsupported::Compression(found), .. }) = resolve(&name(&path))
        else {
            panic!("{expected}")
        };
        assert_eq!(found, expected);
    }
    assert!(matches!(resolve(&name(directory.path())), Err(Error::WrongKind { .. })));
    assert!(matches!(resolve(&name(&directory.path().join("gone"))), Err(Error::NotFound(Missing::Path(_)))));
}
