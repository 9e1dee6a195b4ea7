mod clones;
mod contenders;
mod extents;
mod options;
mod report;
mod sources;
mod throttle;

use std::path::Path;

use offshoot_testkit::samples::Sample;
use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle, scratch_directory};

use crate::packages;
use crate::run::{Failure, build_program};
use contenders::Bench;
use options::{Options, Subject};
use report::Report;
use sources::Sources;

/// Of the scratch filesystems: the samples' store, an unpacked image and two disks, sparse.
const SCRATCH_BYTES: u64 = 12 << 30;

/// Measures the program against what one would use without it; prints a table.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let Some(options) = Options::parse(arguments)? else {
        print!("{}", options::HELP);
        return Ok(());
    };
    packages::install()?;
    let program = options.program.clone().map_or_else(build_program, Ok)?;
    let needed = ["umoci", "mke2fs", "igzip", "time", "filefrag", "qemu-img", "qemu-io", "docker-registry"];
    if !Sample::Dev.available() || !oracle::available(&needed) {
        return Err(Failure::Unexpected("the bench needs its oracles".to_owned()));
    }
    let mut report = Report::default();
    let outcome = everywhere(&options, &program, &mut report);
    // What was measured before a failure is shown all the same.
    print!("{}", report.text());
    outcome?;
    options.write(&report)
}

fn everywhere(options: &Options, program: &Path, report: &mut Report) -> Result<(), Failure> {
    let host = scratch_directory();
    at("host", host.path(), options, program, report)?;
    for (place, filesystem) in [("xfs", Filesystem::Xfs), ("btrfs", Filesystem::Btrfs)] {
        if filesystem.available() {
            let scratch = ScratchFilesystem::new(filesystem, SCRATCH_BYTES);
            at(place, scratch.path(), options, program, report)?;
        }
    }
    Ok(())
}

fn at(
    place: &'static str,
    directory: &Path,
    options: &Options,
    program: &Path,
    report: &mut Report,
) -> Result<(), Failure> {
    let layout = Sample::Dev.layout();
    let runs = options.runs;
    for subject in &options.subjects {
        eprintln!("xtask: {place}: {subject:?}");
        match subject {
            Subject::Clones => {
                let store = directory.join("clones");
                std::fs::create_dir_all(&store).map_err(|error| Failure::File(store.clone(), error))?;
                let image = format!("oci:{}:dev", layout.display());
                clones::at(place, &store, &image, program, report)?;
                contenders::remove(&store)?;
            }
            // Nothing of these is said of btrfs.
            _ if place == "btrfs" => {}
            Subject::Builds => {
                Bench { program: program.to_owned(), layout: layout.clone(), runs }
                    .at(place, directory, report)?;
            }
            Subject::Sources => {
                Sources { program: program.to_owned(), layout: layout.clone(), runs }
                    .at(place, directory, report)?;
            }
        }
    }
    Ok(())
}
