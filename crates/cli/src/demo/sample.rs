use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use offshoot::{Digest, Platform};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::exit::Error;

const DIRECTORIES: usize = 20;
const FILES_PER_DIRECTORY: usize = 50;

/// Writes an OCI image layout with one image, `sample`; the bytes of its layers' tars.
pub(super) fn write(layout: &Path) -> Result<u64, Error> {
    write_layout(layout).map_err(Error::file("write the sample image to", layout))
}

fn write_layout(layout: &Path) -> io::Result<u64> {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let tars = [base()?, files()?, changes()?];
    let mut layers = Vec::new();
    let mut diff_ids = Vec::new();
    for tar in &tars {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(tar)?;
        layers.push(blob(&blobs, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip.finish()?)?);
        diff_ids.push(Digest::of(tar));
    }
    let platform = Platform::host().to_string();
    let (os, architecture) = platform.split_once('/').unwrap_or(("linux", "amd64"));
    let architecture = architecture.split('/').next().unwrap_or(architecture);
    let config = json!({
        "os": os,
        "architecture": architecture,
        "config": {"Entrypoint": ["/bin/offshoot"], "Cmd": ["--version"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = blob(&blobs, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers});
    let mut manifest = blob(&blobs, manifest_type, manifest.to_string().as_bytes())?;
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "sample"});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(layout.join("index.json"), index.to_string())?;
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(tars.iter().map(|tar| tar.len() as u64).sum())
}

/// Writes a blob and gives its descriptor.
fn blob(blobs: &Path, media_type: &str, bytes: &[u8]) -> io::Result<Value> {
    let digest = Digest::of(bytes);
    fs::write(blobs.join(digest.hex()), bytes)?;
    Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
}

/// This very program, and what a root filesystem has.
fn base() -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for directory in ["bin", "dev", "etc", "proc", "run", "sys", "tmp", "var", "var/log"] {
        entry(
            &mut tar,
            directory,
            EntryType::Directory,
            if directory == "tmp" { 0o1777 } else { 0o755 },
            &[],
        )?;
    }
    let program = std::env::current_exe()?;
    let mut header = header(EntryType::Regular, 0o755, program.metadata()?.len());
    tar.append_data(&mut header, "bin/offshoot", File::open(program)?)?;
    entry(&mut tar, "etc/hostname", EntryType::Regular, 0o644, b"sample\n")?;
    entry(&mut tar, "etc/motd", EntryType::Regular, 0o644, b"to be replaced\n")?;
    entry(&mut tar, "var/log/old.log", EntryType::Regular, 0o644, b"to be deleted\n")?;
    tar.into_inner()
}

/// A thousand small files and a large one, the same on every run.
fn files() -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    let mut text = Words(1);
    for directory in 0..DIRECTORIES {
        for file in 0..FILES_PER_DIRECTORY {
            let path = format!("usr/share/sample/{directory:02}/{file:02}.txt");
            let contents = text.take(200 + 40 * file);
            entry(&mut tar, &path, EntryType::Regular, 0o644, &contents)?;
        }
    }
    let large = text.take(2 << 20);
    entry(&mut tar, "usr/share/sample/large.txt", EntryType::Regular, 0o644, &large)?;
    tar.into_inner()
}

/// What a later layer does: replaces, deletes, links.
fn changes() -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    entry(&mut tar, "etc/motd", EntryType::Regular, 0o644, b"OCI images in, microVM disks out.\n")?;
    entry(&mut tar, "var/log/.wh.old.log", EntryType::Regular, 0o644, &[])?;
    let mut link = header(EntryType::Symlink, 0o777, 0);
    tar.append_link(&mut link, "bin/init", "offshoot")?;
    let mut link = header(EntryType::Link, 0o755, 0);
    tar.append_link(&mut link, "bin/microvm-disks", "bin/offshoot")?;
    tar.into_inner()
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(1_000_000_000);
    header
}

fn entry(
    tar: &mut Builder<Vec<u8>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    contents: &[u8],
) -> io::Result<()> {
    tar.append_data(&mut header(kind, mode, contents.len() as u64), path, contents)
}

/// Text of no meaning, by a linear congruential generator.
struct Words(u64);

impl Words {
    fn take(&mut self, bytes: usize) -> Vec<u8> {
        const WORDS: [&[u8]; 8] =
            [b"disk ", b"layer ", b"pack ", b"tree ", b"clone ", b"image ", b"block\n", b"template "];
        let mut text = Vec::with_capacity(bytes + 16);
        while text.len() < bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.extend_from_slice(WORDS[(self.0 >> 61) as usize]);
        }
        text.truncate(bytes);
        text
    }
}
