use std::fs;
use std::os::unix::fs::PermissionsExt;

use offshoot::{
    BuildOptions, DiskSize, Error, ErrorKind, Inspection, PullOptions, Quiet, Store, TemplateName,
};
use offshoot_testkit::oracle;

use crate::image::{names, sample};

#[test]
fn an_image_becomes_a_template_once() {
    let directory = tempfile::tempdir().unwrap();
    let image = sample(&directory.path().join("image"));
    let store = Store::open(&directory.path().join("store")).unwrap();
    let built = store.build(&image, &BuildOptions::default(), &Quiet).unwrap();
    assert_eq!(store.build(&image, &BuildOptions::default(), &Quiet).unwrap(), built);
    assert_eq!(names(&store, "layers").len(), 2);
    assert_eq!(names(&store, "templates"), [built.record.id.to_string()]);
    assert_eq!(built.record.derivation().unwrap().template_id().unwrap(), built.record.id);

    let metadata = fs::metadata(&built.path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o444);
    assert_eq!(metadata.len(), built.record.size_bytes);
    assert_eq!(built.record.image.as_ref().unwrap().config.cmd, ["/bin/true"]);
    assert_eq!(built.record.image.as_ref().unwrap().config.env, [("A".to_owned(), "b=c".to_owned())]);
    if oracle::available(&["e2fsck", "debugfs"]) {
        oracle::e2fsck(&built.path);
        assert_eq!(oracle::debugfs(&built.path, "cat /etc/issue"), "issue\n");
        assert!(!oracle::debugfs(&built.path, "ls /etc").contains("motd"));
    }
}

#[test]
fn options_make_other_templates() {
    let directory = tempfile::tempdir().unwrap();
    let image = sample(&directory.path().join("image"));
    let store = Store::open(&directory.path().join("store")).unwrap();
    let host = directory.path().join("init");
    fs::write(&host, "#!/bin/sh\n").unwrap();
    let injected = format!("{}:/sbin/init:0755", host.display()).parse().unwrap();
    let all = [
        BuildOptions::default(),
        BuildOptions { size: DiskSize::Bytes(256 << 20), ..BuildOptions::default() },
        BuildOptions { journal: false, ..BuildOptions::default() },
        BuildOptions { injections: vec![injected], ..BuildOptions::default() },
    ];
    let built: Vec<_> = all.iter().map(|options| store.build(&image, options, &Quiet).unwrap()).collect();
    assert_eq!(names(&store, "templates").len(), all.len());
    assert_eq!(built[1].record.size_bytes, 256 << 20);
    if oracle::available(&["e2fsck", "debugfs"]) {
        built.iter().for_each(|template| oracle::e2fsck(&template.path));
        assert_eq!(oracle::debugfs(&built[3].path, "cat /sbin/init"), "#!/bin/sh\n");
        assert!(oracle::debugfs(&built[3].path, "stat /sbin/init").contains("Mode:  0755"));
    }
}

#[test]
fn names_stand_for_templates_and_move_on() {
    let directory = tempfile::tempdir().unwrap();
    let image = sample(&directory.path().join("image"));
    let store = Store::open(&directory.path().join("store")).unwrap();
    let base: TemplateName = "base/1".parse().unwrap();
    let options = BuildOptions { name: Some(base.clone()), ..BuildOptions::default() };
    let first = store.build(&image, &options, &Quiet).unwrap();
    assert_eq!(store.find_template("base/1").unwrap().as_ref(), Some(&first));
    assert_eq!(store.find_template(&first.record.id.to_string()).unwrap().unwrap().record, first.record);
    assert_eq!(store.find_template("base").unwrap(), None);

    let second = store.build(&"scratch:".parse().unwrap(), &options, &Quiet).unwrap();
    assert_eq!(store.find_template("base/1").unwrap(), Some(second.clone()));
    let listed = store.templates().unwrap();
    let names = |id| &listed.iter().find(|(record, _)| record.id == id).unwrap().1;
    assert_eq!(names(second.record.id), &[base]);
    assert!(names(first.record.id).is_empty());
    let Inspection::Template { path, .. } = &store.inspect("base/1").unwrap()[0] else { panic!() };
    assert_eq!(path, &second.path);
}

#[test]
fn pulled_images_are_listed_and_found() {
    let directory = tempfile::tempdir().unwrap();
    let image = sample(&directory.path().join("image"));
    let store = Store::open(&directory.path().join("store")).unwrap();
    let record = store.pull(&image, &PullOptions::default(), &Quiet).unwrap();
    assert_eq!(store.images().unwrap(), std::slice::from_ref(&record));
    let found = store.inspect(&image.to_string()).unwrap();
    assert!(matches!(&found[..], [Inspection::Image { record: found, pack_bytes }]
        if *found == record && *pack_bytes > 4096));
    let error = store.inspect("nobody").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn an_export_is_the_template_and_replaces_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let image = sample(&directory.path().join("image"));
    let store = Store::open(&directory.path().join("store")).unwrap();
    let template = store.build(&image, &BuildOptions::default(), &Quiet).unwrap();
    let output = directory.path().join("disk.ext4");
    store.export(&template, &output).unwrap();
    assert!(fs::read(&output).unwrap() == fs::read(&template.path).unwrap());
    fs::write(&output, "mine").unwrap();
    assert!(matches!(store.export(&template, &output), Err(Error::OutputExists { .. })));
    assert_eq!(fs::read(&output).unwrap(), b"mine");
}

#[test]
fn a_template_without_its_record_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let image = sample(&directory.path().join("image"));
    let store = Store::open(&directory.path().join("store")).unwrap();
    let template = store.build(&image, &BuildOptions::default(), &Quiet).unwrap();
    fs::remove_file(template.path.with_file_name("template.json")).unwrap();
    let error = store.build(&image, &BuildOptions::default(), &Quiet).unwrap_err();
    assert!(matches!(error, Error::NoRecord { .. }), "{error}");
}

#[test]
fn an_output_without_a_place_is_refused_beforehand() {
    let directory = tempfile::tempdir().unwrap();
    for place in ["missing/disk", "missing/", "disk/"] {
        let error = Store::check_output(&directory.path().join(place)).unwrap_err();
        assert!(matches!(error, Error::OutputPlace { .. }), "{place}: {error}");
    }
    Store::check_output(&directory.path().join("disk")).unwrap();
}

#[test]
fn a_damaged_pack_is_not_built_from() {
    let directory = tempfile::tempdir().unwrap();
    let image = sample(&directory.path().join("image"));
    let store = Store::open(&directory.path().join("store")).unwrap();
    let record = store.pull(&image, &PullOptions::default(), &Quiet).unwrap();
    let index = store.path().join("layers").join(record.layers[0].diff_id.hex()).join("index");
    let mut bytes = fs::read(&index).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&index, bytes).unwrap();
    let error = store.build(&image, &BuildOptions::default(), &Quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    assert!(names(&store, "templates").is_empty() && names(&store, "tmp").is_empty());
}
