//! What is written through an overlay, compared with a model and with what QEMU reads.

use std::fs::{self, File};
use std::time::SystemTime;

use offshoot_qcow2::{Access, Error, Overlay, create};
use proptest::prelude::*;

use crate::qemu;

const CLUSTER: u64 = 65536;

#[test]
fn grown_and_written() {
    if !qemu::available() {
        return;
    }
    for access in [Access::Write, Access::WriteDurably] {
        let (directory, backing, mut model) = qemu::with_backing(300_000);
        let path = directory.path().join("overlay");
        create(&path, "backing.raw", 1 << 20).unwrap();
        let overlay = Overlay::open(&path, &backing, access).unwrap();
        overlay.write_at(65_530, b"across clusters").unwrap();
        overlay.set_size_bytes(3 << 30).unwrap();
        overlay.write_at((3 << 30) - 4, b"last").unwrap();
        overlay.flush().unwrap();
        overlay.write_at(65_531, b"CROSS").unwrap();
        overlay.flush().unwrap();
        qemu::check(directory.path(), "overlay");
        model.resize(3 << 20, 0);
        model[65_530..65_545].copy_from_slice(b"aCROSS clusters");
        let reopened = Overlay::open(&path, &backing, Access::Read).unwrap();
        let mut bytes = vec![0; 3 << 20];
        reopened.read_at(0, &mut bytes).unwrap();
        assert!(bytes == model);
        let pattern = qemu::io(directory.path(), "overlay", &["read -v 3221225468 4"]);
        assert!(pattern.contains("6c 61 73 74"), "{pattern}");
        assert!(matches!(reopened.write_at(0, b"x"), Err(Error::ReadOnly { .. })));
    }
}

#[test]
fn the_same_size_again_changes_nothing() {
    let (directory, backing, _) = qemu::with_backing(512);
    let path = directory.path().join("overlay");
    let file = create(&path, "backing.raw", 1 << 30).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let overlay = Overlay::open(&path, &backing, Access::Write).unwrap();
    overlay.set_size_bytes(1 << 30).unwrap();
    overlay.flush().unwrap();
    assert_eq!(file.metadata().unwrap().modified().unwrap(), SystemTime::UNIX_EPOCH);
}

#[test]
fn little_is_kept_in_memory() {
    let (directory, backing, _) = qemu::with_backing(512);
    let path = directory.path().join("overlay");
    create(&path, "backing.raw", 1 << 30).unwrap();
    let overlay = Overlay::open(&path, &backing, Access::Write).unwrap();
    overlay.write_at(0, b"kept").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 4 * CLUSTER);
    overlay.write_at(1 << 20, &vec![7; 40 << 20]).unwrap();
    assert!(fs::metadata(&path).unwrap().len() > 32 << 20);
    let mut bytes = vec![0; 40 << 20];
    overlay.read_at(1 << 20, &mut bytes).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 7));
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, usize, u8),
    Grow(u64),
    Flush,
    Reopen,
    QemuWrite(u64, u64),
    QemuZero(u64, u64),
    QemuDiscard(u64, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let offset = 0..40 * CLUSTER;
    let step = prop_oneof![
        6 => (offset.clone(), 1..200_000_usize, 1..255_u8).prop_map(|(at, count, byte)| Step::Write(at, count, byte)),
        1 => (1..80_u64).prop_map(|blocks| Step::Grow(blocks * 4096)),
        2 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => (0..320_u64, 1..64_u64).prop_map(|(at, count)| Step::QemuWrite(at * 8192, count * 512)),
        1 => (0..80_u64, 1..64_u64).prop_map(|(at, count)| Step::QemuZero(at * 32768, count * 4096)),
        1 => (0..40_u64, 1..4_u64).prop_map(|(at, count)| Step::QemuDiscard(at * CLUSTER, count * CLUSTER)),
    ];
    proptest::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn as_a_model_and_as_qemu(steps in steps(), backing_bytes in 1..2_000_000_usize) {
        if qemu::available() {
            random(&steps, backing_bytes);
        }
    }
}

fn random(steps: &[Step], backing_bytes: usize) {
    let (directory, backing, mut model) = qemu::with_backing(backing_bytes);
    let path = directory.path().join("overlay");
    let size = 32 * CLUSTER;
    create(&path, "backing.raw", size).unwrap();
    model.resize(size as usize, 0);
    let mut overlay = Overlay::open(&path, &backing, Access::Write).unwrap();
    let end = |at: u64, count: u64, model: &[u8]| (at + count).min(model.len() as u64);
    for step in steps {
        match *step {
            Step::Write(at, count, byte) => {
                let end = end(at, count as u64, &model);
                if at < end {
                    let bytes = vec![byte; (end - at) as usize];
                    overlay.write_at(at, &bytes).unwrap();
                    model[at as usize..end as usize].copy_from_slice(&bytes);
                }
            }
            Step::Grow(bytes) => {
                overlay.set_size_bytes(overlay.size_bytes() + bytes).unwrap();
                model.resize(overlay.size_bytes() as usize, 0);
            }
            Step::Flush => overlay.flush().unwrap(),
            Step::Reopen => {
                overlay.flush().unwrap();
                overlay = Overlay::open(&path, &backing, Access::Write).unwrap();
            }
            Step::QemuWrite(at, count) | Step::QemuZero(at, count) | Step::QemuDiscard(at, count) => {
                overlay.flush().unwrap();
                let end = end(at, count, &model);
                if at >= end {
                    continue;
                }
                let length = end - at;
                let (command, byte) = match step {
                    Step::QemuWrite(..) => (format!("write -P 7 {at} {length}"), 7),
                    Step::QemuZero(..) => (format!("write -z {at} {length}"), 0),
                    _ => (format!("write -z -u {at} {length}"), 0),
                };
                qemu::io(directory.path(), "overlay", &[&command]);
                model[at as usize..end as usize].fill(byte);
                overlay = Overlay::open(&path, &backing, Access::Write).unwrap();
            }
        }
        let mut bytes = vec![1; model.len()];
        overlay.read_at(0, &mut bytes).unwrap();
        assert!(bytes == model, "after {step:?}");
    }
    let copy = directory.path().join("copy.raw");
    fs::copy(&backing, &copy).unwrap();
    let raw = File::options().read(true).write(true).open(&copy).unwrap();
    overlay.copy_changes_into(&raw, &copy).unwrap();
    assert!(fs::read(&copy).unwrap() == model);
    qemu::check_but_for_leaks(directory.path(), "overlay", "in the end");
    assert!(qemu::guest_bytes(directory.path(), "overlay") == model);
}
