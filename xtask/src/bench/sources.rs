use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use offshoot_testkit::oracle;
use offshoot_testkit::registry::{DockerRegistry, Setup};

use super::contenders::{layers, remove, settle, timed};
use super::report::{Report, Target, median};
use super::throttle::Throttle;
use crate::run::Failure;

/// Of the throttled link.
const BYTES_PER_SECOND: f64 = 100e6;

/// Pulls and unpacks.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) program: PathBuf,
    /// An OCI layout with the tag `dev`.
    pub(super) layout: PathBuf,
    pub(super) runs: usize,
}

impl Sources {
    pub(super) fn at(
        &self,
        place: &'static str,
        directory: &Path,
        report: &mut Report,
    ) -> Result<(), Failure> {
        self.registry(place, directory, report)?;
        self.unpack(place, directory, report)
    }

    /// A pull out of a registry on this machine, beside a build out of a local layout.
    fn registry(&self, place: &'static str, directory: &Path, report: &mut Report) -> Result<(), Failure> {
        let registry = DockerRegistry::start(Setup::Plain);
        registry.push(&self.local(), "dev", "latest");
        let throttle = Throttle::before(registry.host(), BYTES_PER_SECOND)
            .map_err(|error| Failure::File("a listening socket".into(), error))?;
        let remote = registry.reference("dev", "latest");
        let slow = format!("{}/dev:latest", throttle.host());
        let store = directory.join("store");
        let (mut local, mut pulled, mut throttled, mut transfer) = (vec![], vec![], vec![], vec![]);
        self.fresh(&store, "pull", &remote)?;
        for _ in 0..self.runs {
            local.push(self.fresh(&store, "build", &self.local())?);
            pulled.push(self.fresh(&store, "pull", &remote)?);
            throttled.push(self.fresh(&store, "pull", &slow)?);
            transfer.push(self.transfer(throttle.host())?);
        }
        remove(&store)?;
        report.add(place, "cold build of dev from a layout", "s", &local, None);
        report.add(place, "pull of dev from a registry", "s", &pulled, None);
        let ratio = median(&pulled) / median(&local);
        report.add(place, "pull from a registry / cold build", "×", &[ratio], Some(Target::AtMost(1.25)));
        report.add(place, "pull of dev over 100 MB/s", "s", &throttled, None);
        report.add(place, "its layers' transfer alone over 100 MB/s", "s", &transfer, None);
        let ratio = median(&throttled) / median(&transfer);
        report.add(place, "pull over 100 MB/s / transfer alone", "×", &[ratio], Some(Target::AtMost(1.1)));
        Ok(())
    }

    fn local(&self) -> String {
        format!("oci:{}:dev", self.layout.display())
    }

    fn offshoot(&self, store: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--store").arg(store).args(["--progress", "none"]).stdin(Stdio::null());
        command
    }

    /// A command on an image, in a store that was not there.
    fn fresh(&self, store: &Path, command: &str, image: &str) -> Result<f64, Failure> {
        remove(store)?;
        settle()?;
        timed(self.offshoot(store).args([command, "--plain-http", image]))
    }

    /// As many bytes as the layers have, fetched one after the other and dropped.
    fn transfer(&self, host: &str) -> Result<f64, Failure> {
        let start = Instant::now();
        for layer in layers(&self.layout)? {
            let digest = layer.file_name().unwrap_or_default().to_string_lossy().into_owned();
            fetch(host, &format!("/v2/dev/blobs/sha256:{digest}"))
                .map_err(|error| Failure::File(layer, error))?;
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// A directory of the image's files, with its layers packed and without, beside umoci's.
    fn unpack(&self, place: &'static str, directory: &Path, report: &mut Report) -> Result<(), Failure> {
        let (store, target) = (directory.join("store"), directory.join("rootfs"));
        let (mut packed, mut cold, mut umoci) = (vec![], vec![], vec![]);
        let image = self.local();
        for _ in 0..self.runs {
            remove(&store)?;
            settle()?;
            cold.push(timed(self.offshoot(&store).args(["unpack", &image]).arg(&target))?);
            remove(&target)?;
            settle()?;
            packed.push(timed(self.offshoot(&store).args(["unpack", &image]).arg(&target))?);
            remove(&target)?;
            settle()?;
            let source = format!("{}:dev", self.layout.display());
            umoci.push(timed(oracle::command("umoci").args(["unpack", "--image", &source]).arg(&target))?);
            remove(&target)?;
        }
        remove(&store)?;
        report.add(place, "unpack of dev, layers packed", "s", &packed, None);
        report.add(place, "unpack of dev, cold", "s", &cold, None);
        report.add(place, "umoci unpack", "s", &umoci, None);
        let is_xfs = place == "xfs";
        for (what, runs, bound) in
            [("umoci / unpack, layers packed", &packed, 8.0), ("umoci / unpack, cold", &cold, 3.0)]
        {
            let ratio = median(&umoci) / median(runs);
            report.add(place, what, "×", &[ratio], is_xfs.then_some(Target::AtLeast(bound)));
        }
        Ok(())
    }
}

/// Reads one answer to its end.
fn fetch(host: &str, path: &str) -> std::io::Result<u64> {
    use std::io::{Read, Write};
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}
