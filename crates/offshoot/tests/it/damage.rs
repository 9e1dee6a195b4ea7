use std::fs;
use std::io::Write;

use offshoot::{CloneOptions, Damage, Error, ErrorKind, Strategy};
use offshoot_testkit::oracle;

use crate::image::{Fixture, fixture, names, vm};

fn options(strategy: Option<Strategy>) -> CloneOptions {
    CloneOptions { strategy, ..CloneOptions::default() }
}

fn recreate(strategy: Option<Strategy>) -> CloneOptions {
    CloneOptions { recreate: true, ..options(strategy) }
}

fn damage(error: &Error) -> &Damage {
    match error {
        Error::CloneDamaged { damage, .. } => damage,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_missing_disk_is_lost_until_it_is_recreated() {
    for strategy in [None, Some(Strategy::Qcow2)] {
        let Fixture { store, template, .. } = &fixture();
        let clone = store.clone_template(template, &vm("vm-1"), &options(strategy)).unwrap();
        fs::remove_file(&clone.path).unwrap();
        for _ in 0..2 {
            let error = store.clone_template(template, &vm("vm-1"), &options(strategy)).unwrap_err();
            assert!(matches!(damage(&error), Damage::Lost { .. }), "{error}");
            assert_eq!(error.kind(), ErrorKind::Integrity);
        }
        assert!(names(store, "quarantine").is_empty());
        let anew = store.clone_template(template, &vm("vm-1"), &recreate(strategy)).unwrap();
        assert_eq!(anew.path, clone.path);
        assert!(anew.path.exists());
        assert_eq!(names(store, "quarantine").len(), 1, "its record is kept");
    }
}

#[test]
fn a_disk_of_another_size_is_left_and_set_aside_on_request() {
    let Fixture { store, template, .. } = &fixture();
    let clone = store.clone_template(template, &vm("vm-1"), &options(None)).unwrap();
    fs::File::options().write(true).open(&clone.path).unwrap().set_len(4096).unwrap();
    let error = store.clone_template(template, &vm("vm-1"), &options(None)).unwrap_err();
    assert!(matches!(damage(&error), Damage::Size { actual_bytes: 4096, .. }), "{error}");
    assert_eq!(clone.path.metadata().unwrap().len(), 4096);
    let anew = store.clone_template(template, &vm("vm-1"), &recreate(None)).unwrap();
    assert_eq!(anew.path.metadata().unwrap().len(), template.record.size_bytes);
    let kept = store.path().join("quarantine").join(&names(store, "quarantine")[0]);
    assert_eq!(kept.join("vm-1/rootfs.ext4").metadata().unwrap().len(), 4096);
    assert!(fs::read_to_string(kept.join("reason.json")).unwrap().contains("4096"));
}

#[test]
fn a_damaged_header_goes_to_quarantine() {
    type Break = fn(&mut Vec<u8>);
    let cases: [(&str, Break); 4] = [
        ("bad magic", |bytes| bytes[0] = b'X'),
        ("too short", |bytes| bytes.truncate(50)),
        ("empty", Vec::clear),
        ("backing name that is not UTF-8", |bytes| {
            let offset = u64::from_be_bytes(bytes[8..16].try_into().unwrap());
            bytes[usize::try_from(offset).unwrap()] = 0xff;
        }),
    ];
    for (what, destroy) in cases {
        let Fixture { store, template, .. } = &fixture();
        let overlay = options(Some(Strategy::Qcow2));
        let clone = store.clone_template(template, &vm("vm-1"), &overlay).unwrap();
        let mut bytes = fs::read(&clone.path).unwrap();
        destroy(&mut bytes);
        fs::write(&clone.path, &bytes).unwrap();
        let error = store.clone_template(template, &vm("vm-1"), &overlay).unwrap_err();
        assert!(matches!(damage(&error), Damage::Header { .. }), "{what}: {error}");
        let Error::CloneDamaged { quarantined: Some(kept), .. } = &error else {
            panic!("{what}: {error:?}");
        };
        assert_eq!(fs::read(kept).unwrap(), bytes, "{what}: nothing is lost");
        assert!(!clone.path.exists());
        // From then on it is a lost disk.
        let error = store.clone_template(template, &vm("vm-1"), &overlay).unwrap_err();
        assert!(matches!(damage(&error), Damage::Lost { .. }), "{what}: {error}");
        let anew = store.clone_template(template, &vm("vm-1"), &recreate(Some(Strategy::Qcow2))).unwrap();
        assert_eq!(anew.path, clone.path);
        assert!(kept.exists());
    }
}

#[test]
fn an_overlay_without_its_template_is_kept() {
    let Fixture { store, template, .. } = &fixture();
    let overlay = options(Some(Strategy::Qcow2));
    let clone = store.clone_template(template, &vm("vm-1"), &overlay).unwrap();
    let aside = template.path.with_extension("aside");
    fs::rename(&template.path, &aside).unwrap();
    let error = store.clone_template(template, &vm("vm-1"), &overlay).unwrap_err();
    assert!(error.to_string().contains(&template.path.display().to_string()), "{error}");
    assert!(matches!(damage(&error), Damage::NoBacking { .. }), "{error}");
    assert!(clone.path.exists() && names(store, "quarantine").is_empty());
    fs::rename(&aside, &template.path).unwrap();
    assert_eq!(store.clone_template(template, &vm("vm-1"), &overlay).unwrap(), clone);
}

#[test]
fn an_overlay_on_something_else_is_not_used() {
    let Fixture { store, template, .. } = &fixture();
    let overlay = options(Some(Strategy::Qcow2));
    let clone = store.clone_template(template, &vm("vm-1"), &overlay).unwrap();
    let bytes = fs::read(&clone.path).unwrap();
    let id = template.record.id.to_string();
    let place = bytes.windows(64).position(|window| window == id.as_bytes()).unwrap();
    let mut other = bytes.clone();
    other[place..place + 4].copy_from_slice(b"dead");
    fs::write(&clone.path, &other).unwrap();
    let error = store.clone_template(template, &vm("vm-1"), &overlay).unwrap_err();
    assert!(matches!(damage(&error), Damage::OtherBacking { .. }), "{error}");
    assert_eq!(fs::read(&clone.path).unwrap(), other);
}

#[test]
fn a_clone_without_a_record_or_with_a_broken_one() {
    let Fixture { store, template, .. } = &fixture();
    let clone = store.clone_template(template, &vm("vm-1"), &options(None)).unwrap();
    let record = clone.path.with_file_name("clone.json");
    fs::File::create(&record).unwrap().write_all(b"{").unwrap();
    let error = store.clone_template(template, &vm("vm-1"), &options(None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    store.clone_template(template, &vm("vm-1"), &recreate(None)).unwrap();
    fs::remove_file(&record).unwrap();
    let error = store.clone_template(template, &vm("vm-1"), &options(None)).unwrap_err();
    assert!(matches!(error, Error::CloneContested { .. }), "{error}");
    store.clone_template(template, &vm("vm-1"), &recreate(None)).unwrap();
    assert_eq!(names(store, "quarantine").len(), 2);
}

#[test]
fn a_sound_clone_is_not_recreated() {
    let Fixture { store, template, .. } = &fixture();
    let clone = store.clone_template(template, &vm("vm-1"), &options(None)).unwrap();
    let before = crate::image::stamps(&clone.path);
    assert_eq!(store.clone_template(template, &vm("vm-1"), &recreate(None)).unwrap(), clone);
    assert_eq!(crate::image::stamps(&clone.path), before);
    // And a conflict is no damage.
    let error =
        store.clone_template(template, &vm("vm-1"), &CloneOptions { read_only: true, ..recreate(None) });
    assert!(matches!(error, Err(Error::CloneConflict { .. })));
}

/// Whatever lies where a disk should, nobody waits for it, and it can be released.
#[test]
fn what_is_no_disk_is_neither_opened_nor_in_the_way() {
    type Plant = fn(&std::path::Path);
    let cases: [(&str, Plant); 3] = [
        ("pipe", |path| {
            oracle::run(oracle::command("mkfifo").arg(path));
        }),
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("link", |path| std::os::unix::fs::symlink("..", path).unwrap()),
    ];
    for (what, plant) in cases {
        let Fixture { store, template, .. } = &fixture();
        for strategy in [None, Some(Strategy::Qcow2)] {
            let clone = store.clone_template(template, &vm("vm-1"), &options(strategy)).unwrap();
            fs::remove_file(&clone.path).unwrap();
            plant(&clone.path);
            let error = store.grow(&vm("vm-1"), 8 << 30).unwrap_err();
            assert!(matches!(damage(&error), Damage::NotAFile { .. }), "{what}: {error}");
            store.reset(&vm("vm-1")).unwrap();
            assert!(fs::symlink_metadata(&clone.path).unwrap().is_file(), "{what}");
            fs::remove_file(&clone.path).unwrap();
            plant(&clone.path);
            store.release(&vm("vm-1")).unwrap();
            assert!(names(store, "clones").is_empty(), "{what}");
        }
    }
}
