use std::time::Instant;

use offshoot_testkit::samples::Sample;

use crate::packages;
use crate::run::{Failure, build_program, cargo, run};

/// How many random cases a property is tried on in the long form.
const SOAK_CASES: &str = "2000";

/// Installs what is missing, builds the program, runs every test of the workspace.
pub(crate) fn test(arguments: &[String]) -> Result<(), Failure> {
    run_tests(&[], arguments, &[])
}

/// The same in the long form, of which hours are not lost to the first failure.
pub(crate) fn soak(arguments: &[String]) -> Result<(), Failure> {
    let environment = [("OFFSHOOT_PROPTEST_CASES", SOAK_CASES), ("OFFSHOOT_SOAK", "true")];
    run_tests(&["--no-fail-fast"], arguments, &environment)
}

fn run_tests(options: &[&str], arguments: &[String], environment: &[(&str, &str)]) -> Result<(), Failure> {
    packages::install()?;
    let program = timed("build", build_program)?;
    if rustix::process::geteuid().is_root() {
        // Before the tests, so that none of them seems to hang while it makes them.
        timed("samples", || {
            for sample in Sample::ALL.into_iter().filter(|sample| sample.available()) {
                sample.layout();
            }
            Ok(())
        })?;
    }
    timed("tests", || {
        let mut cargo = cargo(&["test", "--locked", "--workspace"]);
        cargo.args(options);
        if !arguments.is_empty() {
            cargo.arg("--").args(arguments);
        }
        run(cargo.env("OFFSHOOT_BIN", &program).envs(environment.iter().copied()))
    })
}

fn timed<T>(name: &str, step: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let start = Instant::now();
    let outcome = step();
    eprintln!("xtask: {name}: {:.1} s", start.elapsed().as_secs_f64());
    outcome
}
