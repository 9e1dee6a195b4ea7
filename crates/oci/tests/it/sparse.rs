use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};

use offshoot_oci::directory_tar;
use offshoot_testkit::{Ignore, Listing, oracle, scratch_directory};

use crate::directories::{read, set_mtime, untar};

const MIB: u64 = 1 << 20;

fn sparse(path: &std::path::Path, size: u64, data: &[(u64, &[u8])]) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    for (offset, bytes) in data {
        file.write_all_at(bytes, *offset).unwrap();
    }
    file.sync_all().unwrap();
    set_mtime(path, 1, 0);
}

#[test]
fn small_holes_are_zeros_as_in_a_copy_without_holes() {
    let scratch = scratch_directory();
    let (holes, dense) = (scratch.path().join("holes"), scratch.path().join("dense"));
    fs::create_dir(&holes).unwrap();
    fs::create_dir(&dense).unwrap();
    let data: [&[(u64, &[u8])]; 4] = [
        &[],
        &[(0, b"start")],
        &[(5 * MIB - 3, b"end")],
        &[(4095, b"across"), (MIB, b"middle"), (3 * MIB + 17, b"odd")],
    ];
    for (number, data) in data.iter().enumerate() {
        let path = holes.join(number.to_string());
        sparse(&path, 5 * MIB, data);
        assert!(fs::metadata(&path).unwrap().blocks() * 512 < MIB, "the filesystem keeps no holes");
        let copy = dense.join(number.to_string());
        fs::write(&copy, fs::read(&path).unwrap()).unwrap();
        set_mtime(&copy, 1, 0);
    }
    set_mtime(&holes, 1, 0);
    set_mtime(&dense, 1, 0);
    let tar = read(directory_tar(&holes).unwrap());
    assert!(tar.len() as u64 > 20 * MIB);
    assert!(tar == read(directory_tar(&dense).unwrap()));
}

#[test]
fn large_holes_stay_holes() {
    if !oracle::root() || !oracle::available(&["tar"]) {
        return;
    }
    let scratch = scratch_directory();
    let (original, copy) = (scratch.path().join("original"), scratch.path().join("copy"));
    fs::create_dir(&original).unwrap();
    let long = "s".repeat(200);
    sparse(&original.join("empty"), 256 * MIB, &[]);
    sparse(&original.join("end"), 257 * MIB, &[(0, b"start"), (257 * MIB - 3, b"end")]);
    sparse(&original.join(&long), 260 * MIB + 5, &[(4095, b"across"), (100 * MIB, &[b'x'; 70_000])]);
    fs::hard_link(original.join(&long), original.join("zz")).unwrap();
    let mut fragments = Vec::new();
    for number in 0..260 {
        fragments.push((number * MIB, &b"fragment"[..]));
    }
    sparse(&original.join("many"), 260 * MIB, &fragments);
    let tar = read(directory_tar(&original).unwrap());
    assert!((tar.len() as u64) < 4 * MIB, "{}", tar.len());
    untar(&tar, &copy);
    Listing::of(&original).assert_same(&Listing::of(&copy), &Ignore::default());
    let allocated = |name: &str| fs::metadata(copy.join(name)).unwrap().blocks() * 512;
    assert!(allocated(&long) < MIB && allocated("empty") < MIB && allocated("many") < 4 * MIB);
}

#[test]
fn a_huge_file_of_nothing_takes_no_time() {
    let scratch = scratch_directory();
    sparse(&scratch.path().join("huge"), 8 << 40, &[(1 << 40, b"one"), (7 << 40, b"two")]);
    let tar = read(directory_tar(scratch.path()).unwrap().take(1 << 20));
    assert!(tar.len() < 64 << 10, "{}", tar.len());
    assert_eq!(&tar[tar.len() - 1024..], [0; 1024]);
    let text = String::from_utf8_lossy(&tar);
    assert!(text.contains("GNU.sparse.realsize=8796093022208\n"));
}
