use std::os::unix::fs::MetadataExt;

use offshoot_testkit::{LoopMount, oracle, scratch_directory};

use crate::program::{Store, text};

#[test]
fn ten_gigabytes_of_nothing() {
    if !oracle::available(&["e2fsck"]) {
        return;
    }
    let directory = scratch_directory();
    let disk = directory.path().join("data.ext4");
    let store = Store::at(directory.path().join("store"));
    let printed = store.run(&["build", "scratch:", "--size", "10G", "-o", text(&disk)]);
    assert_eq!(printed, text(&disk));
    let metadata = disk.metadata().unwrap();
    assert_eq!(metadata.len(), 10 << 30);
    assert!(metadata.blocks() * 512 < 16 << 20, "{} bytes are allocated", metadata.blocks() * 512);
    oracle::e2fsck(&disk);
    if !oracle::root() || !oracle::available(&["mount"]) {
        return;
    }
    let mount = LoopMount::read_write(&disk);
    std::fs::write(mount.path().join("file"), vec![5; 3 << 20]).unwrap();
    mount.unmount();
    oracle::e2fsck(&disk);
}
