use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use offshoot_testkit::layout::{Tar, TarEntry};
use offshoot_testkit::{oracle, reflink_supported};
use serde_json::Value;

use super::extents::Extents;
use super::report::{Report, Target, median};
use crate::run::{Failure, output, run};

const MIB: f64 = 1024.0 * 1024.0;

/// What is measured, and how often.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) program: PathBuf,
    /// An OCI layout with the tag `dev`.
    pub(super) layout: PathBuf,
    pub(super) runs: usize,
}

/// Seconds of one cold build, and its peak of memory.
#[derive(Clone, Copy, Debug)]
struct Cold {
    seconds: f64,
    peak_mib: f64,
}

/// Seconds of the steps that one would take without offshoot.
#[derive(Clone, Copy, Debug)]
struct ByHand {
    unpack: f64,
    mke2fs: f64,
    sync: f64,
}

impl ByHand {
    fn total(self) -> f64 {
        self.unpack + self.mke2fs + self.sync
    }
}

impl Bench {
    /// Measures everything with all files in one directory.
    pub(super) fn at(
        &self,
        place: &'static str,
        directory: &Path,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let shares = reflink_supported(directory);
        let (mut cold, mut by_hand, mut inflate, mut rebuild) = (vec![], vec![], vec![], vec![]);
        let store = directory.join("store");
        // One round that does not count: it loads the layers and the programs into the page cache.
        self.cold(&store)?;
        let size =
            fs::metadata(template(&store)?).map_err(|error| Failure::File(store.clone(), error))?.len();
        for round in 0..self.runs {
            let mut contenders = [0, 1, 2];
            contenders.rotate_left(round % 3);
            for contender in contenders {
                settle()?;
                match contender {
                    0 => cold.push(self.cold(&store)?),
                    1 => by_hand.push(self.by_hand(directory, size)?),
                    _ => inflate.push(self.inflate()?),
                }
            }
            settle()?;
            rebuild.push(self.rebuild(&store)?);
            eprintln!("xtask: {place}: round {} of {}", round + 1, self.runs);
        }
        let seconds: Vec<f64> = cold.iter().map(|cold| cold.seconds).collect();
        let totals: Vec<f64> = by_hand.iter().map(|by_hand| by_hand.total()).collect();
        let median_cold = median(&seconds);
        report.add(place, "cold build of dev to a synced disk", "s", &seconds, None);
        for (step, runs) in [
            ("umoci unpack", by_hand.iter().map(|by_hand| by_hand.unpack).collect::<Vec<_>>()),
            ("mke2fs -d", by_hand.iter().map(|by_hand| by_hand.mke2fs).collect()),
            ("sync", by_hand.iter().map(|by_hand| by_hand.sync).collect()),
        ] {
            report.add(place, step, "s", &runs, None);
        }
        let faster = median(&totals) / median_cold;
        report.add(place, "umoci + mke2fs + sync / cold build", "×", &[faster], Some(Target::AtLeast(5.0)));
        report.add(place, "igzip -dc of the layers to nowhere", "s", &inflate, None);
        let slower = median_cold / median(&inflate);
        report.add(place, "cold build / igzip", "×", &[slower], Some(Target::AtMost(2.2)));
        let peaks: Vec<f64> = cold.iter().map(|cold| cold.peak_mib).collect();
        report.add(place, "peak memory of the cold build", "MiB", &peaks, Some(Target::AtMost(96.0)));
        report.add(place, "rebuild with the layers packed", "s", &rebuild, None);
        let ratio = median_cold / median(&rebuild);
        let target = shares.then_some(Target::AtLeast(15.0));
        report.add(place, "cold build / rebuild", "×", &[ratio], target);
        if shares {
            self.sharing(place, &store, report)?;
        }
        self.directories(place, directory, report)?;
        remove(&store)
    }

    fn offshoot(&self, store: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--store").arg(store).args(["--progress", "none"]);
        command.stdin(Stdio::null());
        command
    }

    fn image(&self) -> String {
        format!("oci:{}:dev", self.layout.display())
    }

    /// A build in a store that was not there.
    fn cold(&self, store: &Path) -> Result<Cold, Failure> {
        remove(store)?;
        settle()?;
        let peak = tempfile::NamedTempFile::new()
            .map_err(|error| Failure::File("a temporary file".into(), error))?;
        let mut command = oracle::command("time");
        command.args(["-f", "%M", "-o"]).arg(peak.path()).arg(&self.program);
        command.arg("--store").arg(store).args(["--progress", "none", "build", &self.image()]);
        let seconds = timed(&mut command)?;
        let text =
            fs::read_to_string(peak.path()).map_err(|error| Failure::File(peak.path().into(), error))?;
        let kib: f64 = text.trim().parse().map_err(|_| Failure::Unexpected(format!("time said {text:?}")))?;
        Ok(Cold { seconds, peak_mib: kib / 1024.0 })
    }

    /// A build in a store that has the packs, but not the template.
    fn rebuild(&self, store: &Path) -> Result<f64, Failure> {
        if !store.exists() {
            self.cold(store)?;
        }
        for area in ["templates", "names"] {
            let path = store.join(area);
            for entry in entries(&path)? {
                remove(&entry)?;
            }
        }
        settle()?;
        timed(self.offshoot(store).args(["build", &self.image()]))
    }

    fn by_hand(&self, directory: &Path, size: u64) -> Result<ByHand, Failure> {
        let (bundle, disk) = (directory.join("bundle"), directory.join("disk.ext4"));
        let image = format!("{}:dev", self.layout.display());
        let unpack = timed(oracle::command("umoci").args(["unpack", "--image", &image]).arg(&bundle))?;
        let mut mke2fs = oracle::command("mke2fs");
        mke2fs.args(["-q", "-t", "ext4", "-d"]).arg(bundle.join("rootfs")).arg(&disk);
        let mke2fs = timed(mke2fs.arg(format!("{}k", size / 1024)))?;
        let sync = timed(&mut oracle::command("sync"))?;
        remove(&bundle)?;
        remove(&disk)?;
        Ok(ByHand { unpack, mke2fs, sync })
    }

    fn inflate(&self) -> Result<f64, Failure> {
        let layers = layers(&self.layout)?;
        timed(oracle::command("igzip").arg("-dc").args(layers).stdout(Stdio::null()))
    }

    fn sharing(&self, place: &'static str, store: &Path, report: &mut Report) -> Result<(), Failure> {
        let extents = Extents::of(&template(store)?)?;
        let count = u32::try_from(extents.count).unwrap_or(u32::MAX);
        report.add(place, "extents of the template", "", &[f64::from(count)], Some(Target::AtMost(16.0)));
        let mib = |bytes: u64| bytes as f64 / MIB;
        report.add(place, "allocated by the template", "MiB", &[mib(extents.bytes)], None);
        let percent = 100.0 * extents.shared as f64 / extents.bytes as f64;
        report.add(place, "of that shared with the packs", "%", &[percent], Some(Target::AtLeast(50.0)));
        Ok(())
    }

    /// Ten times as many files in one directory should take ten times as long, not a hundred.
    fn directories(&self, place: &'static str, directory: &Path, report: &mut Report) -> Result<(), Failure> {
        let mut medians = Vec::new();
        for count in [20_000, 200_000] {
            let tar = directory.join("files.tar");
            fs::write(&tar, many_files(count)).map_err(|error| Failure::File(tar.clone(), error))?;
            let mut runs = Vec::new();
            for _ in 0..self.runs {
                let store = directory.join("store-of-files");
                settle()?;
                let image = format!("tar:{}", tar.display());
                runs.push(timed(self.offshoot(&store).args(["build", &image]))?);
                remove(&store)?;
            }
            remove(&tar)?;
            medians.push(median(&runs));
            report.add(place, format!("build of {count} empty files in one directory"), "s", &runs, None);
        }
        let ratio = medians[1] / medians[0];
        report.add(place, "200,000 files / 20,000 files", "×", &[ratio], Some(Target::AtMost(12.0)));
        Ok(())
    }
}

fn many_files(count: u32) -> Vec<u8> {
    let mut tar = Tar::new();
    tar.directory("many", 0o755);
    for index in 0..count {
        tar.entry(&TarEntry::new(format!("many/file-{index:07}"), b'0'));
    }
    tar.finish()
}

/// The blobs of dev's layers in an OCI layout.
pub(super) fn layers(layout: &Path) -> Result<Vec<PathBuf>, Failure> {
    let blob = |digest: &str| layout.join("blobs").join(digest.replace(':', "/"));
    let index = read_json(&layout.join("index.json"))?;
    let named = |manifest: &&Value| manifest["annotations"]["org.opencontainers.image.ref.name"] == "dev";
    let manifest = index["manifests"].as_array().and_then(|manifests| manifests.iter().find(named));
    let digest = manifest.and_then(|manifest| manifest["digest"].as_str());
    let digest = digest.ok_or_else(|| Failure::Unexpected("the layout has no dev".to_owned()))?;
    let manifest = read_json(&blob(digest))?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    Ok(layers.filter_map(|layer| layer["digest"].as_str()).map(blob).collect())
}

/// Seconds that a command takes; what it prints is dropped.
pub(super) fn timed(command: &mut Command) -> Result<f64, Failure> {
    let start = Instant::now();
    output(command)?;
    Ok(start.elapsed().as_secs_f64())
}

/// Nobody pays for what was written before.
pub(super) fn settle() -> Result<(), Failure> {
    run(&mut oracle::command("sync"))
}

/// The one template of a store.
fn template(store: &Path) -> Result<PathBuf, Failure> {
    match entries(&store.join("templates"))?.as_slice() {
        [only] => Ok(only.join("rootfs.ext4")),
        other => Err(Failure::Unexpected(format!("{} templates in {}", other.len(), store.display()))),
    }
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fail = |error| Failure::File(directory.to_owned(), error);
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path()).map_err(fail)).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(fail(error)),
    }
}

pub(super) fn remove(path: &Path) -> Result<(), Failure> {
    let outcome = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match outcome {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::File(path.to_owned(), error))
        }
        _ => Ok(()),
    }
}

fn read_json(path: &Path) -> Result<Value, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::File(path.to_owned(), error))?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::File(path.to_owned(), error.into()))
}
