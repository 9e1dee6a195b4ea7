//! Real images to try offshoot on, made once and kept in the target directory.
//!
//! `OFFSHOOT_SAMPLES=DIR` names a ready-made OCI layout with the same tags to use instead.

mod debian;
mod tiny;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Locked, oracle, sha256, target_directory};

/// One image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A static busybox and every kind of node and change that a layer can hold: 3 layers (gzip, since
    /// umoci knows no zstd), 2 MB.
    Tiny,
    /// Debian with systemd: 1 layer, 300 MB.
    Debian,
    /// Debian with compilers, git and python: 4 layers, 900 MB.
    Dev,
    /// One small layer on top of `Dev`.
    App,
}

impl Sample {
    /// All of them, the smallest first.
    pub const ALL: [Self; 4] = [Self::Tiny, Self::Debian, Self::Dev, Self::App];

    /// Its tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Debian => "debian",
            Self::Dev => "dev",
            Self::App => "app",
        }
    }

    /// Whether it is there or can be made; as [`oracle::available`] otherwise.
    pub fn available(self) -> bool {
        match self {
            _ if ready_made().is_some() => true,
            Self::Tiny => oracle::available(&["busybox"]),
            _ => oracle::root() && oracle::available(&["mmdebstrap", "buildah"]),
        }
    }

    /// The OCI layout that it is in; makes it the first time, which takes minutes for all but `Tiny`.
    pub fn layout(self) -> PathBuf {
        ready_made().unwrap_or_else(|| match self {
            Self::Tiny => cached("tiny", &tiny::recipe(), tiny::build),
            _ => cached("debian", &debian::recipe(), debian::build),
        })
    }

    /// `LAYOUT:TAG`, as umoci takes it; `oci:` before it is offshoot's and skopeo's.
    pub fn reference(self) -> String {
        format!("{}:{}", self.layout().display(), self.tag())
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

fn ready_made() -> Option<PathBuf> {
    std::env::var_os("OFFSHOOT_SAMPLES").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The directory that the recipe makes: named by its digest, so that another recipe makes another.
fn cached(name: &str, recipe: &[u8], build: fn(&Path)) -> PathBuf {
    let parent = target_directory().join("samples");
    let _lock = Locked::new(&parent.join(format!("{name}.lock")));
    let digest = sha256(recipe).to_string();
    let directory = parent.join(format!("{name}-{}", &digest[..16]));
    if directory.is_dir() {
        return directory;
    }
    let fail = |error| -> ! { panic!("cannot make the sample {name} in {}: {error}", parent.display()) };
    for entry in fs::read_dir(&parent).unwrap_or_else(|error| fail(error)) {
        let path = entry.unwrap_or_else(|error| fail(error)).path();
        let of_before = path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
        if of_before && path.is_dir() {
            fs::remove_dir_all(&path).unwrap_or_else(|error| fail(error));
        }
    }
    let staging = tempfile::Builder::new()
        .prefix(&format!("{name}-staging-"))
        .tempdir_in(&parent)
        .unwrap_or_else(|error| fail(error));
    let layout = staging.path().join("layout");
    fs::create_dir(&layout).unwrap_or_else(|error| fail(error));
    build(&layout);
    fs::rename(&layout, &directory).unwrap_or_else(|error| fail(error));
    directory
}
