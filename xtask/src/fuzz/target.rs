use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use offshoot_testkit::memory_directory;

use crate::fuzz::directory;
use crate::run::{Failure, show};

/// What counts as a hang, in seconds: a usual input takes a thousandth of one.
const TIMEOUT_SECONDS: u32 = 25;
/// What counts as too much memory, in MiB, the corpus included. Rust's allocations are held to less, in `fuzz/src/lib.rs`.
const MEMORY_MIB: u32 = 2048;
/// The longest input, in bytes.
const LONGEST: u32 = 16 << 10;

/// How a target's run ended.
pub(super) struct Outcome {
    pub(super) name: String,
    executions: u64,
    /// What libFuzzer counts: edges of the program that were taken, and what of that differs by how often.
    edges: u64,
    features: u64,
    /// Inputs that the corpus has now.
    corpus: usize,
    /// The input that crashed it, or its log where there is none.
    pub(super) crash: Option<PathBuf>,
}

/// Runs a target for so long on its corpus and these seeds.
pub(super) fn fuzz(name: &str, seeds: &Path, seconds: u32) -> Result<Outcome, Failure> {
    let (corpus, artifacts) =
        (directory().join("corpus").join(name), directory().join("artifacts").join(name));
    // Targets make thousands of files a second.
    let temporary = memory_directory();
    for made in [&corpus, &artifacts] {
        fs::create_dir_all(made).map_err(|error| Failure::File(made.clone(), error))?;
    }
    let before = listed(&artifacts);
    let log = artifacts.join("log");
    let output = File::create(&log).map_err(|error| Failure::File(log.clone(), error))?;
    let second = output.try_clone().map_err(|error| Failure::File(log.clone(), error))?;
    let mut command = Command::new(program(name));
    command
        .args([&corpus, seeds])
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={TIMEOUT_SECONDS}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
        .arg(format!("-max_len={LONGEST}"))
        .arg("-print_final_stats=1")
        .env("TMPDIR", temporary.path())
        .stdout(output)
        .stderr(second);
    let status = command.status().map_err(|error| Failure::Start(show(&command), error))?;
    let text = fs::read(&log).map_err(|error| Failure::File(log.clone(), error))?;
    let text = String::from_utf8_lossy(&text);
    let crash = (!status.success()).then(|| {
        let mut new = listed(&artifacts);
        new.retain(|path| !before.contains(path) && *path != log);
        new.pop().unwrap_or(log)
    });
    Ok(Outcome {
        name: name.to_owned(),
        executions: last_number(&text, "stat::number_of_executed_units:"),
        edges: last_number(&text, " cov: "),
        features: last_number(&text, " ft: "),
        corpus: listed(&corpus).len(),
        crash,
    })
}

/// Where cargo-fuzz puts what it builds.
fn program(name: &str) -> PathBuf {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    directory().join("target").join(triple).join("release").join(name)
}

fn listed(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The number behind the last place where the text has this; 0 without one.
fn last_number(text: &str, before: &str) -> u64 {
    let rest = text.rsplit_once(before).map_or("", |(_, rest)| rest).trim_start();
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or(0)
}

impl Outcome {
    pub(super) const HEADER: &str =
        "target              executions      edges   features     corpus  outcome";

    /// Where the input lies that crashed the target, and how to see that again.
    pub(super) fn report(&self) -> String {
        let Self { name, crash, .. } = self;
        let input = crash.as_deref().unwrap_or(Path::new("")).display();
        format!(
            "{name} crashed\n  input      {input}\n  log        {}\n  again      {} {input}\n  smaller    {}",
            directory().join("artifacts").join(name).join("log").display(),
            program(name).display(),
            format_args!("cd fuzz && cargo fuzz tmin --sanitizer none {name} {input}"),
        )
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, executions, edges, features, corpus, crash } = self;
        let outcome = if crash.is_some() { "CRASHED" } else { "ok" };
        write!(f, "{name:<17} {executions:>12} {edges:>10} {features:>10} {corpus:>10}  {outcome}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libfuzzer_is_understood() {
        let log = "#2\tINITED cov: 11 ft: 12 corp: 1/1b\n#4194\tNEW    cov: 1176 ft: 3321 corp: 8/6Kb lim: 1\n\
            stat::number_of_executed_units: 2512417\nstat::average_exec_per_sec:     41187\n";
        assert_eq!(last_number(log, "stat::number_of_executed_units:"), 2_512_417);
        assert_eq!((last_number(log, " cov: "), last_number(log, " ft: ")), (1176, 3321));
        assert_eq!(last_number("", " cov: "), 0);
    }
}
