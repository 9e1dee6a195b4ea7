use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use offshoot_store::{Error, StoreDir};

#[test]
fn a_store_is_made_private_and_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("a/store");
    drop(StoreDir::open(&root).unwrap());
    assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
    let format = fs::read_to_string(root.join("offshoot.json")).unwrap();
    let format: serde_json::Value = serde_json::from_str(&format).unwrap();
    assert_eq!(format["format"], 1);
    assert_eq!((&format["compat"], &format["incompat"]), (&serde_json::json!([]), &serde_json::json!([])));
    StoreDir::open(&root).unwrap();
}

#[test]
fn what_is_not_a_store_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("letter"), "dear").unwrap();
    assert!(matches!(StoreDir::open(directory.path()), Err(Error::NotAStore { .. })));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn directories_that_only_look_like_ours_keep_their_files() {
    for file in ["tmp/thesis", "locks/key", "layers/x", "blobs/x", "blobs/sha256/x"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "precious").unwrap();
        let error = StoreDir::open(directory.path()).unwrap_err();
        assert!(matches!(error, Error::NotAStore { .. }), "{file}: {error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}

#[test]
fn parents_of_a_store_are_ordinary_directories() {
    let directory = tempfile::tempdir().unwrap();
    StoreDir::open(&directory.path().join("parent/store")).unwrap();
    let mode = fs::metadata(directory.path().join("parent")).unwrap().permissions().mode();
    assert_eq!(mode & 0o500, 0o500);
    assert_ne!(mode & 0o777, 0o700);
}

#[test]
fn a_store_that_was_half_made_is_finished() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("tmp")).unwrap();
    fs::write(directory.path().join(".offshoot-1-2-3"), "{").unwrap();
    StoreDir::open(directory.path()).unwrap();
}

#[test]
fn a_newer_format_is_refused_untouched() {
    for format in [r#"{"format": 2}"#, r#"{"format": 1, "compat": [], "incompat": ["shiny"]}"#] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("offshoot.json"), format).unwrap();
        let error = StoreDir::open(directory.path()).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("offshoot.json"), "{").unwrap();
    assert!(matches!(StoreDir::open(directory.path()), Err(Error::Record { .. })));
}

#[test]
fn somebody_elses_store_is_refused() {
    if !offshoot_testkit::oracle::root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(directory.path(), Some(12345), None).unwrap();
    assert!(matches!(StoreDir::open(directory.path()), Err(Error::Owner { owner: 12345, .. })));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is made in it");
    std::os::unix::fs::chown(directory.path(), Some(0), None).unwrap();
    drop(StoreDir::open(directory.path()).unwrap());
    std::os::unix::fs::chown(directory.path(), Some(12345), None).unwrap();
    assert!(matches!(StoreDir::open(directory.path()), Err(Error::Owner { owner: 12345, .. })));
}

#[test]
fn many_may_make_the_same_store_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    std::thread::scope(|scope| {
        let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| StoreDir::open(&root).map(drop))).collect();
        for opener in openers {
            opener.join().unwrap().unwrap();
        }
    });
}

/// What is refused is refused before anything is made, and by [`StoreDir::check`] as by [`StoreDir::open`].
#[test]
fn a_check_refuses_what_opening_refuses_and_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("file"), "").unwrap();
    symlink("nowhere", path("dangling")).unwrap();
    for name in ["letters", "newer", "exposed", "open", "sticky"] {
        fs::create_dir(path(name)).unwrap();
    }
    fs::write(path("letters/dear"), "").unwrap();
    fs::write(path("newer/offshoot.json"), r#"{"format": 2}"#).unwrap();
    for (name, mode) in [("exposed", 0o770), ("open", 0o777), ("sticky", 0o1777)] {
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    type Fits = fn(&Error) -> bool;
    let not_a_directory: Fits = |error| matches!(error, Error::NotADirectory { .. });
    let exposed: Fits = |error| matches!(error, Error::Exposed { .. });
    let cases: [(&str, Fits); 9] = [
        ("file", not_a_directory),
        ("file/store", not_a_directory),
        ("file/a/store", not_a_directory),
        ("dangling", not_a_directory),
        ("dangling/store", not_a_directory),
        ("letters", |error| matches!(error, Error::NotAStore { .. })),
        ("newer", |error| matches!(error, Error::Format { .. })),
        ("exposed", exposed),
        ("open/a/store", exposed),
    ];
    for (name, fits) in cases {
        for error in [StoreDir::check(&path(name)).unwrap_err(), StoreDir::open(&path(name)).unwrap_err()] {
            assert!(fits(&error), "{name}: {error}");
        }
    }
    assert!(!path("nowhere").exists() && !path("open/a").exists());
    for name in ["store", "a/store", "sticky/store"] {
        assert!(!StoreDir::check(&path(name)).unwrap(), "{name}");
        assert!(!path(name).exists());
        StoreDir::open(&path(name)).unwrap();
        assert!(StoreDir::check(&path(name)).unwrap(), "{name}");
    }
}
