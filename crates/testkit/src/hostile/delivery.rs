use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::case::{Case, Image};
use crate::layout::{self, Layer, Layout, Tar, TarEntry};
use crate::registry::Registry;
use crate::sha256;

/// Where an image comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// `oci:`
    OciDirectory,
    /// `oci-archive:`
    OciArchive,
    /// `oci-archive:-`
    OciStdin,
    /// `docker-archive:`
    DockerArchive,
    /// `docker-archive:-`
    DockerStdin,
    /// `tar:`
    Tar,
    /// `tar:-`
    TarStdin,
    /// A registry of this process.
    Registry,
    /// `containers-storage:`, of a program that stands in for buildah.
    ContainersStorage,
    /// `docker-daemon:`, of a program that stands in for docker.
    DockerDaemon,
    /// `dir:`
    Directory,
}

impl Source {
    /// What can bring any layers, and then what can bring one alone.
    pub(super) const OF_LAYERS: [Self; 10] = [
        Self::OciDirectory,
        Self::DockerArchive,
        Self::Registry,
        Self::OciArchive,
        Self::ContainersStorage,
        Self::OciStdin,
        Self::DockerDaemon,
        Self::DockerStdin,
        Self::Tar,
        Self::TarStdin,
    ];
    pub(super) const OF_SEVERAL_LAYERS: &[Self] = Self::OF_LAYERS.split_at(8).0;
}

/// An image where a source has it.
#[derive(Debug)]
pub struct Delivered {
    /// What the program is told.
    pub image: String,
    /// Options of the source.
    pub options: &'static [&'static str],
    /// What it has as its standard input.
    pub stdin: Option<PathBuf>,
    /// A directory with programs that come first in its `PATH`.
    pub programs: Option<PathBuf>,
    _registry: Option<Registry>,
}

impl Case {
    /// Puts the image into an empty directory as a source has it.
    ///
    /// # Panics
    ///
    /// Where the source is not one of [`sources`](Self::sources), or the files cannot be written.
    pub fn deliver(&self, source: Source, directory: &Path) -> Delivered {
        assert!(self.sources().contains(&source), "{}: not from {source:?}", self.name);
        let place = directory.join("image");
        match source {
            Source::OciDirectory => {
                self.write_layout(&place);
                plain(format!("oci:{}:x", place.display()))
            }
            Source::Registry => {
                self.write_layout(&place);
                let registry = Registry::serve(&place);
                if let Image::Registry(_, misbehave) = &self.image {
                    misbehave(&registry);
                }
                Delivered { options: &["--plain-http"], _registry: Some(registry), ..plain(String::new()) }
                    .of_registry()
            }
            Source::OciArchive | Source::OciStdin => {
                let bytes = match &self.image {
                    Image::OciArchive(bytes) => bytes.clone(),
                    _ => {
                        let layout = directory.join("layout");
                        self.write_layout(&layout);
                        archive(&layout)
                    }
                };
                write(&place, &bytes);
                match source {
                    Source::OciArchive => plain(format!("oci-archive:{}:x", place.display())),
                    _ => Delivered { stdin: Some(place), ..plain("oci-archive:-:x".to_owned()) },
                }
            }
            Source::DockerArchive => {
                write(&place, &self.docker_archive());
                plain(format!("docker-archive:{}", place.display()))
            }
            Source::DockerStdin => {
                write(&place, &self.docker_archive());
                Delivered { stdin: Some(place), ..plain("docker-archive:-".to_owned()) }
            }
            Source::ContainersStorage | Source::DockerDaemon => {
                write(&place, &self.docker_archive());
                let programs = directory.join("programs");
                let (program, transport) = match source {
                    Source::DockerDaemon => ("docker", "docker-daemon"),
                    _ => ("buildah", "containers-storage"),
                };
                stand_in(&programs.join(program), &place);
                Delivered { programs: Some(programs), ..plain(format!("{transport}:app:v1")) }
            }
            Source::Tar | Source::TarStdin => {
                let Image::Layers(layers) = &self.image else { panic!("{}: no layers", self.name) };
                write(&place, layers[0].blob.as_deref().unwrap_or_default());
                match source {
                    Source::Tar => plain(format!("tar:{}", place.display())),
                    _ => Delivered { stdin: Some(place), ..plain("tar:-".to_owned()) },
                }
            }
            Source::Directory => {
                let Image::Directory(fill) = &self.image else { panic!("{}: no directory", self.name) };
                make_directory(&place);
                fill(&place);
                plain(format!("dir:{}", place.display()))
            }
        }
    }

    fn write_layout(&self, place: &Path) {
        match &self.image {
            Image::Layers(layers) => {
                let image = layers.iter().cloned().fold(layout::Image::new(), layout::Image::layer);
                Layout::create(place).add("x", &image);
            }
            Image::Layout(fill) | Image::LayoutDirectory(fill) | Image::Registry(fill, _) => fill(place),
            _ => panic!("{}: no layout", self.name),
        }
    }

    fn docker_archive(&self) -> Vec<u8> {
        match &self.image {
            Image::DockerArchive(bytes) => bytes.clone(),
            Image::Layers(layers) => docker_archive(layers),
            _ => panic!("{}: no Docker archive", self.name),
        }
    }
}

impl Delivered {
    fn of_registry(mut self) -> Self {
        let reference = self._registry.as_ref().map(|registry| registry.reference("app", "x"));
        self.image = reference.unwrap_or_default();
        self
    }
}

fn plain(image: String) -> Delivered {
    Delivered { image, options: &[], stdin: None, programs: None, _registry: None }
}

/// The layers as `docker save` would put them.
pub(super) fn docker_archive(layers: &[Layer]) -> Vec<u8> {
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    let config = config(&json!({"type": "layers", "diff_ids": diff_ids}));
    let mut tar = Tar::new();
    let mut names = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let name = format!("{index}/layer.tar");
        tar.file(&name, 0o644, layer.blob.as_deref().unwrap_or_default());
        names.push(name);
    }
    let config_name = format!("{}.json", sha256(&config));
    tar.file(&config_name, 0o644, &config);
    let list = json!([{"Config": config_name, "RepoTags": ["app:v1"], "Layers": names}]);
    tar.file("manifest.json", 0o644, list.to_string().as_bytes());
    tar.finish()
}

/// A configuration for this machine with that `rootfs`.
pub(super) fn config(rootfs: &serde_json::Value) -> Vec<u8> {
    json!({"architecture": layout::architecture(), "os": "linux", "config": {}, "rootfs": rootfs})
        .to_string()
        .into_bytes()
}

/// The files of a layout as a tar.
pub(super) fn archive(layout: &Path) -> Vec<u8> {
    let mut tar = Tar::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(path) = pending.pop() {
        let full = layout.join(&path);
        if full.is_dir() {
            let entries = fs::read_dir(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()));
            pending.extend(entries.flatten().map(|entry| path.join(entry.file_name())));
        } else {
            let contents = fs::read(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()));
            let name = path.to_string_lossy().into_owned();
            tar.entry(&TarEntry { contents, ..TarEntry::new(name, b'0') });
        }
    }
    tar.finish()
}

/// A program that writes a file to its standard output, whatever it is asked.
fn stand_in(program: &Path, file: &Path) {
    make_directory(program.parent().unwrap_or(Path::new(".")));
    write(program, format!("#!/bin/sh\nexec cat '{}'\n", file.display()).as_bytes());
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(program, executable).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
}

fn make_directory(path: &Path) {
    fs::create_dir_all(path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}
