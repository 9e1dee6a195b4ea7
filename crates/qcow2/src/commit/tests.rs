//! Plans that are cut: after any write, and with any part of a stage written.

use std::fs;
use std::path::Path;

use offshoot_testkit::oracle;
use proptest::prelude::*;

use super::*;
use crate::{Access, Overlay, create};

const SIZE: u64 = 3 << 30;
/// Where the guest's disk is looked at and changed, and how much of it.
const PLACES: [u64; 10] =
    [0, 3 << 16, 5 << 16, 6 << 16, 7 << 16, 8 << 16, 40 << 16, 1 << 30, 5 << 28, 2 << 30];
const LOOKED_AT: usize = 65536;

/// An overlay with a backing file of 3 MiB, and some clusters of its own in two tables or more. With clusters of 512
/// bytes, which QEMU makes, a refcount block counts 128 KiB.
fn scene(directory: &Path, cluster_bytes: u64) -> Overlay {
    let backing = directory.join("backing.raw");
    let contents: Vec<u8> = (0..3 << 20).map(|at: u32| at.to_le_bytes()[2].wrapping_add(1)).collect();
    fs::write(&backing, contents).unwrap();
    let path = directory.join("overlay");
    if cluster_bytes == 65536 {
        create(&path, "backing.raw", SIZE).unwrap();
    } else {
        let mut create = oracle::command("qemu-img");
        create.args(["create", "-f", "qcow2", "-F", "raw", "-b", "backing.raw"]).current_dir(directory);
        let options = format!("cluster_size={cluster_bytes}");
        oracle::run(create.args(["-o", &options, "overlay"]).arg(SIZE.to_string()));
    }
    let overlay = Overlay::open(&path, &backing, Access::Write).unwrap();
    overlay.write_at(5 << 16, &[0xaa; 100_000]).unwrap();
    overlay.write_at((1 << 30) + 7, &[0xbb; 1]).unwrap();
    overlay.flush().unwrap();
    overlay
}

fn look(overlay: &Overlay) -> Vec<u8> {
    let mut bytes = vec![0; PLACES.len() * LOOKED_AT];
    for (place, piece) in PLACES.iter().zip(bytes.chunks_mut(LOOKED_AT)) {
        overlay.read_at(*place, piece).unwrap();
    }
    bytes
}

/// All changes of the tests: clusters that are there, that are new, and of tables that are new.
fn change(overlay: &Overlay) {
    for place in PLACES {
        overlay.write_at(place + 600, &[0xcc; 16000]).unwrap();
    }
}

fn judge(directory: &Path, before: &[u8], after: &[u8], what: &str) {
    let mut check = oracle::command("qemu-img");
    check.args(["check", "-f", "qcow2"]).arg(directory.join("overlay"));
    let output = oracle::output(&mut check);
    // 3 is leaked clusters and nothing else.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{what}: {}", oracle::describe(&check, &output));
    let reopened =
        Overlay::open(&directory.join("overlay"), &directory.join("backing.raw"), Access::Write).unwrap();
    let cluster_bytes = reopened.state().image.header.cluster_bytes() as usize;
    let chunks = |bytes: &[u8]| bytes.chunks(cluster_bytes).map(<[u8]>::to_vec).collect::<Vec<_>>();
    for (at, ((now, old), new)) in
        chunks(&look(&reopened)).into_iter().zip(chunks(before)).zip(chunks(after)).enumerate()
    {
        assert!(now == old || now == new, "{what}: cluster {at} is neither as before nor as after");
    }
    // What was cut can be done again.
    change(&reopened);
    reopened.flush().unwrap();
    assert!(look(&reopened) == after, "{what}: done again");
    let output = oracle::output(&mut check);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{what}: {}", oracle::describe(&check, &output));
}

#[test]
fn cut_after_any_write() {
    if oracle::available(&["qemu-img"]) {
        cut_after_writes(65536, 1);
    }
}

#[test]
fn cut_after_any_write_with_new_refcount_blocks() {
    if oracle::available(&["qemu-img"]) {
        cut_after_writes(512, 29);
    }
}

/// Cuts a plan after every so many writes, and after each of the last, which count and link what the others wrote.
fn cut_after_writes(cluster_bytes: u64, step: usize) {
    let directory = tempfile::tempdir().unwrap();
    let overlay = scene(directory.path(), cluster_bytes);
    let before = look(&overlay);
    change(&overlay);
    let after = look(&overlay);
    let original = fs::read(directory.path().join("overlay")).unwrap();
    let state = overlay.state();
    let plan = Plan::new(&state.image, &state.changes).unwrap();
    let new_blocks = plan.stages[COUNT_TABLE].len();
    assert_eq!(new_blocks > 0, cluster_bytes == 512, "{new_blocks}");
    let writes: Vec<&Write> = plan.stages.iter().flatten().collect();
    assert!(writes.len() > 15, "{}", writes.len());
    let contents = plan.stages[CONTENTS].len();
    for count in (0..contents).step_by(step).chain(contents..=writes.len()) {
        fs::write(&state.image.path, &original).unwrap();
        for write in writes.get(..count).unwrap() {
            state.image.write(write.offset, &write.bytes).unwrap();
        }
        let what = format!("{count} of {} writes", writes.len());
        if count <= writes.len() - plan.stages[LINKS].len() {
            let backing = directory.path().join("backing.raw");
            let reopened = Overlay::open(&state.image.path, &backing, Access::Read).unwrap();
            assert!(look(&reopened) == before, "{what}: something is seen before all is written and counted");
        }
        judge(directory.path(), &before, &after, &what);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Without power, any part of the stage that was not synced may be on the disk.
    #[test]
    fn cut_within_a_stage(
        small in any::<bool>(),
        cut in 0..5_usize,
        kept in proptest::collection::vec(any::<bool>(), 1000),
    ) {
        if oracle::available(&["qemu-img"]) {
            cut_in_stage(if small { 512 } else { 65536 }, cut, &kept);
        }
    }
}

fn cut_in_stage(cluster_bytes: u64, cut: usize, kept: &[bool]) {
    let directory = tempfile::tempdir().unwrap();
    let overlay = scene(directory.path(), cluster_bytes);
    let before = look(&overlay);
    change(&overlay);
    let after = look(&overlay);
    {
        let state = overlay.state();
        let plan = Plan::new(&state.image, &state.changes).unwrap();
        for (stage, writes) in plan.stages.iter().enumerate().take(cut + 1) {
            assert!(writes.len() < kept.len());
            let written = writes.iter().zip(kept).filter(|(_, kept)| stage < cut || **kept);
            for (write, _) in written {
                state.image.write(write.offset, &write.bytes).unwrap();
            }
        }
    }
    judge(directory.path(), &before, &after, &format!("a part of stage {cut}"));
}

#[test]
fn growth_cut_after_any_write() {
    if !oracle::available(&["qemu-img"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let overlay = scene(directory.path(), 65536);
    let before = look(&overlay);
    change(&overlay);
    let after = look(&overlay);
    let original = fs::read(directory.path().join("overlay")).unwrap();
    let state = overlay.state();
    let plan = Plan::to_grow(&state.image, 500 << 30);
    let writes: Vec<&Write> = plan.stages.iter().flatten().collect();
    assert_eq!(writes.len(), 2);
    // What lies behind the table's end must not become its entries.
    let junk =
        [original.get(..(3 << 16) + 48).unwrap(), &[0xff; 100], original.get((3 << 16) + 148..).unwrap()];
    for (count, size) in [(0, SIZE), (1, SIZE), (2, 500 << 30)] {
        fs::write(&state.image.path, junk.concat()).unwrap();
        for write in writes.get(..count).unwrap() {
            state.image.write(write.offset, &write.bytes).unwrap();
        }
        let backing = directory.path().join("backing.raw");
        assert_eq!(Overlay::open(&state.image.path, &backing, Access::Read).unwrap().size_bytes(), size);
        judge(directory.path(), &before, &after, &format!("{count} writes of a growth"));
    }
}

#[test]
fn neighbouring_entries_are_one_write() {
    let mut plan = Plan::default();
    for (offset, entry) in [(16, 1), (24, 2), (40, 3)] {
        plan.push_entry(offset, U64::new(entry));
    }
    let lengths: Vec<usize> = plan.stages[LINKS].iter().map(|write| write.bytes.len()).collect();
    assert_eq!(lengths, [16, 8]);
}
