//! Programs of others, none of which is needed for what comes from registries, layouts or archives.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use offshoot_oci::{RunBounds, RunProblem, Unwatched, run_bounded};

use crate::resize2fs;

use super::{Probe, ProbeState};

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// No program says more than this of itself.
const MAX_BYTES: u64 = 64 << 10;

pub(super) fn probe(resizer: &Path, probes: &mut Vec<Probe>) {
    let programs = [
        (
            "resize2fs",
            "-h",
            "disks with ext4 features that offshoot does not know cannot grow; it is in the package e2fsprogs",
        ),
        (
            "skopeo",
            "--version",
            "docker-daemon: and containers-storage: want it; it is in the package skopeo",
        ),
        ("podman", "--version", "containers-storage: of podman; it is in the package podman"),
        ("buildah", "--version", "dockerfile: needs it; it is in the package buildah"),
        ("docker", "--version", "docker-daemon: needs Docker"),
        ("qemu-img", "--version", "offshoot does not need it; it looks at and converts qcow2 disks"),
    ];
    for (program, option, advice) in programs {
        let found = match program {
            "resize2fs" => resize2fs::find(resizer, |path| version(path, option)),
            _ => version(Path::new(program), option),
        };
        probes.push(match found {
            Ok(version) => Probe::ok(program, version),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Probe::less(program, ProbeState::Missing, "not in PATH", advice)
            }
            Err(error) => Probe::less(program, ProbeState::Limited, error.to_string(), advice),
        });
    }
}

/// What a program says of itself: the first number with a dot, in whatever it prints.
fn version(program: &Path, option: &str) -> io::Result<String> {
    let mut command = Command::new(program);
    command.arg(option);
    let bounds = RunBounds { bytes: MAX_BYTES, time: PATIENCE, watch: &Unwatched };
    let (_, text) = run_bounded(command, "", true, &bounds).map_err(|problem| match problem {
        RunProblem::Io(error) => error,
        other => io::Error::other(other),
    })?;
    Ok(first_version(&String::from_utf8_lossy(&text)).unwrap_or("of unknown version").to_owned())
}

fn first_version(text: &str) -> Option<&str> {
    let words = text.split(|character: char| character.is_whitespace() || character == ',');
    words
        .map(|word| word.trim_matches(|character| "()".contains(character)))
        .find(|word| word.starts_with(|character: char| character.is_ascii_digit()) && word.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (text, version) in [
            ("resize2fs 1.47.2 (1-Jan-2025)\nUsage: resize2fs [-d debug_flags]", Some("1.47.2")),
            ("Docker version 26.1.5+dfsg1, build a72d7cd", Some("26.1.5+dfsg1")),
            ("qemu-img version 10.0.2 (Debian 1:10.0.2)", Some("10.0.2")),
            ("usage", None),
        ] {
            assert_eq!(first_version(text), version);
        }
    }
}
