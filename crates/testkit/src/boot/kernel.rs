use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Locked, oracle, target_directory};

/// What a disk on a virtio bus needs, in the order of their insertion; its filesystem follows.
const MODULES: [&str; 6] =
    ["virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk"];

/// Packages that depend on the newest kernel: Debian's, Ubuntu's.
const PACKAGES: [&str; 2] = ["linux-image-cloud-amd64", "linux-image-virtual"];

/// A kernel that was taken out of its package, without installing it.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    /// In the order in which they are to be inserted; those built in are not among them.
    pub(super) modules: Vec<PathBuf>,
}

impl Kernel {
    /// The kernel in the target directory, with modules for that filesystem; fetched with apt-get the first time.
    pub(super) fn obtain(filesystem: &str) -> Self {
        let directory = target_directory().join("oracles").join("kernel");
        let _lock = Locked::new(&directory.with_extension("lock"));
        if !directory.is_dir() {
            fetch(&directory);
        }
        Self::open(&directory, filesystem)
    }

    fn open(directory: &Path, filesystem: &str) -> Self {
        let boot = directory.join("boot");
        let image = list(&boot)
            .into_iter()
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")))
            .unwrap_or_else(|| panic!("no vmlinuz in {}", boot.display()));
        let lib = [directory.join("lib/modules"), directory.join("usr/lib/modules")];
        let release = lib.iter().filter(|lib| lib.is_dir()).flat_map(|lib| list(lib)).next();
        let mut available = BTreeMap::new();
        if let Some(release) = release {
            find_modules(&release, &mut available);
        }
        let mut modules = Vec::new();
        for name in MODULES.into_iter().chain([filesystem]) {
            insert(name, &available, &mut modules);
        }
        Self { image, modules }
    }
}

/// Puts a module behind those it depends on. One that is not there is built in.
fn insert(name: &str, available: &BTreeMap<String, PathBuf>, modules: &mut Vec<PathBuf>) {
    let Some(path) = available.get(name).filter(|path| !modules.contains(path)) else { return };
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for dependency in dependencies(&bytes) {
        insert(&dependency, available, modules);
    }
    modules.push(path.clone());
}

/// What the `.modinfo` section says after `depends=`.
fn dependencies(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(at) = module.windows(key.len()).position(|window| window == key) else { return Vec::new() };
    let text = module[at + key.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    text.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

fn find_modules(directory: &Path, found: &mut BTreeMap<String, PathBuf>) {
    for path in list(directory) {
        if path.is_dir() && !path.is_symlink() {
            find_modules(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().replace('-', "_");
            found.insert(name, path);
        }
    }
}

fn list(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", directory.display()));
    paths.sort();
    paths
}

fn fetch(directory: &Path) {
    let parent = directory.parent().unwrap_or(Path::new("."));
    let staging =
        tempfile::tempdir_in(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
    if !download(staging.path()) {
        // Package lists may be missing, or older than the mirror.
        oracle::run(oracle::command("apt-get").args(["update", "-q"]));
        assert!(download(staging.path()), "cannot download the kernel of any of {PACKAGES:?}");
    }
    let package = list(staging.path()).into_iter().find(|path| path.extension().is_some_and(|e| e == "deb"));
    let package = package.unwrap_or_else(|| panic!("apt-get download left no package"));
    let unpacked = staging.path().join("unpacked");
    oracle::run(oracle::command("dpkg-deb").arg("-x").arg(package).arg(&unpacked));
    fs::rename(&unpacked, directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
}

fn download(directory: &Path) -> bool {
    PACKAGES.iter().any(|package| {
        let depends = oracle::output(oracle::command("apt-cache").args(["depends", package]));
        let depends = String::from_utf8_lossy(&depends.stdout).into_owned();
        let image = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
        image.is_some_and(|image| {
            let mut command = oracle::command("apt-get");
            command.args(["-q", "-o", "APT::Sandbox::User=root", "download"]);
            command.arg(format!("linux-image-{image}")).current_dir(directory);
            oracle::output(&mut command).status.success()
        })
    })
}
