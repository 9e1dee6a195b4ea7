//! Tasks of the project: `cargo xtask help`.

mod bench;
mod checks;
mod fuzz;
mod packages;
mod run;
mod tests;

use std::process::ExitCode;

use offshoot_testkit::samples::Sample;

use crate::run::Failure;

const HELP: &str = "\
The project's own tasks: cargo xtask TASK

  test [NAME…]   installs missing oracles (as root on Debian and its kin), builds the program, runs all tests;
                 further words go to the tests: a part of a name, --nocapture, …
  ci             fmt, clippy and rustdoc with warnings denied, then test
  soak           the tests in their long form: more random cases, commands killed at every call, the large images
                 on XFS, btrfs and ext4, each hostile image from each source
  fuzz           runs the fuzz targets, a minute each; needs cargo-fuzz: --help for its options
  bench          measures against umoci, mke2fs and igzip: --help for its options
  samples        makes the sample images and says where they are
  oracles        installs the oracles, or says which are missing
  help           this text

The tests read OFFSHOOT_SAMPLES (an OCI layout with the tags tiny, debian, dev and app, used instead of making
them), OFFSHOOT_PROPTEST_CASES, and CI (where true, a missing oracle is a failure).
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let outcome = match task.as_str() {
        "test" => tests::test(&rest),
        "soak" => tests::soak(&rest),
        "ci" => checks::run().and_then(|()| tests::test(&rest)),
        "fuzz" => fuzz::run(&rest),
        "bench" => bench::run(&rest),
        "samples" => samples(),
        "oracles" => packages::install(),
        "" | "help" | "-h" | "--help" => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(Failure::Usage(format!("there is no task {task:?}; see cargo xtask help"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            failure.exit_code()
        }
    }
}

fn samples() -> Result<(), Failure> {
    for sample in Sample::ALL {
        if sample.available() {
            println!("oci:{}", sample.reference());
        }
    }
    Ok(())
}
