//! Programs of others, none of which is needed for what comes from registries, layouts or archives.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Probe, ProbeState};

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// As much of what it says is read.
const MAX_BYTES: u64 = 4096;

pub(super) fn probe(resize2fs: &Path, probes: &mut Vec<Probe>) {
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
        let path = if program == "resize2fs" { resize2fs } else { Path::new(program) };
        probes.push(match version(path, option) {
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
    command.arg(option).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    wait(&mut child)?;
    let mut text = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(MAX_BYTES).read_to_end(&mut text)?;
    }
    if let Some(output) = child.stderr.take() {
        output.take(MAX_BYTES).read_to_end(&mut text)?;
    }
    Ok(first_version(&String::from_utf8_lossy(&text)).unwrap_or("of unknown version").to_owned())
}

fn wait(child: &mut Child) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
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
