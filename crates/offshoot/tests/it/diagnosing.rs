//! What `diagnose` says of places and of programs, however they are.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use offshoot::{Diagnosis, Probe, ProbeState, Store, diagnose};

fn probe<'a>(diagnosis: &'a Diagnosis, name: &str) -> &'a Probe {
    diagnosis.probes.iter().find(|probe| probe.name == name).unwrap()
}

fn diagnosis(store: &Path) -> Diagnosis {
    diagnose(store, "/nowhere/resize2fs".as_ref())
}

#[test]
fn a_place_where_no_store_opens_is_of_no_use() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["letters", "newer", "exposed", "damaged"] {
        fs::create_dir(path(name)).unwrap();
    }
    fs::write(path("file"), "").unwrap();
    fs::write(path("letters/dear"), "").unwrap();
    fs::write(path("newer/offshoot.json"), r#"{"format": 2}"#).unwrap();
    fs::write(path("damaged/offshoot.json"), "{").unwrap();
    fs::set_permissions(path("exposed"), Permissions::from_mode(0o777)).unwrap();
    symlink("nowhere", path("dangling")).unwrap();
    let before = fs::read_dir(directory.path()).unwrap().count();
    for (name, word) in [
        ("letters", "not empty"),
        ("newer", "format 2"),
        ("damaged", "offshoot.json"),
        ("exposed", "0777"),
        ("exposed/a/store", "0777"),
        ("file/store", "not a directory"),
        ("dangling", "not a directory"),
    ] {
        let diagnosis = diagnosis(&path(name));
        let found = &probe(&diagnosis, "store").found;
        assert!(!diagnosis.is_usable() && diagnosis.strategy.is_none(), "{name}: {found}");
        assert!(found.contains(word), "{name}: {found}");
        let error = Store::open(&path(name)).unwrap_err();
        assert_eq!(*found, offshoot::with_causes(&error));
    }
    for name in ["store", "a/store"] {
        assert!(diagnosis(&path(name)).is_usable());
        drop(Store::open(&path(name)).unwrap());
        assert!(diagnosis(&path(name)).is_usable());
        fs::remove_dir_all(path(name.split('/').next().unwrap())).unwrap();
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), before);
}

#[test]
fn a_program_that_does_not_end_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let program = directory.path().join("resize2fs");
    for (script, state, found) in [
        ("echo resize2fs 1.47.2 >&2; exit 1", ProbeState::Ok, "1.47.2"),
        ("echo usage; exit 1", ProbeState::Ok, "of unknown version"),
        ("read line; echo resize2fs 1.47.2", ProbeState::Ok, "1.47.2"),
        ("yes 1.0", ProbeState::Limited, "it says more than 65536 bytes"),
        ("sleep 1000 & echo 1.0", ProbeState::Limited, "it did not end within 5 s"),
    ] {
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let started = Instant::now();
        let diagnosis = diagnose(&store, &program);
        let probe = probe(&diagnosis, "resize2fs");
        assert_eq!((probe.state, probe.found.as_str()), (state, found), "{script}");
        assert!(diagnosis.is_usable());
        assert!(started.elapsed() < Duration::from_secs(60), "{script}: {:?}", started.elapsed());
    }
    let missing = diagnosis(&store);
    assert_eq!(probe(&missing, "resize2fs").state, ProbeState::Missing);
}
