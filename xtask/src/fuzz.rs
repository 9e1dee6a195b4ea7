mod options;
mod target;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use offshoot_testkit::oracle;

use crate::run::{self, Failure, cargo};
use options::Options;
use target::Outcome;

/// Runs the fuzz targets, each for a while; a failure if one of them crashed.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let Some(options) = Options::parse(arguments)? else { return Ok(()) };
    let start = Instant::now();
    let targets = chosen(&options.targets)?;
    build(&options.targets)?;
    let seeds = offshoot_testkit::scratch_directory();
    run::run(
        cargo(&["run", "--quiet", "--package", "offshoot-fuzzing", "--example", "seeds", "--"])
            .arg(seeds.path()),
    )?;
    eprintln!("xtask: fuzz: built in {:.0} s", start.elapsed().as_secs_f64());
    let outcomes = all(&targets, seeds.path(), &options)?;
    println!("{}", Outcome::HEADER);
    for outcome in &outcomes {
        println!("{outcome}");
    }
    let crashed: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.crash.is_some()).collect();
    for outcome in &crashed {
        eprintln!("xtask: fuzz: {}", outcome.report());
    }
    if crashed.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = crashed.iter().map(|outcome| outcome.name.as_str()).collect();
    Err(Failure::Unexpected(format!("found something: {}", names.join(", "))))
}

/// The workspace of the entry points.
fn directory() -> PathBuf {
    run::workspace().join("fuzz")
}

/// cargo-fuzz, in the workspace of the entry points.
fn cargo_fuzz(task: &str) -> std::process::Command {
    let mut command = cargo(&["fuzz", task]);
    command.current_dir(directory());
    command
}

/// Those that were asked for, or all.
fn chosen(wanted: &[String]) -> Result<Vec<String>, Failure> {
    if oracle::find("cargo-fuzz").is_none() && !in_cargo_home() {
        let remedy = "cargo-fuzz is not installed: cargo install --locked cargo-fuzz";
        return Err(Failure::Unexpected(remedy.to_owned()));
    }
    let list = run::output(&mut cargo_fuzz("list"))?;
    let all: Vec<String> = list.lines().map(str::to_owned).collect();
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        return Err(Failure::Usage(format!(
            "there is no fuzz target {unknown:?}; there are {}",
            all.join(", ")
        )));
    }
    Ok(if wanted.is_empty() { all } else { wanted.to_vec() })
}

/// Where cargo installs programs, which it finds itself though `PATH` may lack it.
fn in_cargo_home() -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.is_some_and(|home| home.join("bin/cargo-fuzz").is_file())
}

/// Builds those that were asked for, or all at once. Without a sanitizer: these are for nightly compilers, and look for
/// what safe code does not do.
fn build(wanted: &[String]) -> Result<(), Failure> {
    let command = |target: Option<&String>| {
        let mut command = cargo_fuzz("build");
        command.args(["--sanitizer", "none"]).args(target);
        command
    };
    if wanted.is_empty() {
        return run::run(&mut command(None));
    }
    wanted.iter().try_for_each(|target| run::run(&mut command(Some(target))))
}

/// Runs all targets, as many at once as were asked for.
fn all(targets: &[String], seeds: &Path, options: &Options) -> Result<Vec<Outcome>, Failure> {
    let waiting: Mutex<VecDeque<&String>> = Mutex::new(targets.iter().collect());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let worker = || {
        let mut done = Vec::new();
        while let Some(name) = next() {
            done.push(target::fuzz(name, &seeds.join(name), options.seconds)?);
        }
        Ok(done)
    };
    let mut outcomes = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs).map(|_| scope.spawn(worker)).collect();
        let mut outcomes = Vec::new();
        for worker in workers {
            outcomes.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok::<_, Failure>(outcomes)
    })?;
    outcomes.sort_by(|one: &Outcome, other| one.name.cmp(&other.name));
    Ok(outcomes)
}
