//! testkit's hostile images, through every command, from every source that can bring them.
//!
//! In the short form each case is tried once by each command, each time from another of its sources; in the long form
//! (`OFFSHOOT_SOAK`) from all of them. `docs/threat-model.md` says what the families are and how many cases each has.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use offshoot_testkit::hostile::{Case, Delivered, Family, Image, Source, Tree, Verdict, describe};
use offshoot_testkit::{LoopMount, oracle};

use crate::bait::Ground;
use crate::cases::soak;
use crate::program::{program, text};

/// What a process may have in memory at most, in KiB, whatever the image is.
const MEMORY_KIB: u64 = 200 << 10;
/// The same for what is as large as the limit of an index lets it be.
const INDEX_KIB: u64 = 1 << 20;
/// Seconds that a command may take, however busy the machine is.
const SECONDS: u64 = 120;
/// The same for what is as large as the limit of an index lets it be.
const INDEX_SECONDS: u64 = 1200;

/// Tries all cases of a family.
fn family(family: Family) {
    if !oracle::root() || !oracle::available(&["e2fsck", "mount", "find", "time", "timeout"]) {
        return;
    }
    let ground = Ground::new();
    for (index, case) in family.cases(text(&ground.victim())).iter().enumerate() {
        if case.only_in_soak && !soak() {
            continue;
        }
        let sources = case.sources();
        for (turn, (command, verdict)) in case.outcome.verdicts().into_iter().enumerate() {
            let all = soak() && !case.only_in_soak;
            let chosen = if all { &sources[..] } else { &[sources[(index + turn) % sources.len()]] };
            for source in chosen {
                attempt(&ground, case, *source, command, verdict);
            }
        }
        if case.umoci_agrees {
            compare_with_umoci(&ground, case);
        }
    }
}

fn attempt(ground: &Ground, case: &Case, source: Source, command: &str, verdict: &Verdict) {
    let what = format!("{}: {}: {command} from {source:?}", case.family.name(), case.name);
    let delivered = case.deliver(source, &ground.source());
    let (most_kib, seconds) =
        if case.only_in_soak { (INDEX_KIB, INDEX_SECONDS) } else { (MEMORY_KIB, SECONDS) };
    let (output, kib) = run(ground, &delivered, command, seconds);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(kib < most_kib, "{what}: {kib} KiB");
    match verdict {
        Verdict::Refused { code, says } => {
            assert!(!says.is_empty(), "{what}: what it says is not written down: {said}");
            assert_eq!(output.status.code(), Some(*code), "{what}: {said}");
            assert!(said.contains(says), "{what}: {said}");
            refused(&output, &what);
            nothing_left(ground, sound_parts(case), &what);
        }
        Verdict::HostDecides if output.status.success() => {}
        Verdict::HostDecides => {
            assert_eq!(output.status.code(), Some(1), "{what}: {said}");
            refused(&output, &what);
            nothing_left(ground, sound_parts(case), &what);
        }
        Verdict::Made(tree) => {
            assert!(output.status.success(), "{what}: {} {said}", output.status);
            match command {
                "build" => judge_disk(&ground.disk(), tree, &what),
                "unpack" => judge(&ground.rootfs(), tree, &[], &what),
                _ => {}
            }
        }
    }
    ground.check(&what);
}

/// It says so on one line, of which nothing would make a terminal act, and prints no result.
fn refused(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{what}: {said}");
    assert!(!said.trim_end().contains(char::is_control), "{what}: {said:?}");
    assert!(output.stdout.is_empty(), "{what}: {output:?}");
}

/// Runs the program among the bait; how it ended, and its peak of memory in KiB.
fn run(ground: &Ground, delivered: &Delivered, command: &str, seconds: u64) -> (Output, u64) {
    let peak = tempfile::NamedTempFile::new().unwrap();
    let mut run = oracle::command("time");
    run.args(["--quiet", "-f", "%M", "-o"]).arg(peak.path());
    run.arg("timeout").arg(seconds.to_string()).arg(program());
    run.arg("--store").arg(ground.store()).args(["--progress", "none", "--quiet", command]);
    run.args(delivered.options).arg(&delivered.image);
    match command {
        "build" => drop(run.arg("-o").arg(ground.disk())),
        "unpack" => drop(run.arg(ground.rootfs())),
        _ => {}
    }
    environment(&mut run, ground, delivered);
    let output = oracle::output(&mut run);
    let kib = fs::read_to_string(peak.path()).unwrap();
    (output, kib.trim().parse().unwrap_or_else(|error| panic!("{kib:?}: {error}")))
}

fn environment(run: &mut Command, ground: &Ground, delivered: &Delivered) {
    run.current_dir(ground.work()).env("TMPDIR", ground.temporary()).env("HOME", ground.work());
    run.env_remove("OFFSHOOT_STORE").env_remove("XDG_RUNTIME_DIR");
    if let Some(programs) = &delivered.programs {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let first = [programs.clone()].into_iter().chain(std::env::split_paths(&path));
        run.env("PATH", std::env::join_paths(first).unwrap());
    }
    if let Some(stdin) = &delivered.stdin {
        run.stdin(Stdio::from(fs::File::open(stdin).unwrap()));
    }
}

/// The parts of the store that may hold what was whole before something else was found.
fn sound_parts(case: &Case) -> &'static [&'static str] {
    match (&case.outcome.pull, &case.image) {
        (Verdict::Made(_), _) => &["layers", "images", "blobs"],
        // Each layer is verified by itself.
        (_, Image::Layers(layers)) if layers.len() > 1 => &["layers"],
        _ => &[],
    }
}

/// Neither in the store, apart from the parts that may hold something, nor where something was to be made.
fn nothing_left(ground: &Ground, parts: &[&str], what: &str) {
    for place in [ground.rootfs(), ground.disk()] {
        assert!(place.symlink_metadata().is_err(), "{what}: {}", place.display());
    }
    let mut pending = vec![ground.store()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).into_iter().flatten().map(|entry| entry.unwrap().path()));
            continue;
        }
        let inside = path.strip_prefix(ground.store()).unwrap();
        let own = ["offshoot.json", "reserve"].iter().any(|name| inside == Path::new(name));
        let sound = parts.iter().any(|part| inside.starts_with(part));
        assert!(own || sound, "{what}: {}", path.display());
    }
}

/// By e2fsck, and by the kernel.
fn judge_disk(disk: &Path, tree: &Tree, what: &str) {
    let mut check = oracle::command("e2fsck");
    let output = oracle::output(check.arg("-fn").arg(disk));
    assert!(output.status.success(), "{what}: {}", oracle::describe(&check, &output));
    let mount = LoopMount::read_only(disk);
    let made = match tree {
        Tree::Listed(lines) if lines.iter().any(|line| line.starts_with("d lost+found")) => &[][..],
        _ => &["lost+found"],
    };
    judge(mount.path(), tree, made, what);
}

fn judge(directory: &Path, tree: &Tree, skipped: &[&str], what: &str) {
    match tree {
        Tree::Listed(expected) => {
            let found = describe(directory, skipped);
            assert_eq!(&found, expected, "{what}");
        }
        Tree::Counted { names, bytes } => {
            // Deeper than a path can be long.
            let mut find = oracle::command("find");
            find.arg(directory).args(["-mindepth", "1", "-printf", "%y %s %P\\0"]);
            let output = oracle::output(&mut find);
            assert!(output.status.success(), "{what}: {}", oracle::describe(&find, &output));
            let listed = String::from_utf8_lossy(&output.stdout);
            let mut found = (0, 0);
            for line in listed.split_terminator('\0') {
                let mut words = line.splitn(3, ' ');
                let (kind, size) = (words.next().unwrap(), words.next().unwrap());
                if skipped.contains(&words.next().unwrap()) {
                    continue;
                }
                found.0 += 1;
                found.1 += if kind == "f" { size.parse::<u64>().unwrap() } else { 0 };
            }
            assert_eq!(found, (*names, *bytes), "{what}");
        }
    }
}

/// umoci unpacks the same, apart from the times of directories that no layer describes.
fn compare_with_umoci(ground: &Ground, case: &Case) {
    let Verdict::Made(tree) = &case.outcome.unpack else { panic!("{}: umoci agrees to what?", case.name) };
    if !oracle::available(&["umoci"]) {
        return;
    }
    let what = format!("{}: {}: umoci", case.family.name(), case.name);
    let bundle = ground.source().with_file_name("bundle");
    let delivered = case.deliver(Source::OciDirectory, &ground.source());
    let image = delivered.image.strip_prefix("oci:").unwrap();
    let mut umoci = oracle::command("umoci");
    umoci.args(["unpack", "--image", image]).arg(&bundle).env("TMPDIR", ground.temporary());
    oracle::run(umoci.current_dir(ground.work()));
    let rootfs = bundle.join("rootfs");
    match tree {
        Tree::Listed(expected) => {
            let without_times = |lines: &[String]| -> Vec<String> {
                let kept = |word: &&str| !word.starts_with("mtime=");
                let line = |line: &String| line.split(' ').filter(kept).collect::<Vec<_>>().join(" ");
                lines.iter().map(line).filter(|line| line != "d .").collect()
            };
            let found = describe(&rootfs, &[]);
            assert_eq!(without_times(&found), without_times(expected), "{what}");
        }
        Tree::Counted { .. } => judge(&rootfs, tree, &[], &what),
    }
    oracle::run(oracle::command("rm").arg("-rf").arg(&bundle));
    ground.check(&what);
}

macro_rules! families {
    ($($test:ident: $family:ident,)*) => {
        $(#[test]
        fn $test() {
            family(Family::$family);
        })*

        /// Those that have a test.
        const TESTED: &[Family] = &[$(Family::$family),*];
    };
}

families! {
    paths: Paths,
    links: Links,
    hard_links: HardLinks,
    whiteouts: Whiteouts,
    names: Names,
    headers: Headers,
    pax: Pax,
    sparse: Sparse,
    times_and_ids: TimesAndIds,
    xattrs: Xattrs,
    devices: Devices,
    compression: Compression,
    bombs: Bombs,
    digests: Digests,
    manifests: Manifests,
    configs: Configs,
    archives: Archives,
    directories: Directories,
    registries: Registries,
    advisories: Advisories,
}

/// The table of the threat model says how many cases there are.
#[test]
fn the_document_counts_them() {
    assert_eq!(TESTED, Family::ALL);
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/threat-model.md");
    let document = fs::read_to_string(document).unwrap();
    let (mut all, mut runs, mut names, mut sources) = (0, 0, BTreeSet::new(), BTreeSet::new());
    for family in Family::ALL {
        let cases = family.cases("/victim");
        let refused = |verdict: &Verdict| matches!(verdict, Verdict::Refused { .. });
        let made = cases.iter().filter(|case| !refused(&case.outcome.build)).count();
        let row = format!("| {} | {} | {made} | {} |", family.name(), cases.len(), cases.len() - made);
        assert!(document.contains(&row), "docs/threat-model.md has no row {row}");
        all += cases.len();
        // In the long form.
        let by = |case: &Case| if case.only_in_soak { 1 } else { case.sources().len() };
        runs +=
            cases.iter().map(|case| by(case) * case.outcome.verdicts().into_iter().count()).sum::<usize>();
        sources.extend(cases.iter().flat_map(Case::sources));
        names.extend(cases.into_iter().map(|case| (family, case.name)));
    }
    assert_eq!(names.len(), all, "each case has a name of its own");
    assert!(all >= 150 && sources.len() == 11, "{all} cases from {sources:?}");
    assert!(document.contains(&format!("{all} cases")), "docs/threat-model.md does not say {all} cases");
    let reliability = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reliability.md");
    let reliability = fs::read_to_string(reliability).unwrap();
    let figures = [format!("| {all} | 0 |"), format!("| {},{:03} | 0 |", runs / 1000, runs % 1000)];
    assert!(figures.iter().all(|figure| reliability.contains(figure)), "{figures:?}");
}
