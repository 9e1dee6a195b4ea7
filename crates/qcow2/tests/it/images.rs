//! Overlays that QEMU made: they are read right, written right, or refused by name.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use offshoot_qcow2::{Access, Error, Overlay, Unsupported, create, inspect};
use offshoot_testkit::oracle;

use crate::qemu;

const SIZE: usize = 4 << 20;

/// An overlay of QEMU's with these options, and data, zeros, discarded clusters and untouched ones.
fn overlay(directory: &Path, options: &str) -> Vec<u8> {
    let create = ["create", "-f", "qcow2", "-F", "raw", "-b", "backing.raw", "-o", options, "overlay", "4M"];
    qemu::img(directory, &create);
    let commands = [
        "write -P 1 70000 200000",
        "write -z 1M 300k",
        "write -P 2 2M 64k",
        "write -z -u 2M 64k",
        // Zeros that keep their host cluster.
        "write -P 4 2560k 64k",
        "write -z 2560k 64k",
        "write -P 3 3M 5",
    ];
    qemu::io(directory, "overlay", &commands);
    qemu::guest_bytes(directory, "overlay")
}

fn read(overlay: &Overlay) -> Vec<u8> {
    let mut bytes = vec![0; overlay.size_bytes() as usize];
    overlay.read_at(0, &mut bytes).unwrap();
    bytes
}

fn snapshot(directory: &Path, overlay: &Overlay) -> Vec<u8> {
    let path = directory.join("snapshot.raw");
    fs::copy(directory.join("backing.raw"), &path).unwrap();
    let raw = File::options().read(true).write(true).open(&path).unwrap();
    overlay.copy_changes_into(&raw, &path).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn read_and_written_as_qemu_does() {
    if !qemu::available() {
        return;
    }
    for options in [
        "cluster_size=512",
        "cluster_size=4k",
        "cluster_size=64k",
        "cluster_size=2M",
        "lazy_refcounts=on",
        "refcount_bits=1",
        "refcount_bits=64",
        "compat=0.10",
        "extended_l2=on,cluster_size=64k",
        "compression_type=zstd",
    ] {
        let (directory, backing, _) = qemu::with_backing(1_500_000);
        let directory = directory.path();
        let mut model = overlay(directory, options);
        let path = directory.join("overlay");
        let refused = match options {
            "compat=0.10" => Some(Unsupported::Version2),
            "extended_l2=on,cluster_size=64k" => Some(Unsupported::ExtendedL2),
            "compression_type=zstd" => Some(Unsupported::CompressionType),
            _ => None,
        };
        if let Some(expected) = refused {
            let error = Overlay::open(&path, &backing, Access::Read).unwrap_err();
            assert!(
                matches!(&error, Error::Unsupported { feature, .. } if *feature == expected),
                "{error:?}"
            );
            continue;
        }
        let opened = Overlay::open(&path, &backing, Access::Read).unwrap();
        assert!(read(&opened) == model, "{options}");
        assert!(snapshot(directory, &opened) == model, "{options}");
        if options.starts_with("refcount_bits") {
            let error = Overlay::open(&path, &backing, Access::Write).unwrap_err();
            let feature = Unsupported::RefcountBits { bits: options[14..].parse().unwrap() };
            assert!(
                matches!(&error, Error::Unsupported { feature: found, .. } if *found == feature),
                "{error:?}"
            );
            continue;
        }
        let opened = Overlay::open(&path, &backing, Access::Write).unwrap();
        for (offset, byte) in
            [(69_000, 9), (1_100_000, 8), ((2 << 20) + 10, 7), ((2560 << 10) + 100, 5), ((4 << 20) - 400, 6)]
        {
            opened.write_at(offset as u64, &[byte; 400]).unwrap();
            model[offset..offset + 400].fill(byte);
        }
        assert!(snapshot(directory, &opened) == model, "{options}");
        drop(opened);
        qemu::check(directory, "overlay");
        assert!(qemu::guest_bytes(directory, "overlay") == model, "{options}");
    }
}

#[test]
fn compressed_clusters() {
    if !qemu::available() {
        return;
    }
    let (directory, backing, _) = qemu::with_backing(SIZE);
    let directory = directory.path();
    qemu::img(directory, &["create", "-f", "qcow2", "-F", "raw", "-b", "backing.raw", "overlay", "4M"]);
    qemu::io(directory, "overlay", &["write -c -P 5 64k 128k", "write -c -P 6 1M 64k"]);
    let mut model = qemu::guest_bytes(directory, "overlay");
    let opened = Overlay::open(&directory.join("overlay"), &backing, Access::Write).unwrap();
    assert!(read(&opened) == model);
    opened.write_at(70_000, &[7; 100]).unwrap();
    model[70_000..70_100].fill(7);
    opened.flush().unwrap();
    assert!(read(&opened) == model);
    assert!(snapshot(directory, &opened) == model);
    qemu::check_but_for_leaks(directory, "overlay", "a compressed cluster was replaced");
    assert!(qemu::guest_bytes(directory, "overlay") == model);
}

#[test]
fn internal_snapshots_are_read_and_not_written() {
    if !qemu::available() {
        return;
    }
    let (directory, backing, _) = qemu::with_backing(SIZE);
    let directory = directory.path();
    overlay(directory, "cluster_size=64k");
    qemu::img(directory, &["snapshot", "-c", "one", "overlay"]);
    qemu::io(directory, "overlay", &["write -P 9 0 100"]);
    let path = directory.join("overlay");
    assert_eq!(inspect(&File::open(&path).unwrap(), &path).unwrap().snapshots, 1);
    let opened = Overlay::open(&path, &backing, Access::Read).unwrap();
    assert!(read(&opened) == qemu::guest_bytes(directory, "overlay"));
    let error = Overlay::open(&path, &backing, Access::Write).unwrap_err();
    assert!(matches!(error, Error::Unsupported { feature: Unsupported::Snapshots, .. }), "{error:?}");
}

#[test]
fn persistent_bitmaps_are_marked_stale() {
    if !qemu::available() {
        return;
    }
    let (directory, backing, _) = qemu::with_backing(SIZE);
    let directory = directory.path();
    overlay(directory, "cluster_size=64k");
    qemu::img(directory, &["bitmap", "--add", "overlay", "changes"]);
    let opened = Overlay::open(&directory.join("overlay"), &backing, Access::Write).unwrap();
    opened.write_at(0, b"changed").unwrap();
    opened.flush().unwrap();
    let header = fs::read(directory.join("overlay")).unwrap();
    assert_eq!(header[88..96], [0; 8], "a bitmap that is not kept up must not be believed");
}

/// A writer may count a cluster and die before it writes it.
#[test]
fn counted_clusters_behind_the_end_stay_counted() {
    if !qemu::available() {
        return;
    }
    let (directory, backing, mut model) = qemu::with_backing(SIZE);
    let path = directory.path().join("overlay");
    let file = create(&path, "backing.raw", SIZE as u64).unwrap();
    // The file ends with its fourth cluster.
    file.write_all_at(&[0, 1], 2 * 65536 + 2 * 5).unwrap();
    file.write_all_at(&[0, 1], 2 * 65536 + 2 * 7).unwrap();
    let opened = Overlay::open(&path, &backing, Access::Write).unwrap();
    opened.write_at(100, &[9; 300_000]).unwrap();
    opened.flush().unwrap();
    model[100..300_100].fill(9);
    let mut check = oracle::command("qemu-img");
    check.args(["check", "--output=json", "-f", "qcow2"]).arg(&path);
    let output = oracle::output(&mut check);
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains("\"leaks\": 2"), "{report}");
    qemu::check_but_for_leaks(directory.path(), "overlay", "two clusters were counted before");
    assert!(qemu::guest_bytes(directory.path(), "overlay") == model);
}

#[test]
fn the_refcount_table_may_be_full() {
    if !qemu::available() {
        return;
    }
    let (directory, backing, _) = qemu::with_backing(SIZE);
    let directory = directory.path();
    let create = ["create", "-f", "qcow2", "-F", "raw", "-b", "backing.raw", "-o", "cluster_size=512"];
    qemu::img(directory, &[create.as_slice(), &["overlay", "64M"]].concat());
    // One cluster of refcount table has 64 entries, for 128 KiB of the file each.
    let opened = Overlay::open(&directory.join("overlay"), &backing, Access::Write).unwrap();
    opened.write_at(0, &vec![1; 7 << 20]).unwrap();
    opened.flush().unwrap();
    opened.write_at(8 << 20, &vec![1; 2 << 20]).unwrap();
    let error = opened.flush().unwrap_err();
    let full = |error: &Error| {
        matches!(error, Error::Unsupported { feature: Unsupported::RefcountTableFull { .. }, .. })
    };
    assert!(full(&error), "{error:?}");
    qemu::check(directory, "overlay");
    assert!(qemu::guest_bytes(directory, "overlay")[..7 << 20].iter().all(|byte| *byte == 1));
}

#[test]
fn the_guest_s_disk_has_a_largest_size() {
    if !qemu::available() {
        return;
    }
    let (directory, backing, _) = qemu::with_backing(SIZE);
    let directory = directory.path();
    let create = ["create", "-f", "qcow2", "-F", "raw", "-b", "backing.raw", "-o", "cluster_size=4k"];
    qemu::img(directory, &[create.as_slice(), &["overlay", "3G"]].concat());
    let opened = Overlay::open(&directory.join("overlay"), &backing, Access::Write).unwrap();
    // 512 entries for 2 MiB each is what a cluster holds; three of them are used.
    let largest = 3 << 30;
    let limit = |size| match opened.set_size_bytes(size) {
        Err(Error::Size { minimum_bytes, maximum_bytes, .. }) => (minimum_bytes, maximum_bytes),
        other => panic!("{size}: {other:?}"),
    };
    assert_eq!(limit(largest + 512), (3 << 30, largest));
    assert_eq!(limit((3 << 30) - 512), (3 << 30, largest));
    qemu::img(directory, &["create", "-f", "qcow2", "-F", "raw", "-b", "backing.raw", "other", "3G"]);
    let opened = Overlay::open(&directory.join("other"), &backing, Access::Write).unwrap();
    opened.set_size_bytes(4 << 40).unwrap();
    opened.write_at((4 << 40) - 3, b"end").unwrap();
    opened.flush().unwrap();
    qemu::check(directory, "other");
    assert!(opened.set_size_bytes((4 << 40) + 1).is_err());
    assert!(opened.set_size_bytes((4 << 40) + 512).is_err());
    assert!(matches!(opened.read_at((4 << 40) - 1, &mut [0; 2]), Err(Error::OutOfBounds { .. })));
    assert!(matches!(opened.write_at(u64::MAX, &[0; 2]), Err(Error::OutOfBounds { .. })));
}
