use std::num::NonZero;

use crate::run::Failure;

const HELP: &str = "\
Fuzzes what reads bytes from outside: cargo xtask fuzz [OPTIONS] [TARGET…]

  --seconds N  for how long each target runs; 60 without it
  --jobs N     how many run at once, each on one processor; as many as there are without it

Without a TARGET all of them run. Each begins with its seeds and with what earlier runs have found (fuzz/corpus). An
input that crashes a target is kept in fuzz/artifacts, and the exit code is 1. docs/fuzzing.md says more.
";

/// What `cargo xtask fuzz` was asked for.
pub(super) struct Options {
    pub(super) seconds: u32,
    pub(super) jobs: u32,
    pub(super) targets: Vec<String>,
}

impl Options {
    /// `None` where help was asked for, and given.
    pub(super) fn parse(arguments: &[String]) -> Result<Option<Self>, Failure> {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut options =
            Self { seconds: 60, jobs: u32::try_from(processors).unwrap_or(1), targets: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().and_then(|value| value.parse().ok()).filter(|value| *value > 0);
                value.ok_or_else(|| Failure::Usage(format!("{argument} needs a number above 0")))
            };
            match argument.as_str() {
                "--seconds" => options.seconds = number()?,
                "--jobs" | "-j" => options.jobs = number()?,
                "--help" | "-h" => {
                    print!("{HELP}");
                    return Ok(None);
                }
                option if option.starts_with('-') => {
                    return Err(Failure::Usage(format!("there is no option {option}; see --help")));
                }
                target => options.targets.push(target.to_owned()),
            }
        }
        Ok(Some(options))
    }
}
