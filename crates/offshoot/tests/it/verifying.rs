//! A store that something has happened to: `verify` finds it, names it, and finds nothing when it is undone.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use offshoot::{
    BuildOptions, CloneOptions, Depth, DiskSize, Error, ErrorKind, Event, Problem, Progress, Quiet, Report,
    Store, Strategy, Subject, VerifyOptions,
};
use offshoot_testkit::layout::{Image, Layer, Layout, Tar};
use offshoot_testkit::oracle;

use crate::image::{names, sample, vm};

/// A store that has one of everything.
pub(crate) struct Everything {
    pub(crate) store: Store,
    pub(crate) _directory: tempfile::TempDir,
    pub(crate) template: PathBuf,
    pub(crate) imported: PathBuf,
    pub(crate) snapshot: PathBuf,
}

pub(crate) fn everything() -> Everything {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let options = BuildOptions { size: DiskSize::Bytes(8 << 20), ..BuildOptions::default() };
    let template = store.build(&sample(&directory.path().join("image")), &options, &Quiet).unwrap();
    let clone = |name: &str, strategy, read_only| {
        let options = CloneOptions { strategy, read_only, ..CloneOptions::default() };
        store.clone_template(&template, &vm(name), &options).unwrap().path
    };
    let copy = clone("copy", Some(Strategy::Copy), false);
    clone("overlay", Some(Strategy::Qcow2), false);
    clone("linked", Some(Strategy::Hardlink), true);
    clone("read-only", Some(Strategy::Copy), true);
    // A VM has written to it, where nothing was.
    let file = File::options().write(true).open(&copy).unwrap();
    let end = file.metadata().unwrap().len();
    file.write_all_at(b"written", end - 5000).unwrap();
    drop(file);
    let snapshot = store.snapshot(&vm("copy"), &"snapshot".parse().unwrap()).unwrap().path;
    let imported = store.import(&"import/ed".parse().unwrap(), &snapshot).unwrap().path;
    store.file_digest(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))).unwrap();
    Everything { template: template.path, store, _directory: directory, imported, snapshot }
}

pub(crate) fn verify(store: &Store) -> Report {
    store.verify(&VerifyOptions::default(), &Quiet).unwrap()
}

fn quick(store: &Store) -> Report {
    store.verify(&VerifyOptions { depth: Depth::Quick, ..VerifyOptions::default() }, &Quiet).unwrap()
}

fn all_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Every file whose contents are known: not disks that VMs write.
pub(crate) fn known_files(store: &Store) -> Vec<PathBuf> {
    let mut files = all_files(store.path());
    files.retain(|path| {
        let disk = path.parent().unwrap().parent().unwrap().ends_with("clones")
            && path.file_name().unwrap() != "clone.json";
        // Who has the store open, and room that is kept, whatever is in it.
        !disk && !path.parent().unwrap().ends_with("owners") && path != &store.path().join("reserve")
    });
    files
}

pub(crate) fn flip(path: &Path, bit: u64) {
    let mode = path.metadata().unwrap().permissions();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).unwrap();
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&byte, bit / 8).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

fn paths(report: &Report) -> Vec<&Path> {
    report.findings.iter().map(|finding| finding.path.as_path()).collect()
}

#[test]
fn everything_is_as_it_was_written() {
    let all = everything();
    for report in [verify(&all.store), quick(&all.store)] {
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        // Directories, the format, two blobs, two packs, three templates, four clones, an image, two names, a digest.
        assert_eq!(report.checked, 14 + 1 + 2 + 2 + 3 + 4 + 1 + 2 + 1);
    }
}

#[test]
fn any_flipped_bit_is_found_and_its_file_named() {
    let all = everything();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut kinds = std::collections::BTreeSet::new();
    for path in known_files(&all.store) {
        let bits = path.metadata().unwrap().len() * 8;
        kinds.insert(path.strip_prefix(all.store.path()).unwrap().iter().next().unwrap().to_owned());
        let hard_linked = path == all.template;
        for round in 0..6 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Also the first and the last, and in free space.
            let bit = match round {
                0 => 0,
                1 => bits - 1,
                _ => (random >> 11) % bits,
            };
            flip(&path, bit);
            let report = verify(&all.store);
            let found = paths(&report);
            assert!(found.contains(&path.as_path()), "{} bit {bit}: {found:?}", path.display());
            // Of a record that is not believed others may say that it is missing; a disk is a disk's fault alone.
            if path.extension().is_none_or(|extension| extension != "json") && !hard_linked {
                assert!(found.iter().all(|&found| found == path), "{} bit {bit}: {found:?}", path.display());
            }
            flip(&path, bit);
        }
    }
    assert_eq!(kinds.len(), 8, "{kinds:?}");
    let report = verify(&all.store);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn a_flipped_bit_is_placed() {
    let all = everything();
    for disk in [&all.template, &all.imported, &all.snapshot] {
        let bytes = disk.metadata().unwrap().len();
        for offset in [0, 1024, 5000, bytes / 2, bytes - 4999, bytes - 4096, bytes - 1] {
            flip(disk, offset * 8 + 3);
            let report = verify(&all.store);
            let placed = report.findings.iter().any(|finding| match &finding.problem {
                Problem::Changed { offset: start, bytes, .. } => (*start..start + bytes).contains(&offset),
                Problem::NotZero { offset: found } => *found == offset,
                _ => false,
            });
            assert!(placed, "{offset}: {:?}", report.findings);
            flip(disk, offset * 8 + 3);
        }
    }
    let pack = names(&all.store, "layers").into_iter().map(|name| all.store.path().join("layers").join(name));
    let data =
        pack.map(|pack| pack.join("data")).find(|data| data.metadata().unwrap().len() > 50_000).unwrap();
    flip(&data, 50_000 * 8);
    let report = verify(&all.store);
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    let Problem::Changed { path: Some(path), offset, .. } = &finding.problem else { panic!("{finding}") };
    assert_eq!((path.as_str(), *offset), ("/data", 4096));
    let needed: Vec<String> = finding.dependants.iter().map(Subject::to_string).collect();
    assert!(needed.iter().any(|name| name.starts_with("image oci:")), "{needed:?}");
    assert!(needed.iter().any(|name| name.starts_with("template ")), "{needed:?}");
}

type Change = fn(&Path);

fn replace_by(path: &Path, make: impl FnOnce(&Path)) {
    fs::remove_file(path).unwrap();
    make(path);
}

#[test]
fn what_happens_to_files() {
    let changes: [(&str, Change); 8] = [
        ("truncate", |path| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        }),
        ("empty", |path| File::options().write(true).open(path).unwrap().set_len(0).unwrap()),
        ("grow", |path| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() + 1).unwrap();
        }),
        ("link", |path| replace_by(path, |path| symlink("/etc/hostname", path).unwrap())),
        ("directory", |path| replace_by(path, |path| fs::create_dir(path).unwrap())),
        ("fifo", |path| {
            replace_by(path, |path| {
                rustix::fs::mknodat(
                    rustix::fs::CWD,
                    path,
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::RUSR,
                    0,
                )
                .unwrap();
            });
        }),
        ("socket", |path| {
            replace_by(path, |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()));
        }),
        ("mode", |path| fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap()),
    ];
    let all = everything();
    for path in known_files(&all.store) {
        for (what, change) in changes {
            // A socket's path must be short.
            if what == "socket" && path.as_os_str().len() > 100 {
                continue;
            }
            let aside = all.store.path().join("tmp/aside");
            oracle::run(oracle::command("cp").arg("-a").arg(&path).arg(&aside));
            let mode = path.metadata().unwrap().permissions();
            if what != "mode" {
                fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            }
            change(&path);
            if path.symlink_metadata().unwrap().is_file() && what != "mode" {
                fs::set_permissions(&path, mode).unwrap();
            }
            // Contents are looked at where only they tell.
            for report in
                [verify(&all.store), quick(&all.store)].iter().take(if what == "grow" { 1 } else { 2 })
            {
                let only_full = matches!(what, "truncate" | "empty")
                    && ["layers", "blobs"].iter().any(|area| path.to_string_lossy().contains(area));
                let found = paths(report);
                assert!(only_full || found.contains(&path.as_path()), "{what} {}: {found:?}", path.display());
            }
            let found = verify(&all.store);
            assert!(paths(&found).contains(&path.as_path()), "{what} {}", path.display());
            if path.is_dir() {
                fs::remove_dir(&path).unwrap();
            }
            fs::rename(&aside, &path).unwrap();
        }
    }
    let report = verify(&all.store);
    // A copy took the place of the file that one clone is a link to.
    assert!(report.findings.iter().all(|finding| finding.subject == Subject::Clone("linked".into())));
}

#[test]
fn what_is_missing_is_missed() {
    let all = everything();
    for path in known_files(&all.store) {
        let aside = all.store.path().join("tmp/aside");
        fs::rename(&path, &aside).unwrap();
        let report = verify(&all.store);
        let area = path.strip_prefix(all.store.path()).unwrap().iter().next().unwrap().to_str().unwrap();
        match area {
            // Nothing says that they should be there.
            "images" | "names" | "digests" => assert!(report.findings.is_empty(), "{:?}", report.findings),
            "blobs" => {
                let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
                let hex = path.file_name().unwrap().to_str().unwrap();
                assert!(finding.to_string().contains(hex), "{finding}");
                assert!(matches!(finding.problem, Problem::Dangling { .. }), "{finding}");
            }
            _ => {
                let missing = report
                    .findings
                    .iter()
                    .any(|finding| finding.path == path && matches!(finding.problem, Problem::Missing));
                assert!(missing, "{}: {:?}", path.display(), report.findings);
            }
        }
        fs::rename(&aside, &path).unwrap();
    }
    // A template as a whole: its name, and the clones that stand on it.
    let directory = all.template.parent().unwrap();
    let aside = all.store.path().join("tmp/aside");
    fs::rename(directory, &aside).unwrap();
    let report = verify(&all.store);
    let mut subjects: Vec<String> =
        report.findings.iter().map(|finding| finding.subject.to_string()).collect();
    subjects.dedup();
    assert_eq!(subjects, ["clone copy", "clone linked", "clone overlay", "clone read-only"]);
    fs::rename(&aside, directory).unwrap();
    // A pack as a whole: it is fetched again when it is needed.
    let pack = all.store.path().join("layers").join(&names(&all.store, "layers")[0]);
    fs::rename(&pack, &aside).unwrap();
    assert!(verify(&all.store).findings.is_empty());
    fs::rename(&aside, &pack).unwrap();
    // Every directory.
    for area in ["layers", "templates", "clones", "images", "names", "blobs", "quarantine", "downloads"] {
        let directory = all.store.path().join(area);
        fs::rename(&directory, &aside).unwrap();
        let report = verify(&all.store);
        assert!(paths(&report).contains(&directory.as_path()), "{area}: {:?}", report.findings);
        symlink(&aside, &directory).unwrap();
        let report = verify(&all.store);
        assert!(paths(&report).contains(&directory.as_path()), "{area}: {:?}", report.findings);
        let below = report.findings.iter().filter(|finding| finding.path.starts_with(&directory));
        let subjects: Vec<_> = below.map(|finding| &finding.subject).collect();
        assert!(subjects.iter().all(|&subject| *subject == Subject::Store), "{area}: {subjects:?}");
        fs::remove_file(&directory).unwrap();
        fs::rename(&aside, &directory).unwrap();
    }
}

#[test]
fn records_that_speak_of_others() {
    let all = everything();
    let root = all.store.path();
    for (from, to) in [
        ("names/snapshot.json", "names/other.json"),
        ("clones/copy", "clones/other"),
        ("templates", "templates/0000000000000000000000000000000000000000000000000000000000000000"),
        ("layers", "layers/0000000000000000000000000000000000000000000000000000000000000000"),
    ] {
        let from = match from {
            "templates" => all.snapshot.parent().unwrap().to_owned(),
            "layers" => root.join("layers").join(&names(&all.store, "layers")[0]),
            from => root.join(from),
        };
        fs::rename(&from, root.join(to)).unwrap();
        let report = verify(&all.store);
        let misplaced = report.findings.iter().any(|finding| {
            finding.path.starts_with(root.join(to)) && matches!(finding.problem, Problem::Misplaced { .. })
        });
        assert!(misplaced, "{to}: {:?}", report.findings);
        fs::rename(root.join(to), &from).unwrap();
    }
    for stray in ["layers/x", "templates/x", "blobs/sha256/x", "names/x", "images/a b.json", "clones/a b"] {
        fs::write(root.join(stray), b"").unwrap();
        let report = verify(&all.store);
        assert_eq!(paths(&report), [root.join(stray)], "{stray}: {:?}", report.findings);
        fs::remove_file(root.join(stray)).unwrap();
    }
}

#[test]
fn others_owners() {
    if !oracle::root() {
        return;
    }
    let all = everything();
    for path in known_files(&all.store) {
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        let report = verify(&all.store);
        let owner = report.findings.iter().any(|finding| {
            finding.path == path && matches!(finding.problem, Problem::Owner { owner: 12345, expected: 0 })
        });
        assert!(owner, "{}: {:?}", path.display(), report.findings);
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
}

#[test]
fn overlays_that_do_not_fit_their_records() {
    let all = everything();
    let disk = all.store.path().join("clones/overlay/rootfs.qcow2");
    let good = fs::read(&disk).unwrap();
    let header = |offset: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[offset..offset + bytes.len()].copy_from_slice(bytes);
        bad
    };
    let backing = good.windows(3).position(|bytes| bytes == b"../").unwrap();
    let cases = [
        ("magic", header(0, b"QFJ")),
        ("version", header(7, &[9])),
        ("virtual size", header(24, &[0, 0, 0, 0, 0, 0, 16, 0])),
        ("backing", header(backing, b"..|")),
        ("short", good[..60].to_vec()),
        ("empty", Vec::new()),
    ];
    for (what, bad) in cases {
        fs::write(&disk, bad).unwrap();
        for report in [verify(&all.store), quick(&all.store)] {
            let [finding] = report.findings.as_slice() else { panic!("{what}: {:?}", report.findings) };
            assert_eq!(finding.path, disk, "{what}");
            assert!(matches!(finding.problem, Problem::Clone(_)), "{what}: {finding}");
        }
    }
    fs::write(&disk, good).unwrap();
    assert!(verify(&all.store).findings.is_empty());
}

#[test]
fn what_is_named_is_looked_at() {
    let all = everything();
    let id = all.template.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let image = all.store.images().unwrap().remove(0);
    let look = |name: &str| {
        let options = VerifyOptions { names: vec![name.to_owned()], ..VerifyOptions::default() };
        all.store.verify(&options, &Quiet)
    };
    flip(&all.template, 1024 * 8);
    for (name, checked, findings) in [
        (id, 1, true),
        ("overlay", 2, true),
        ("snapshot", 2, false),
        ("import/ed", 2, false),
        (image.reference.as_str(), 5, false),
        (&image.manifest_digest.to_string(), 1, false),
        (&image.layers[0].diff_id.to_string(), 1, false),
    ] {
        let report = look(name).unwrap();
        assert_eq!((report.checked, !report.findings.is_empty()), (checked, findings), "{name}");
    }
    for name in ["nothing", "sha256:00", "vm/unknown"] {
        let error: Error = look(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{name}: {error}");
    }
}

struct Stopped;

impl Progress for Stopped {
    fn event(&self, _: Event) {}

    fn cancelled(&self) -> bool {
        true
    }
}

#[test]
fn a_look_can_be_stopped() {
    let all = everything();
    let error = all.store.verify(&VerifyOptions::default(), &Stopped).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
}

/// What is shared or copied in long runs is checked in pieces that end where files end.
#[test]
fn long_runs_are_checked_in_pieces() {
    let directory = tempfile::tempdir().unwrap();
    let mut tar = Tar::new();
    for number in 1..=5_u8 {
        tar.file(&format!("file-{number}"), 0o644, &vec![number; 9 << 20]);
    }
    let layout = directory.path().join("image");
    Layout::create(&layout).add("long", &Image::new().layer(Layer::gzip(&tar.finish())));
    let store = Store::open(&directory.path().join("store")).unwrap();
    let image = format!("oci:{}:long", layout.display()).parse().unwrap();
    let template = store.build(&image, &BuildOptions::default(), &Quiet).unwrap();
    assert!(template.record.checksums.len() >= 3, "{:?}", template.record.checksums);
    assert!(verify(&store).findings.is_empty());
    for mib in [1, 10, 20, 30, 40] {
        flip(&template.path, (mib << 20) * 8);
        assert!(!verify(&store).findings.is_empty(), "{mib} MiB");
        flip(&template.path, (mib << 20) * 8);
    }
}
