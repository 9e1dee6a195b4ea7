use std::fs;

use offshoot::{BuildOptions, CloneOptions, ErrorKind, Origin, Quiet, Store};
use offshoot_testkit::{oracle, sha256_file};

use crate::image::{Fixture, fixture, names, vm};

#[test]
fn a_ready_made_filesystem_becomes_a_template() {
    if !oracle::available(&["mke2fs", "e2fsck"]) {
        return;
    }
    let Fixture { directory, store, .. } = &fixture();
    let file = directory.path().join("made.ext4");
    let mut mke2fs = oracle::command("mke2fs");
    oracle::run(
        mke2fs.args(["-q", "-t", "ext4", "-d"]).arg(directory.path().join("image")).arg(&file).arg("300M"),
    );
    let template = store.import(&"node".parse().unwrap(), &file).unwrap();
    assert_eq!(template.record.origin, Origin::Imported);
    assert_eq!(sha256_file(&template.path), sha256_file(&file));
    let listed = store.templates().unwrap();
    let names_of: Vec<_> =
        listed.iter().filter(|(record, _)| record.id == template.record.id).map(|(_, names)| names).collect();
    assert_eq!(names_of, [&["node".parse().unwrap()]]);
    // The same bytes are the same template.
    let again = store.import(&"other-name".parse().unwrap(), &file).unwrap();
    assert_eq!(again.record, template.record);
    let options = CloneOptions { size_bytes: Some(2 << 30), ..CloneOptions::default() };
    let clone = store.clone_template(&template, &vm("vm-1"), &options).unwrap();
    assert_eq!(clone.record.image, None);
    oracle::e2fsck(&clone.path);
    let grown = store.grow(&vm("vm-1"), 5 << 30).unwrap();
    oracle::e2fsck(&grown.path);
    assert!(names(store, "tmp").is_empty());
}

#[test]
fn a_directory_of_stacks_is_imported_as_a_whole() {
    let Fixture { directory, store, template } = &fixture();
    let stacks = directory.path().join("stacks");
    for (stack, size) in [("node", 1 << 30), ("python", 2 << 30)] {
        fs::create_dir_all(stacks.join(stack)).unwrap();
        let options = BuildOptions { size: offshoot::DiskSize::Bytes(size), ..BuildOptions::default() };
        let built = store.build(&"scratch:".parse().unwrap(), &options, &Quiet).unwrap();
        store.export(&built, &stacks.join(stack).join("rootfs.ext4")).unwrap();
    }
    fs::create_dir(stacks.join("empty")).unwrap();
    let imported = store.import_all(&"stacks".parse().unwrap(), &stacks).unwrap();
    assert_eq!(imported.len(), 2);
    for (stack, size) in [("node", 1 << 30), ("python", 2 << 30)] {
        let found = store.find_template(&format!("stacks/{stack}")).unwrap().unwrap();
        assert_eq!(found.record.size_bytes, size);
    }
    assert_ne!(imported[0].record.id, template.record.id);
    let error = store.import_all(&"none".parse().unwrap(), &stacks.join("empty")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn what_is_no_clean_ext4_is_refused() {
    let Fixture { directory, store, template } = &fixture();
    let name = || "x".parse().unwrap();
    let text = directory.path().join("text");
    fs::write(&text, "not a filesystem").unwrap();
    let dirty = directory.path().join("dirty");
    let mut bytes = fs::read(&template.path).unwrap();
    bytes[1024 + 0x60] |= 4; // s_feature_incompat: INCOMPAT_RECOVER
    fs::write(&dirty, &bytes).unwrap();
    for file in [&text, &dirty] {
        let error = store.import(&name(), file).unwrap_err();
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
    let error = store.import(&name(), directory.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    let error = store.import(&name(), &directory.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
    assert_eq!(store.find_template("x").unwrap(), None);
    assert!(names(store, "tmp").is_empty());
    let _: &Store = store;
}
