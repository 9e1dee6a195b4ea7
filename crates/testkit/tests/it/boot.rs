use offshoot_testkit::layout::Tar;
use offshoot_testkit::{LoopMount, boot, oracle};

/// A disk that mke2fs made of a directory with a busybox in it.
fn disk(directory: &std::path::Path) -> std::path::PathBuf {
    let root = directory.join("root");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::create_dir_all(root.join("proc")).unwrap();
    std::fs::copy(oracle::find("busybox").unwrap(), root.join("bin/busybox")).unwrap();
    std::os::unix::fs::symlink("busybox", root.join("bin/sh")).unwrap();
    let disk = directory.join("disk");
    oracle::run(oracle::command("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(&root).arg(&disk).arg("32M"));
    disk
}

#[test]
fn a_disk_boots_and_keeps_what_it_wrote() {
    if !boot::available() || !oracle::root() || !oracle::available(&["mke2fs"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let booted =
        boot::Boot::new(&disk).run("read root rest < /proc/self/mounts; echo $((6*7)) > /file; exit 3");
    assert_eq!(booted.status, 3, "{}", booted.console);
    oracle::e2fsck(&disk);
    let mount = LoopMount::read_only(&disk);
    assert_eq!(std::fs::read(mount.path().join("file")).unwrap(), b"42\n");
}

#[test]
fn a_disk_without_a_shell_says_so() {
    if !boot::available() || !oracle::available(&["mke2fs"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk");
    std::fs::write(&disk, Tar::new().finish()).unwrap();
    std::fs::File::options().write(true).open(&disk).unwrap().set_len(1 << 20).unwrap();
    let failure = std::panic::catch_unwind(|| boot::Boot::new(&disk).run("true")).unwrap_err();
    let message = failure.downcast_ref::<String>().unwrap();
    assert!(message.contains("cannot mount the disk"), "{message}");
}
