use std::fs;
use std::path::PathBuf;

use super::report::Report;
use crate::run::Failure;

pub(super) const HELP: &str = "\
Measures the program on the dev image: cargo xtask bench [OPTIONS] [SUBJECT...]

  builds           cold builds and rebuilds, against umoci, mke2fs and igzip
  clones           clones and growth, against bare system calls, cp, qemu-img and resize2fs
  sources          pulls from a registry, and unpacking, against local builds and umoci
  Without a subject, all of them.

  --runs N         how often each is measured; the median counts (default 5)
  --program FILE   measures this program instead of the one that it builds
  --json FILE      writes the results, with every single run, as JSON
  --markdown FILE  writes the table as Markdown, for docs/benchmarks.md

The contenders take turns, on the file system of the target directory (host) and on XFS and btrfs in files there
(xfs, btrfs). The page cache is warm for all alike: nothing is dropped from it, and a sync before each run keeps one
from paying for the other's writes.
";

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Builds,
    Clones,
    Sources,
}

/// What the bench was asked for.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) runs: usize,
    pub(super) subjects: Vec<Subject>,
    pub(super) program: Option<PathBuf>,
    json: Option<PathBuf>,
    markdown: Option<PathBuf>,
}

impl Options {
    /// None where help was asked for.
    pub(super) fn parse(arguments: &[String]) -> Result<Option<Self>, Failure> {
        let mut options = Self { runs: 5, subjects: Vec::new(), program: None, json: None, markdown: None };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value =
                || arguments.next().ok_or_else(|| Failure::Usage(format!("{argument} needs a value")));
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                "--runs" => {
                    let text = value()?;
                    options.runs = text.parse().ok().filter(|runs| *runs > 0).ok_or_else(|| {
                        Failure::Usage(format!("--runs takes a number from 1, not {text:?}"))
                    })?;
                }
                "--program" => options.program = Some(value()?.into()),
                "--json" => options.json = Some(value()?.into()),
                "--markdown" => options.markdown = Some(value()?.into()),
                "builds" => options.subjects.push(Subject::Builds),
                "clones" => options.subjects.push(Subject::Clones),
                "sources" => options.subjects.push(Subject::Sources),
                _ => return Err(Failure::Usage(format!("bench has no option or subject {argument:?}"))),
            }
        }
        if options.subjects.is_empty() {
            options.subjects = vec![Subject::Builds, Subject::Clones, Subject::Sources];
        }
        Ok(Some(options))
    }

    /// Writes the files that were asked for.
    pub(super) fn write(&self, report: &Report) -> Result<(), Failure> {
        let json = self.json.as_ref().map(|path| (path, report.json()));
        let markdown = self.markdown.as_ref().map(|path| (path, report.markdown()));
        for (path, text) in json.into_iter().chain(markdown) {
            fs::write(path, text).map_err(|error| Failure::File(path.clone(), error))?;
        }
        Ok(())
    }
}
