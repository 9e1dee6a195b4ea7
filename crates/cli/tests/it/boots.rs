use std::path::PathBuf;

use offshoot_testkit::boot::{self, Boot};
use offshoot_testkit::samples::Sample;
use offshoot_testkit::{LoopMount, oracle, sha256_file};

use crate::cases::soak;
use crate::program::text;
use crate::shared;

/// A machine runs a command in a clone and writes a file; it is there and nowhere else.
fn boot(sample: Sample) {
    if !boot::available() || !oracle::root() || !oracle::available(&["e2fsck", "mount"]) {
        return;
    }
    let Some(template) = shared::template(sample) else { return };
    let before = sha256_file(&template);
    let store = shared::store();
    let id = text(template.parent().unwrap().file_name().unwrap().as_ref()).to_owned();
    let clone = |vm: &str| {
        let vm = format!("boot-{sample}-{vm}");
        (PathBuf::from(store.run(&["clone", &id, &vm, "--ephemeral"])), vm)
    };
    let ((first, first_vm), (second, second_vm)) = (clone("1"), clone("2"));
    let booted = Boot::new(&first).run(
        "while read device path rest; do [ $path = / ] && echo root is $device $rest; done < /proc/self/mounts
        echo 6*7=$((6*7)); echo kept > /written && sync",
    );
    assert_eq!(booted.status, 0, "{}", booted.console);
    assert!(booted.output.contains("6*7=42"), "{}", booted.console);
    assert!(booted.output.contains("ext4 rw"), "{}", booted.console);
    oracle::e2fsck(&first);
    let written = |disk: &std::path::Path| {
        let mount = LoopMount::read_only(disk);
        std::fs::read(mount.path().join("written")).ok()
    };
    assert_eq!(written(&first).as_deref(), Some(&b"kept\n"[..]));
    assert_eq!(written(&second), None);
    assert_eq!(written(&template), None);
    assert_eq!(sha256_file(&template), before, "a template never changes");
    assert_eq!(sha256_file(&second), before, "nor does another VM's clone");
    store.run(&["release", &first_vm, &second_vm]);
    assert!(!first.exists() && !second.exists());
}

#[test]
fn tiny() {
    boot(Sample::Tiny);
}

#[test]
fn debian() {
    boot(Sample::Debian);
}

#[test]
fn dev() {
    // It boots as debian does, only larger: worth its time in the long form alone.
    if soak() {
        boot(Sample::Dev);
    }
}
