mod contenders;
mod extents;
mod options;
mod report;

use offshoot_testkit::samples::Sample;
use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle, scratch_directory};

use crate::packages;
use crate::run::{Failure, build_program};
use contenders::Bench;
use options::Options;
use report::Report;

/// Of the scratch XFS: the samples' store, an unpacked image and two disks, sparse.
const XFS_BYTES: u64 = 12 << 30;

/// Measures the program against what one would use without it; prints a table.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let Some(options) = Options::parse(arguments)? else {
        print!("{}", options::HELP);
        return Ok(());
    };
    packages::install()?;
    let program = options.program.clone().map_or_else(build_program, Ok)?;
    if !Sample::Dev.available() || !oracle::available(&["umoci", "mke2fs", "igzip", "time", "filefrag"]) {
        return Err(Failure::Unexpected("the bench needs its oracles".to_owned()));
    }
    let mut report = Report::default();
    let host = scratch_directory();
    let bench = Bench { program, layout: Sample::Dev.layout(), runs: options.runs };
    let outcome = bench.at("host", host.path(), &mut report).and_then(|()| {
        if !Filesystem::Xfs.available() {
            return Ok(());
        }
        let xfs = ScratchFilesystem::new(Filesystem::Xfs, XFS_BYTES);
        bench.at("xfs", xfs.path(), &mut report)
    });
    // What was measured before a failure is shown all the same.
    print!("{}", report.text());
    outcome?;
    options.write(&report)
}
