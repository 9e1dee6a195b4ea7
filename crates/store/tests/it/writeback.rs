//! Files that go to the disk while they are written.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use offshoot_store::Writeback;
use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle};

const MIB: u64 = 1 << 20;

/// Writes two files at once, each with its writeback.
fn write_two(directory: &Path, mib: u64) {
    let files = ["one", "other"].map(|name| File::create_new(directory.join(name)).unwrap());
    std::thread::scope(|scope| {
        let writers = files.each_ref().map(|file| {
            let (writeback, wake) = Writeback::new(file, true);
            scope.spawn(move || Writeback::run(file, &wake).unwrap());
            (file, writeback)
        });
        for _ in 0..mib {
            for (mut file, writeback) in writers.each_ref().map(|(file, writeback)| (*file, writeback)) {
                file.write_all(&vec![7; 1 << 20]).unwrap();
                writeback.wrote(MIB);
            }
        }
    });
    for file in files {
        assert_eq!(file.metadata().unwrap().len(), mib * MIB);
        file.sync_all().unwrap();
    }
}

/// In how many places a file lies, as e2fsprogs' `filefrag` has it.
fn places(path: &Path) -> usize {
    let output = oracle::output(oracle::command("filefrag").arg(path));
    let text = String::from_utf8(output.stdout).unwrap();
    let count = text.rsplit(": ").next().and_then(|rest| rest.split(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn on_btrfs_two_files_written_at_once_lie_in_few_places() {
    if !Filesystem::Btrfs.available() || !oracle::available(&["filefrag"]) {
        return;
    }
    let scratch = ScratchFilesystem::new(Filesystem::Btrfs, 1 << 30);
    write_two(scratch.path(), 120);
    let places = ["one", "other"].map(|name| places(&scratch.path().join(name)));
    // Less than btrfs ever puts in one; in pieces of 32 MiB it would be four and more.
    assert!(places.iter().all(|&places| places <= 2), "{places:?}");
}
