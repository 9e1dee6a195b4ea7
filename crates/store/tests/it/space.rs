//! Whose the bytes of a disk are, and what is free when some of them go: as the filesystem itself then says.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use offshoot_store::{Holder, Space, Survey, clone_file, copy_holes, remove_tree, share_range};
use offshoot_testkit::{Filesystem, ScratchFilesystem, oracle, used_bytes};

const MIB: u64 = 1 << 20;
/// What the filesystem's own trees may change.
const NOISE: u64 = 256 << 10;

fn create(path: &Path) -> File {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::options().read(true).write(true).create_new(true).open(path).unwrap()
}

/// So many bytes that cannot be compressed, others in each file.
fn noise(length: u64, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..length / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

fn clone(from: &File, to: &Path) -> File {
    let target = create(to);
    if !clone_file(from, &target).unwrap() {
        copy_holes(from, &target).unwrap();
    }
    target
}

/// A pack, two templates that have much of it, clones that are used, names of the same file, and what else there is.
fn make(directory: &Path) {
    let pack = create(&directory.join("pack/data"));
    pack.write_all_at(&noise(24 * MIB, 1), 0).unwrap();
    pack.sync_all().unwrap();
    fs::write(directory.join("pack/index"), noise(100_000, 2)).unwrap();
    for (name, from, length, seed) in [("template-1", 0, 8 * MIB, 3), ("template-2", 6 * MIB, 10 * MIB, 4)] {
        let template = create(&directory.join(name).join("disk"));
        template.write_all_at(&noise(2 * MIB, seed), 0).unwrap();
        if !share_range(&pack, from, &template, 4 * MIB, length).unwrap() {
            template.write_all_at(&noise(length, seed), 4 * MIB).unwrap();
        }
        template.set_len(64 * MIB).unwrap();
        template.sync_all().unwrap();
    }
    let template = File::open(directory.join("template-1/disk")).unwrap();
    for vm in 1..=3 {
        let disk = clone(&template, &directory.join(format!("clone-{vm}/disk")));
        disk.write_all_at(&noise(vm * MIB, 4 + vm), 5 * MIB).unwrap();
        fs::write(directory.join(format!("clone-{vm}/record")), b"{}").unwrap();
    }
    fs::create_dir(directory.join("link")).unwrap();
    fs::hard_link(directory.join("template-2/disk"), directory.join("link/disk")).unwrap();
    // What nobody who is asked knows of: a clone of one disk, a name of another.
    let own = create(&directory.join("with-strangers/disk"));
    own.write_all_at(&noise(3 * MIB, 10), 0).unwrap();
    own.sync_all().unwrap();
    drop(clone(&own, &directory.with_extension("stranger")));
    fs::write(directory.join("with-strangers/named"), noise(MIB, 11)).unwrap();
    fs::hard_link(directory.join("with-strangers/named"), directory.with_extension("name")).unwrap();
    let below = directory.join("tree/a/b/c");
    fs::create_dir_all(&below).unwrap();
    symlink(directory.join("pack"), below.join("link")).unwrap();
    for index in 0..200 {
        fs::write(below.join(index.to_string()), noise(index * 100, index)).unwrap();
    }
}

/// The names of what is in a directory, and whose its bytes are.
fn survey(directory: &Path) -> (Vec<String>, Vec<Holder>, Space) {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut survey = Survey::new(directory).unwrap();
    let holders = names.iter().map(|name| survey.add(&directory.join(name)).unwrap()).collect();
    (names, holders, survey.finish())
}

#[test]
fn what_is_promised_becomes_free() {
    let orders: [&[&[&str]]; 4] = [
        &[
            &["with-strangers"],
            &["pack"],
            &["template-1"],
            &["clone-1", "tree"],
            &["clone-2", "clone-3"],
            &["template-2", "link"],
        ],
        &[&["clone-2"], &["template-1", "clone-1", "clone-3"], &["link"], &["pack", "template-2"]],
        &[&["tree"], &["template-2", "link"], &["template-1"], &["pack", "clone-1"]],
        &[&["pack", "template-1", "template-2", "link", "clone-1", "clone-2", "clone-3", "tree"]],
    ];
    for filesystem in [Filesystem::Xfs, Filesystem::Btrfs, Filesystem::Ext4] {
        if !filesystem.available() || !oracle::available(&["fsfreeze"]) {
            continue;
        }
        let scratch = ScratchFilesystem::new(filesystem, 512 << 20);
        // The others only in the long form.
        let tried = if std::env::var_os("OFFSHOOT_SOAK").is_some() { &orders[..] } else { &orders[..1] };
        for order in tried {
            let directory = scratch.path().join("files");
            fs::create_dir(&directory).unwrap();
            let empty = used_bytes(scratch.path());
            make(&directory);
            let full = used_bytes(scratch.path());
            let (_, _, space) = survey(&directory);
            let stranger = if filesystem == Filesystem::Ext4 { 3 * MIB } else { 0 };
            let on_disk = space.on_disk(|_| true) + stranger;
            // Inodes are made in chunks.
            assert!(on_disk.abs_diff(full - empty) < 2 * NOISE, "{filesystem:?}: {on_disk} {}", full - empty);
            for &removed in *order {
                let (names, holders, space) = survey(&directory);
                let named = |holder: Holder| {
                    let index = holders.iter().position(|other| *other == holder).unwrap();
                    removed.contains(&names[index].as_str())
                };
                let promised = space.freed(named);
                if let [alone] = removed {
                    let index = names.iter().position(|name| name == alone).unwrap();
                    assert_eq!(space.freed_alone()[index], promised);
                }
                let before = used_bytes(scratch.path());
                removed.iter().for_each(|name| remove_tree(&directory.join(name)).unwrap());
                let freed = before.saturating_sub(used_bytes(scratch.path()));
                println!("{filesystem:?} {removed:?}: {promised} promised, {freed} freed");
                assert!(freed + NOISE > promised, "{filesystem:?} {removed:?}: {promised} {freed}");
                // btrfs keeps extents of which there is only a part left in any file, and frees them in the end.
                let whole = filesystem != Filesystem::Btrfs || removed.contains(&"pack");
                assert!(
                    !whole || freed < promised + 2 * NOISE,
                    "{filesystem:?} {removed:?}: {promised} {freed}"
                );
            }
            remove_tree(&directory).unwrap();
            fs::remove_file(directory.with_extension("stranger")).unwrap();
            fs::remove_file(directory.with_extension("name")).unwrap();
        }
    }
}

#[test]
fn what_is_held_is_counted_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let items = directory.path().join("items");
    make(&items);
    let (names, holders, space) = survey(&items);
    let held =
        |name: &str| space.apparent_bytes(holders[names.iter().position(|other| other == name).unwrap()]);
    assert_eq!(held("pack"), 24 * MIB + 100_000);
    assert_eq!(held("link"), 64 * MIB);
    let mut survey = Survey::new(directory.path()).unwrap();
    let nothing = survey.add(&directory.path().join("nothing")).unwrap();
    assert_eq!(survey.finish().apparent_bytes(nothing), 0);
}

#[test]
fn deep_directories_are_surveyed() {
    let directory = tempfile::tempdir().unwrap();
    let top = directory.path().join("top");
    fs::create_dir(&top).unwrap();
    let name = "n".repeat(200);
    let mut at = File::open(&top).unwrap();
    for _ in 0..100 {
        rustix::fs::mkdirat(&at, name.as_str(), rustix::fs::Mode::RWXU).unwrap();
        at = offshoot_store::open_beneath(&at, name.as_bytes()).unwrap();
    }
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    let file = rustix::fs::openat(&at, "file", flags, rustix::fs::Mode::RUSR).unwrap();
    File::from(file).write_all_at(b"at the bottom", 0).unwrap();
    let mut survey = Survey::new(&top).unwrap();
    let holder = survey.add(&top).unwrap();
    assert_eq!(survey.finish().apparent_bytes(holder), 13);
    remove_tree(&top).unwrap();
}

#[test]
fn compressed_files_are_counted_as_they_are() {
    if !Filesystem::Btrfs.available() || !oracle::available(&["fsfreeze", "btrfs"]) {
        return;
    }
    let scratch = ScratchFilesystem::new(Filesystem::Btrfs, 512 << 20);
    let directory = scratch.path().join("files");
    fs::create_dir(&directory).unwrap();
    oracle::run(
        oracle::command("btrfs").args(["property", "set"]).arg(&directory).args(["compression", "zstd"]),
    );
    let empty = used_bytes(scratch.path());
    let file = create(&directory.join("disk"));
    let mut bytes = noise(32 * MIB, 1);
    bytes.iter_mut().enumerate().filter(|(index, _)| index % 8192 > 2048).for_each(|(_, byte)| *byte = 0);
    file.write_all_at(&bytes, 0).unwrap();
    let full = used_bytes(scratch.path());
    let (_, _, space) = survey(&directory);
    let on_disk = space.on_disk(|_| true);
    assert!(full - empty < 16 * MIB, "{empty} {full}");
    assert!(on_disk.abs_diff(full - empty) < NOISE, "{on_disk} {}", full - empty);
}

/// As `btrfs filesystem du` counts it: bytes of the files, those that one of them has alone, those that several share.
#[test]
fn btrfs_counts_the_same() {
    if !Filesystem::Btrfs.available() || !oracle::available(&["fsfreeze", "btrfs"]) {
        return;
    }
    let scratch = ScratchFilesystem::new(Filesystem::Btrfs, 512 << 20);
    let directory = scratch.path().join("files");
    fs::create_dir(&directory).unwrap();
    make(&directory);
    used_bytes(scratch.path());
    fs::remove_file(directory.with_extension("stranger")).unwrap();
    fs::remove_dir_all(directory.join("tree")).unwrap();
    let mut du = oracle::command("btrfs");
    du.args(["filesystem", "du", "-s", "--raw"]).arg(&directory);
    let printed = oracle::run(&mut du);
    let numbers: Vec<u64> =
        printed.lines().last().unwrap().split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let (_, _, space) = survey(&directory);
    let on_disk = space.on_disk(|_| true);
    assert!(on_disk.abs_diff(numbers[1] + numbers[2]) < 64 << 10, "{on_disk} {printed}");
}

#[test]
fn what_many_clones_have_alone_is_told() {
    let count = if std::env::var_os("OFFSHOOT_SOAK").is_some() { 10_000 } else { 500 };
    for filesystem in [Filesystem::Xfs, Filesystem::Btrfs] {
        if !filesystem.available() {
            continue;
        }
        let scratch = ScratchFilesystem::new(filesystem, 2 << 30);
        let template = create(&scratch.path().join("files/template/disk"));
        for extent in 0..16 {
            template.write_all_at(&noise(MIB, extent), extent * 2 * MIB).unwrap();
        }
        template.sync_all().unwrap();
        for vm in 0..count {
            let disk = clone(&template, &scratch.path().join(format!("files/clone-{vm}/disk")));
            disk.write_all_at(&[1; 4096], (vm % 16) * 2 * MIB).unwrap();
        }
        rustix::fs::syncfs(&template).unwrap();
        let start = std::time::Instant::now();
        let (_, _, space) = survey(&scratch.path().join("files"));
        let surveyed = start.elapsed();
        let alone = space.freed_alone();
        let on_disk = space.on_disk(|_| true);
        println!(
            "{filesystem:?}: {count} clones: surveyed in {surveyed:?}, counted in {:?}",
            start.elapsed() - surveyed
        );
        assert_eq!(alone.len() as u64, count + 1);
        // XFS takes more for a block that is written again than the block itself.
        let most = 256 << 10;
        let unexpected = alone.iter().filter(|bytes| !(4096..most).contains(*bytes)).count();
        assert!(unexpected <= 1, "{filesystem:?}: {unexpected}");
        assert!((16 * MIB + count * 4096..17 * MIB + count * most).contains(&on_disk), "{on_disk}");
    }
}
