//! Room taken ahead, by what the filesystem then says of the file.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use offshoot_store::Ahead;
use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle, scratch_directory};

const MIB: u64 = 1 << 20;

/// Writes two files at once, a MiB at a time, which go to the disk every 4 MiB.
fn write_two(directory: &Path, mib: u64, ahead: bool) -> [File; 2] {
    let files = ["one", "other"].map(|name| File::create_new(directory.join(name)).unwrap());
    let mut room = files.each_ref().map(Ahead::of);
    for written in 0..mib {
        for (mut file, room) in files.iter().zip(&mut room) {
            if ahead {
                room.write_to((written + 1) * MIB);
            }
            file.write_all(&vec![7; MIB as usize]).unwrap();
            if written % 4 == 3 {
                file.sync_data().unwrap();
            }
        }
    }
    for room in room {
        room.finish().unwrap();
    }
    for file in &files {
        file.sync_all().unwrap();
    }
    files
}

/// In how many places a file lies, as e2fsprogs' `filefrag` has it.
fn places(path: &Path) -> usize {
    let output = oracle::output(oracle::command("filefrag").arg(path));
    let text = String::from_utf8(output.stdout).unwrap();
    let count = text.rsplit(": ").next().and_then(|rest| rest.split(' ').next());
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn two_files_written_at_once_lie_in_few_places_on_btrfs() {
    if !Filesystem::Btrfs.available() || !oracle::available(&["filefrag"]) {
        return;
    }
    let places = |ahead| {
        let scratch = ScratchFilesystem::new(Filesystem::Btrfs, 512 << 20);
        let files = write_two(scratch.path(), 80, ahead);
        for file in &files {
            // Nothing is kept beyond the end.
            assert_eq!(file.metadata().unwrap().blocks() * 512, 80 * MIB);
            assert_eq!(file.metadata().unwrap().len(), 80 * MIB);
        }
        places(&scratch.path().join("one"))
    };
    let (with, without) = (places(true), places(false));
    assert!(with <= 6, "{with}");
    assert!(without > 2 * with, "{without} without, {with} with");
}

#[test]
fn elsewhere_nothing_is_taken() {
    let directory = scratch_directory();
    let files = write_two(directory.path(), 8, true);
    for file in files {
        assert_eq!(file.metadata().unwrap().len(), 8 * MIB);
    }
}

#[test]
fn a_disk_can_be_filled_to_its_end() {
    if !Filesystem::Btrfs.available() {
        return;
    }
    let fill = |ahead: bool| {
        let scratch = ScratchFilesystem::new(Filesystem::Btrfs, 256 << 20);
        let file = File::create_new(scratch.path().join("file")).unwrap();
        let mut room = Ahead::of(&file);
        let mut written = 0;
        loop {
            if ahead {
                room.write_to(written + MIB);
            }
            if (&file).write_all(&vec![7; MIB as usize]).and_then(|()| file.sync_data()).is_err() {
                break;
            }
            written += MIB;
        }
        drop(room);
        written
    };
    let (with, without) = (fill(true), fill(false));
    assert!(with + 16 * MIB >= without, "{with} with, {without} without");
}
