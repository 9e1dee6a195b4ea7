//! Layers on their way: cut, stalled, in parts, begun anew, wrong.

use std::io::Read;
use std::sync::atomic::Ordering;
use std::time::Duration;

use offshoot_oci::{Error, ErrorKind, Notice, Platform, RegistryLimits, RegistryProblem, TransportError};
use offshoot_store::{VerifyError, VerifyingReader};
use offshoot_testkit::registry::Fault;

use crate::registry_fixture::{Fixture, line, read};

fn problem(error: &Error) -> &RegistryProblem {
    match error {
        Error::Registry { problem, .. } => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn cut_at_every_byte() {
    let fixture = Fixture::new(40);
    let source = fixture.source();
    let image = source.resolve(&Platform::host()).unwrap();
    let size = fixture.blob().len();
    assert!(size > 100);
    for at in 0..=size {
        fixture.registry.fault(&fixture.layer.digest, Fault::CutAfter(at));
        let (bytes, end) = read(source.open_layer(&image, 0));
        end.unwrap();
        assert_eq!(bytes, fixture.blob(), "{at}");
    }
    // Each byte was asked for as the one to go on with, but for the first and those behind the end.
    let asked: Vec<_> = fixture.offsets().into_iter().flatten().collect();
    assert_eq!(asked, (1..size as u64).collect::<Vec<_>>());
}

#[test]
fn cut_in_every_way_again_and_again() {
    let fixture = Fixture::new(5000).impatient();
    let digest = &fixture.layer.digest;
    let size = fixture.blob().len();
    for faults in [
        vec![vec![Fault::CutAfter(700)]; 4],
        // No progress for a while, then some, then none for a while.
        vec![vec![Fault::Hangup]; 5],
        [vec![vec![Fault::Hangup]; 5], vec![vec![Fault::CutAfter(1)]], vec![vec![Fault::Hangup]; 5]].concat(),
        vec![vec![Fault::Garbage]],
        vec![vec![Fault::StallAfter(2000)]],
        vec![vec![Fault::StallAfter(0)]],
        vec![vec![Fault::Chunked(77), Fault::CutAfter(2000)], vec![Fault::Chunked(77)]],
        vec![vec![Fault::UntilClosed, Fault::CutAfter(2000)], vec![Fault::UntilClosed]],
        vec![vec![Fault::Drip]],
        vec![vec![Fault::Length(size as u64), Fault::Short(2000)]],
        // The first answer breaks off, and the second begins anew, in part and in full.
        vec![vec![Fault::CutAfter(2000)], vec![Fault::IgnoreRange]],
        vec![
            vec![Fault::CutAfter(2000)],
            vec![Fault::IgnoreRange, Fault::CutAfter(1000)],
            vec![Fault::IgnoreRange],
        ],
        vec![vec![Fault::CutAfter(2000)], vec![Fault::WrongRange]],
        vec![vec![Fault::CutAfter(2000)], vec![Fault::NotSatisfiable]],
        vec![vec![Fault::Status(408)]],
        vec![
            vec![Fault::Status(500)],
            vec![Fault::Status(502)],
            vec![Fault::Status(503)],
            vec![Fault::Status(504)],
        ],
        vec![vec![Fault::CutAfter(2000)], vec![Fault::Status(503)]],
    ] {
        let shown = format!("{faults:?}");
        for faults in faults {
            fixture.registry.faults(digest, faults);
        }
        let (bytes, end) = fixture.download();
        assert!(end.is_ok(), "{shown}: {}", line(&end.unwrap_err()));
        assert_eq!(bytes, fixture.blob(), "{shown}");
    }
}

#[test]
fn what_never_gets_anywhere_ends() {
    let mut fixture = Fixture::new(5000).impatient();
    fixture.options.limits.attempts = 3;
    let digest = &fixture.layer.digest;
    let attempts = usize::try_from(fixture.options.limits.attempts).unwrap();
    for (faults, delivered, expected) in [
        (vec![Fault::Hangup], 0, "the connection failed"),
        (vec![Fault::Garbage], 0, "its answer is not HTTP"),
        (vec![Fault::StallAfter(0)], 0, "nothing came from it for too long"),
        (vec![Fault::Status(503)], 0, "it answers 503: UNKNOWN as it was told to say"),
        (vec![Fault::IgnoreRange, Fault::CutAfter(2000)], 2000, "the connection failed"),
    ] {
        fixture.registry.always(digest, faults.clone());
        let before = fixture.offsets().len();
        let (bytes, end) = fixture.download();
        let error = end.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(bytes, fixture.blob()[..delivered], "{faults:?}");
        assert!(line(&error).contains(expected), "{faults:?}: {}", line(&error));
        // The one that got somewhere does not count.
        let asked = fixture.offsets().len() - before;
        assert_eq!(asked, attempts + usize::from(delivered > 0), "{faults:?}");
    }
    assert!(fixture.watcher.pauses.lock().unwrap().iter().all(|pause| *pause >= Duration::from_millis(250)));
}

#[test]
fn a_blob_of_another_size_is_refused_at_once() {
    let fixture = Fixture::new(5000);
    let digest = &fixture.layer.digest;
    let size = fixture.blob().len() as u64;
    for (faults, actual) in [
        (vec![vec![Fault::Short(100)]], 100),
        (vec![vec![Fault::Length(size + 1)]], size + 1),
        (vec![vec![Fault::Huge(size + 7)]], size + 7),
        (vec![vec![Fault::CutAfter(9)], vec![Fault::RangeTotal(size + 5)]], size + 5),
        (
            vec![
                vec![Fault::CutAfter(9)],
                vec![Fault::NotSatisfiable, Fault::Header("Content-Range".into(), "bytes */9".into())],
            ],
            9,
        ),
    ] {
        for faults in faults {
            fixture.registry.faults(digest, faults);
        }
        let (_, end) = fixture.download();
        let error = end.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
        let Error::Verify { what, source } = error else { panic!("{error:?}") };
        assert!(what.starts_with(&format!("the layer {digest} of 127.0.0.1:")), "{what}");
        assert_eq!(source, VerifyError::Size { expected: size, actual });
    }
    // In chunks there is no size beforehand: the reader gets one byte too many, and says so.
    fixture.registry.faults(digest, vec![Fault::Chunked(100), Fault::Huge(size + 7)]);
    let source = fixture.source();
    let image = source.resolve(&Platform::host()).unwrap();
    let reader = VerifyingReader::new(source.open_layer(&image, 0).unwrap(), image.layers[0].expected);
    let verdict = reader.finish().unwrap();
    assert_eq!(verdict, Err(VerifyError::Size { expected: size, actual: size + 1 }));
}

#[test]
fn a_bad_end_behind_the_last_byte_changes_nothing() {
    let fixture = Fixture::new(5000);
    let size = fixture.blob().len();
    fixture.registry.faults(&fixture.layer.digest, vec![Fault::Chunked(77), Fault::CutAfter(size)]);
    fixture.assert_downloads();
    assert_eq!(fixture.offsets(), [None]);
    assert!(fixture.watcher.pauses.lock().unwrap().is_empty());
}

#[test]
fn other_bytes_than_before_are_refused() {
    let fixture = Fixture::new(5000);
    let digest = &fixture.layer.digest;
    let mut other = fixture.blob().to_vec();
    other[10] ^= 1;
    fixture.registry.fault(digest, Fault::CutAfter(11));
    fixture.registry.faults(digest, vec![Fault::IgnoreRange, Fault::Body(other.clone())]);
    let error = fixture.download().1.unwrap_err();
    assert!(matches!(problem(&error), RegistryProblem::Changed), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Integrity);
    // One byte earlier, the difference is not yet delivered; the digest tells it.
    fixture.registry.fault(digest, Fault::CutAfter(10));
    fixture.registry.faults(digest, vec![Fault::IgnoreRange, Fault::Body(other.clone())]);
    let (bytes, end) = fixture.download();
    end.unwrap();
    assert_eq!(bytes, other);
}

#[test]
fn what_is_not_there() {
    let fixture = Fixture::new(10);
    let source = fixture.source();
    let image = source.resolve(&Platform::host()).unwrap();
    std::fs::remove_file(fixture.layout.blob(&fixture.layer.digest)).unwrap();
    let error = source.open_layer(&image, 0).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(fixture.offsets().len(), 1);
    assert_eq!(source.open_layer(&image, 1).err().unwrap().kind(), ErrorKind::NotFound);
}

#[test]
fn redirects_lead_to_storage() {
    let fixture = Fixture::new(5000);
    let storage = Fixture::new(5000);
    let digest = &fixture.layer.digest;
    let target = format!("http://{}{{}}?signature=secret", storage.registry.host());
    // Each part is asked for at the registry, which makes a new signature.
    fixture.registry.always(digest, vec![Fault::Redirect(target)]);
    storage.registry.fault(digest, Fault::CutAfter(2000));
    // The signature has expired.
    storage.registry.fault(digest, Fault::Status(403));
    fixture.assert_downloads();
    assert_eq!(fixture.offsets(), [None, Some(2000), Some(2000)]);
    assert_eq!(storage.offsets(), fixture.offsets());
    assert_eq!(storage.registry.seen()[0].parameter("signature"), Some("secret"));

    storage.registry.always(digest, vec![Fault::Status(404)]);
    let error = fixture.download().1.unwrap_err();
    assert!(matches!(problem(&error), RegistryProblem::Storage { status: 404, .. }));
    assert!(!line(&error).contains("secret"), "{}", line(&error));
}

#[test]
fn redirects_are_bounded_and_stay_secure() {
    let fixture = Fixture::new(10);
    let digest = &fixture.layer.digest;
    fixture.registry.always(digest, vec![Fault::Redirect("{}?again".into())]);
    let error = fixture.download().1.unwrap_err();
    assert!(matches!(problem(&error), RegistryProblem::Redirects(5)), "{error:?}");
    assert_eq!(fixture.registry.seen_of(digest).len(), 6);
    for target in ["ftp://storage.example.com/x", "https://user:secret@storage.example.com/x"] {
        fixture.registry.always(digest, vec![Fault::Redirect(target.into())]);
        let error = fixture.download().1.unwrap_err();
        assert!(matches!(problem(&error), RegistryProblem::Location(_)), "{error:?}");
        assert!(!line(&error).contains("secret"));
    }
}

#[test]
fn retry_after_is_heeded_within_reason() {
    let fixture = Fixture::new(10);
    let digest = &fixture.layer.digest;
    let busy = |wait: &str| vec![Fault::Status(429), Fault::Header("Retry-After".into(), wait.into())];
    fixture.registry.faults(digest, busy("7"));
    fixture.registry.faults(digest, busy("Fri, 21 Nov 1997 00:00:00 GMT"));
    fixture.assert_downloads();
    let pauses = std::mem::take(&mut *fixture.watcher.pauses.lock().unwrap());
    assert_eq!(pauses[0], Duration::from_secs(7));
    assert!(pauses[1] < Duration::from_secs(2));
    let notices = std::mem::take(&mut *fixture.watcher.notices.lock().unwrap());
    let expected = format!(
        "{}: it has had too many requests and asks to wait 7 s: TOOMANYREQUESTS as it was told to say; trying again in 7.0 s",
        fixture.registry.host()
    );
    assert_eq!(notices[0].to_string(), expected);

    fixture.registry.faults(digest, busy("3600"));
    let error = fixture.download().1.unwrap_err();
    let RegistryProblem::TooManyRequests { retry_after, .. } = problem(&error) else { panic!("{error:?}") };
    assert_eq!(*retry_after, Some(Duration::from_secs(3600)));
    assert!(fixture.watcher.pauses.lock().unwrap().is_empty());
}

#[test]
fn a_wait_ends_when_it_is_cancelled() {
    let fixture = Fixture::new(5000);
    let digest = &fixture.layer.digest;
    // While nothing comes; the limit is out of reach.
    let mut patient = Fixture::new(5000);
    patient.options.limits = RegistryLimits { stall: Duration::from_secs(3600), ..patient.options.limits };
    patient.registry.fault(digest, Fault::StallAfter(100));
    let source = patient.source();
    let image = source.resolve(&Platform::host()).unwrap();
    let mut stream = source.open_layer(&image, 0).unwrap();
    let mut bytes = vec![0; 100];
    stream.read_exact(&mut bytes).unwrap();
    patient.watcher.cancelled.store(true, Ordering::SeqCst);
    let error = stream.read(&mut bytes).unwrap_err().downcast::<Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::Interrupted);

    // Between attempts.
    let source = fixture.source();
    let image = source.resolve(&Platform::host()).unwrap();
    fixture.registry.always(digest, vec![Fault::Hangup]);
    *fixture.watcher.patience.lock().unwrap() = Some(0);
    let error = source.open_layer(&image, 0).err().unwrap();
    assert!(matches!(problem(&error), RegistryProblem::Transport(TransportError::Interrupted)), "{error:?}");
    assert!(fixture.watcher.notices.lock().unwrap().len() <= 1);
}

#[test]
fn thirty_readers_at_once() {
    let fixture = Fixture::new(100_000);
    let source = fixture.source();
    let image = source.resolve(&Platform::host()).unwrap();
    for _ in 0..10 {
        fixture.registry.fault(&fixture.layer.digest, Fault::CutAfter(50_000));
    }
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..30).map(|_| scope.spawn(|| read(source.open_layer(&image, 0)))).collect();
        for reader in readers {
            let (bytes, end) = reader.join().unwrap();
            end.unwrap();
            assert_eq!(bytes, fixture.blob());
        }
    });
    // A cut at the very end of what was left is none.
    let asked = fixture.offsets().len();
    assert!((31..=40).contains(&asked), "{asked}");
}

#[test]
fn what_is_resumed_is_noticed() {
    let fixture = Fixture::new(5000);
    fixture.registry.fault(&fixture.layer.digest, Fault::CutAfter(2000));
    fixture.assert_downloads();
    let digest = fixture.layer.digest.parse().unwrap();
    let notices = fixture.watcher.notices.lock().unwrap();
    assert!(matches!(&notices[0], Notice::Retry { .. }), "{notices:?}");
    assert_eq!(notices[1..], [Notice::Resumed { digest, offset: 2000 }]);
}
