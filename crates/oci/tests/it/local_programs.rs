//! Programs that are made up: what they are asked, and what becomes of those that misbehave.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use offshoot_oci::{
    Error, ErrorKind, LocalOptions, Malformed, Missing, Platform, ProgramProblem, SourceImage, SourceOptions,
    Watch, open,
};
use offshoot_store::VerifyError;
use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::docker_archives::{assert_image, classic, config, listed};
use crate::layouts;

/// A directory with programs, which is all there is in the `PATH`.
pub(crate) struct Programs {
    directory: TempDir,
}

impl Programs {
    pub(crate) fn new() -> Self {
        let directory = tempdir().unwrap();
        fs::write(directory.path().join("image.tar"), classic().finish()).unwrap();
        fs::create_dir(directory.path().join("spool")).unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `$here` is the directory with the image.
    pub(crate) fn add(&self, name: &str, script: &str) -> &Self {
        let path = self.path().join(name);
        let here = self.path().display();
        fs::write(&path, format!("#!/bin/sh\nPATH=/usr/bin:/bin\nhere='{here}'\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    pub(crate) fn options(&self) -> SourceOptions {
        let mut options = SourceOptions::new(&self.path().join("spool"));
        let path = self.path().as_os_str().to_owned();
        options.local.environment = BTreeMap::from([("PATH".into(), path)]);
        options
    }

    pub(crate) fn resolve(&self, name: &str) -> Result<SourceImage, Error> {
        resolve(name, &self.options())
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap()
    }
}

pub(crate) fn resolve(name: &str, options: &SourceOptions) -> Result<SourceImage, Error> {
    open(&name.parse().unwrap(), options)?.resolve(&Platform::host())
}

pub(crate) fn line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line = format!("{line}: {error}");
        source = error.source();
    }
    assert!(!line.contains('\n'), "{line}");
    line
}

#[test]
fn what_docker_is_asked() {
    let id = "0123456789abcdef".repeat(4);
    for (name, expected) in [
        ("app", "docker.io/library/app:latest"),
        ("example.com:5000/app:v1", "example.com:5000/app:v1"),
        ("0123456789ab", "0123456789ab"),
        (id.as_str(), id.as_str()),
        (&format!("sha256:{id}"), id.as_str()),
    ] {
        let programs = Programs::new();
        programs
            .add("docker", r#"echo "$*" >>$here/asked; env >$here/environment; exec cat $here/image.tar"#);
        let mut options = programs.options();
        options.local.environment.insert("DOCKER_HOST".into(), "tcp://docker.example.com:2375".into());
        let source = open(&format!("docker-daemon:{name}").parse().unwrap(), &options).unwrap();
        // Not before the image is resolved.
        assert!(!programs.path().join("asked").exists());
        let (lower, upper) = (layouts::tar(b"lower"), layouts::tar(b"upper"));
        let image = assert_image(source.as_ref(), &[&lower, &upper]);
        assert_eq!(source.resolve(&Platform::host()).unwrap(), image);
        // Once, however often it is resolved.
        assert_eq!(programs.read("asked"), format!("save -- {expected}\n"));
        let environment = programs.read("environment");
        let names: Vec<&str> = environment.lines().filter_map(|line| line.split('=').next()).collect();
        for name in names {
            let known = ["DOCKER_HOST", "LC_ALL", "PATH", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"];
            assert!(known.contains(&name), "{name}");
        }
        assert_eq!(fs::read_dir(programs.path().join("spool")).unwrap().count(), 0);
    }
}

#[test]
fn who_is_asked_for_containers_storage() {
    let note = r#"echo "${0##*/} $*" >>$here/asked; exec cat $here/image.tar"#;
    let not_there = r#"echo "${0##*/} $*" >>$here/asked
        case "$*" in *localhost*) echo 'level=fatal: does not resolve to an image ID' >&2; exit 1;; esac
        exec cat $here/image.tar"#;
    for (programs, expected) in [
        (&["skopeo", "podman", "buildah"][..], "buildah push -q -- app:v1 docker-archive:/dev/stdout\n"),
        (&["skopeo", "podman"], "podman save -q --format docker-archive -- app:v1\n"),
        (
            &["skopeo"],
            "skopeo --insecure-policy copy -q -- containers-storage:localhost/app:v1 docker-archive:/dev/stdout\n\
             skopeo --insecure-policy copy -q -- containers-storage:docker.io/library/app:v1 \
             docker-archive:/dev/stdout\n",
        ),
    ] {
        let there = Programs::new();
        for name in programs {
            there.add(name, if *name == "skopeo" { not_there } else { note });
        }
        there.resolve("containers-storage:app:v1").unwrap();
        assert_eq!(there.read("asked"), expected);
    }
}

#[test]
fn names_that_are_none() {
    let programs = Programs::new();
    programs.add("docker", "touch $here/asked").add("buildah", "touch $here/asked");
    for name in ["--help", "-o/etc/passwd", "[vfs@/a+/b]x", "@abc", "Upper", "a b", "../x", "x:y:z"] {
        for transport in ["docker-daemon", "containers-storage"] {
            let error = programs.resolve(&format!("{transport}:{name}")).unwrap_err();
            assert!(matches!(error, Error::Reference(_)), "{name}: {error:?}");
            assert_eq!(error.kind(), ErrorKind::Usage);
        }
    }
    assert!(!programs.path().join("asked").exists());
}

#[test]
fn programs_that_are_missing() {
    let programs = Programs::new();
    // Not a program, and a directory of that name.
    fs::write(programs.path().join("docker"), "#!/bin/sh\n").unwrap();
    fs::create_dir(programs.path().join("skopeo")).unwrap();
    let context = programs.path().display();
    for (name, needs, package) in [
        ("docker-daemon:x".to_owned(), "docker", "docker.io"),
        ("containers-storage:x".to_owned(), "buildah, podman or skopeo", "buildah, podman or skopeo"),
        (format!("dockerfile:{context}"), "buildah", "buildah"),
    ] {
        let error = programs.resolve(&name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let expected = format!(
            "cannot use {name}: it needs {needs}, which is not installed; Debian's package is {package}"
        );
        assert_eq!(line(&error), expected);
        // No PATH, and one that depends on where the process stands.
        for path in [None, Some(OsString::from(":bin:."))] {
            let mut options = programs.options();
            options.local.environment = path.map(|path| ("PATH".into(), path)).into_iter().collect();
            assert_eq!(resolve(&name, &options).unwrap_err().kind(), ErrorKind::Unsupported);
        }
    }
}

#[test]
fn an_image_that_is_not_there() {
    for (program, name, said) in [
        ("docker", "docker-daemon:x", "Error response from daemon: No such image: x:latest"),
        ("docker", "docker-daemon:x", "Error response from daemon: reference does not exist"),
        ("buildah", "containers-storage:x", "Error: pushing image: x: image not known"),
        ("podman", "containers-storage:x", "Error: x: image not known"),
        (
            "skopeo",
            "containers-storage:x",
            r#"time=\"\" level=fatal msg=\"initializing source: identifier is not an image\""#,
        ),
    ] {
        let programs = Programs::new();
        programs.add(program, &format!("cat $here/image.tar; echo \"{said}\" >&2; exit 125"));
        let error = programs.resolve(name).unwrap_err();
        assert!(matches!(&error, Error::NotFound(Missing::LocalImage { .. })), "{error:?}");
        assert_eq!(line(&error), format!("{program} has no image x"));
    }
}

#[test]
fn what_they_say_when_they_fail() {
    for (script, expected) in [
        ("exit 3", "it failed with exit status: 3"),
        ("kill -9 $$", "it failed with signal: 9 (SIGKILL)"),
        (
            "echo one >&2; echo 'Error: Cannot connect to the Docker daemon' >&2; echo >&2; exit 1",
            "it failed with exit status: 1: Cannot connect to the Docker daemon",
        ),
        // A whole image does not help if its giver is not content with it.
        ("cat $here/image.tar; echo 'no space' >&2; exit 1", "it failed with exit status: 1: no space"),
        (
            "head -c 3000000 /dev/zero | tr '\\0' 'x' >&2; printf '\\033[31m\\nend\\007' >&2; exit 2",
            "it failed with exit status: 2: end",
        ),
    ] {
        let programs = Programs::new();
        programs.add("docker", script);
        let error = programs.resolve("docker-daemon:x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(line(&error), format!("docker cannot give docker-daemon:x: {expected}"));
    }
    let programs = Programs::new();
    fs::write(programs.path().join("docker"), "no program").unwrap();
    fs::set_permissions(programs.path().join("docker"), fs::Permissions::from_mode(0o755)).unwrap();
    let error = programs.resolve("docker-daemon:x").unwrap_err();
    assert!(matches!(&error, Error::Program { problem: ProgramProblem::Start(_), .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Io);
}

#[test]
fn what_they_hand_over_is_verified() {
    let verdict = |script: &str, name: &str| {
        let programs = Programs::new();
        programs.add("docker", script).add("buildah", script);
        let lower = layouts::tar(b"lower");
        let config = config(&[&lower]);
        let mut tar = offshoot_testkit::layout::Tar::new();
        let wrong = format!("{}.json", "0".repeat(64));
        tar.file("l", 0o644, &lower).file(&wrong, 0o644, &config);
        tar.file("manifest.json", 0o644, json!([listed(&wrong, &[], &["l"])]).to_string().as_bytes());
        fs::write(programs.path().join("wrong.tar"), tar.finish()).unwrap();
        let mut options = programs.options();
        options.spool_bytes = 1 << 20;
        resolve(name, &options).unwrap_err()
    };
    let docker = |script| verdict(script, "docker-daemon:x");
    assert!(matches!(docker("exit 0"), Error::NotFound(Missing::DockerArchive { .. })));
    let garbage = docker("head -c 5000 /dev/zero | tr '\\0' x");
    assert!(matches!(garbage, Error::Malformed { problem: Malformed::TarHeader { .. }, .. }), "{garbage:?}");
    let cut = docker("head -c 3000 $here/image.tar");
    assert!(matches!(cut, Error::Malformed { problem: Malformed::Truncated { .. }, .. }), "{cut:?}");
    assert!(line(&cut).starts_with("docker-daemon:x is malformed"));
    let wrong = docker("cat $here/wrong.tar");
    assert!(matches!(wrong, Error::Verify { source: VerifyError::Digest { .. }, .. }), "{wrong:?}");
    let endless = docker("exec cat /dev/zero");
    assert!(
        matches!(endless, Error::Malformed { problem: Malformed::HugeArchive { limit: 1_048_576 }, .. }),
        "{endless:?}"
    );
    // Another image than the one whose id was asked for.
    let id = "0".repeat(64);
    let other = verdict("cat $here/image.tar", &format!("containers-storage:{id}"));
    assert!(matches!(other, Error::Verify { source: VerifyError::Digest { .. }, .. }), "{other:?}");
}

struct Stop(AtomicBool);

impl Watch for Stop {
    fn cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether a process is no longer there, or about to be reaped by whoever inherits it.
fn gone(process: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", process.trim())).map_or(true, |stat| {
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
    })
}

/// Runs a program that never ends, which writes the numbers of its processes, until `options` end it.
fn endless(script: &str, stop: bool) -> (Error, Vec<String>) {
    let programs = Programs::new();
    programs.add("docker", &format!("echo $$ >>$here/processes\n{script}"));
    let mut options = programs.options();
    options.local.stall = if stop { Duration::from_secs(600) } else { Duration::from_millis(300) };
    let watch = Arc::new(Stop(AtomicBool::new(false)));
    options.local.watch = Arc::<Stop>::clone(&watch);
    let processes = programs.path().join("processes");
    let stopper = stop.then(|| {
        std::thread::spawn(move || {
            let started = Instant::now();
            while !processes.exists() && started.elapsed() < Duration::from_secs(30) {
                std::thread::yield_now();
            }
            watch.0.store(true, Ordering::Relaxed);
        })
    });
    let error = resolve("docker-daemon:x", &options).unwrap_err();
    stopper.into_iter().for_each(|stopper| stopper.join().unwrap());
    let processes = programs.read("processes").lines().map(str::to_owned).collect();
    (error, processes)
}

#[test]
fn programs_that_hang_are_ended_with_all_they_started() {
    for script in [
        "exec sleep 1000",
        "cat $here/image.tar; exec sleep 1000",
        // It closes its output and goes on.
        "exec >&- 2>&-; exec sleep 1000",
        // It starts another, and both do not want to end.
        "trap '' TERM; sleep 1000 & echo $! >>$here/processes; sleep 1000; sleep 1000",
        // It ends at once and leaves one behind that holds the pipe: what has come is whole for all we know,
        // and is not believed, since it has not ended.
        "sleep 1000 & echo $! >>$here/processes; wait",
    ] {
        let (error, processes) = endless(script, false);
        assert!(
            matches!(error, Error::Program { problem: ProgramProblem::Stalled(_), .. }),
            "{script}: {error:?}"
        );
        let (error, more) = endless(script, true);
        assert!(
            matches!(error, Error::Program { problem: ProgramProblem::Interrupted, .. }),
            "{script}: {error:?}"
        );
        assert_eq!(error.kind(), ErrorKind::Interrupted);
        for process in processes.iter().chain(&more) {
            let started = Instant::now();
            while !gone(process) && started.elapsed() < Duration::from_secs(30) {
                std::thread::yield_now();
            }
            assert!(gone(process), "{script}: {process}");
        }
    }
}

#[test]
fn a_program_that_is_ended_may_clean_up() {
    let programs = Programs::new();
    programs.add("docker", "trap 'echo cleaned >$here/cleaned; exit 1' TERM; sleep 1000 & wait");
    let mut options = programs.options();
    options.local.stall = Duration::from_millis(300);
    let error = resolve("docker-daemon:x", &options).unwrap_err();
    assert!(matches!(error, Error::Program { problem: ProgramProblem::Stalled(_), .. }), "{error:?}");
    assert_eq!(programs.read("cleaned"), "cleaned\n");
}

#[test]
fn a_program_that_says_something_is_not_given_up() {
    let programs = Programs::new();
    // Slower than the limit, but never silent for so long.
    programs.add("docker", "for i in 1 2 3 4 5 6; do echo waiting >&2; sleep 0.2; done; cat $here/image.tar");
    let mut options = programs.options();
    options.local.stall = Duration::from_secs(1);
    resolve("docker-daemon:x", &options).unwrap();
}

#[test]
fn options_of_the_process() {
    let options = LocalOptions::of_process();
    assert_eq!(options.environment.get(&OsString::from("PATH")), std::env::var_os("PATH").as_ref());
    assert!(!options.environment.keys().any(|name| name.to_string_lossy().starts_with("CARGO")));
}
