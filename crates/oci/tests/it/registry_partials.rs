//! Downloads that outlive the process that began them.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use offshoot_oci::{ErrorKind, Platform};
use offshoot_testkit::registry::Fault;

use crate::registry_fixture::{Fixture, read};

fn with_partials(size: usize) -> (Fixture, PathBuf) {
    let mut fixture = Fixture::new(size);
    let partials = fixture.directory.path().join("partials/below");
    fixture.options.partials = Some(partials.clone());
    let file = partials.join(format!("{}.partial", &fixture.layer.digest["sha256:".len()..]));
    (fixture, file)
}

/// Lets a download break off for good after so many bytes.
fn cut_off(fixture: &Fixture, after: usize) {
    let digest = &fixture.layer.digest;
    fixture.registry.fault(digest, Fault::CutAfter(after));
    fixture.registry.always(digest, vec![Fault::Hangup]);
    let (bytes, end) = fixture.download();
    assert_eq!(end.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(bytes, fixture.blob()[..after]);
    fixture.registry.always(digest, vec![]);
}

#[test]
fn a_later_process_goes_on() {
    let (fixture, file) = with_partials(5000);
    cut_off(&fixture, 2000);
    assert_eq!(fs::read(&file).unwrap(), fixture.blob()[..2000]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let before = fixture.offsets().len();
    fixture.assert_downloads();
    assert_eq!(fixture.offsets()[before..], [Some(2000)]);
    assert!(!file.exists());
}

#[test]
fn again_and_again() {
    let (fixture, file) = with_partials(5000);
    cut_off(&fixture, 2000);
    // By Range, the body begins at 2000.
    let digest = &fixture.layer.digest;
    fixture.registry.fault(digest, Fault::CutAfter(500));
    fixture.registry.always(digest, vec![Fault::Hangup]);
    fixture.download().1.unwrap_err();
    assert_eq!(fs::read(&file).unwrap(), fixture.blob()[..2500]);
    fixture.registry.always(digest, vec![Fault::IgnoreRange]);
    fixture.assert_downloads();
    assert!(!file.exists());
}

#[test]
fn a_whole_one_needs_no_registry() {
    let (fixture, file) = with_partials(5000);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, fixture.blob()).unwrap();
    fixture.assert_downloads();
    assert!(fixture.offsets().is_empty() && !file.exists());
    // One that is too long is none.
    fs::write(&file, [fixture.blob(), b"x"].concat()).unwrap();
    fixture.assert_downloads();
    assert_eq!(fixture.offsets(), [None]);
}

#[test]
fn a_wrong_one_is_gone_for_the_next_attempt() {
    let (fixture, file) = with_partials(5000);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let wrong = vec![7; 100];
    // Read to its end, where its digest is found wrong.
    fs::write(&file, &wrong).unwrap();
    let (bytes, end) = fixture.download();
    end.unwrap();
    assert_eq!(bytes[..101], [&wrong[..], &fixture.blob()[100..101]].concat());
    assert!(!file.exists());
    // Given up by a reader who cannot decode it.
    fs::write(&file, &wrong).unwrap();
    let source = fixture.source();
    let image = source.resolve(&Platform::host()).unwrap();
    let mut stream = source.open_layer(&image, 0).unwrap();
    assert_eq!(stream.read(&mut [0; 10]).unwrap(), 10);
    drop(stream);
    assert!(!file.exists());
    // Found wrong by a registry that begins anew.
    fs::write(&file, &wrong).unwrap();
    fixture.registry.fault(&fixture.layer.digest, Fault::IgnoreRange);
    assert_eq!(fixture.download().1.unwrap_err().kind(), ErrorKind::Integrity);
    assert!(!file.exists());
    // Also if whoever reads it is interrupted just then.
    fs::write(&file, &wrong).unwrap();
    fixture.registry.fault(&fixture.layer.digest, Fault::IgnoreRange);
    let mut stream = source.open_layer(&image, 0).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap_err();
    fixture.watcher.cancelled.store(true, Ordering::SeqCst);
    drop(stream);
    fixture.watcher.cancelled.store(false, Ordering::SeqCst);
    assert!(!file.exists());
    fixture.assert_downloads();
}

#[test]
fn an_interrupted_one_is_kept() {
    let (fixture, file) = with_partials(300_000);
    let source = fixture.source();
    let image = source.resolve(&Platform::host()).unwrap();
    let mut stream = source.open_layer(&image, 0).unwrap();
    let mut bytes = vec![0; 1000];
    stream.read_exact(&mut bytes).unwrap();
    fixture.watcher.cancelled.store(true, Ordering::SeqCst);
    drop(stream);
    let kept = fs::read(&file).unwrap();
    assert!(kept.len() >= 1000 && kept == fixture.blob()[..kept.len()]);
    fixture.watcher.cancelled.store(false, Ordering::SeqCst);
    fixture.assert_downloads();
}

#[test]
fn another_s_is_left_alone() {
    let (fixture, file) = with_partials(300_000);
    let source = fixture.source();
    let image = source.resolve(&Platform::host()).unwrap();
    let mut first = source.open_layer(&image, 0).unwrap();
    first.read_exact(&mut [0; 1000]).unwrap();
    let under_way = fs::metadata(&file).unwrap().len();
    let (bytes, end) = read(source.open_layer(&image, 0));
    end.unwrap();
    assert_eq!(bytes, fixture.blob());
    assert_eq!(fs::metadata(&file).unwrap().len(), under_way);
    let mut rest = Vec::new();
    first.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, fixture.blob()[1000..]);
    drop(first);
    assert!(!file.exists());
}

#[test]
fn nothing_is_written_through_links_or_where_nothing_can_be() {
    let (mut fixture, file) = with_partials(5000);
    let victim = fixture.directory.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    symlink(&victim, &file).unwrap();
    fixture.assert_downloads();
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert!(file.is_symlink());
    fs::remove_file(&file).unwrap();
    let nothing = fixture.directory.path().join("nothing");
    symlink(&nothing, &file).unwrap();
    fixture.assert_downloads();
    assert!(!nothing.exists());
    // A directory in its place, a file in its directory's place.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    fixture.assert_downloads();
    fixture.options.partials = Some(victim.join("x"));
    fixture.assert_downloads();
}
