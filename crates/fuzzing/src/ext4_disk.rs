mod images;
mod seal;

use arbitrary::{Result, Unstructured};
use offshoot_ext4::{Finished, Grow, GrowError, State, check_structure, finish_grow, inspect, set_uuid};
use offshoot_testkit::oracle;

use crate::judge;
use crate::noise::noise;
use crate::sparse_disk::SparseDisk;
use images::{IMAGES, image};
use seal::{Place, Places};

/// How many inputs there are to one that e2fsck judges.
const JUDGED: u64 = 128;

/// Bytes at a place that are not what they were.
#[derive(Debug)]
struct Damage {
    offset: u64,
    bytes: Vec<u8>,
}

/// What is done to a filesystem.
#[derive(Debug)]
enum Deed {
    /// Interrupted at a write, where there is a number; then something may be damaged, and it is finished.
    Grow {
        bytes: u64,
        journaled: bool,
        interrupted: Option<u32>,
        then: Vec<Damage>,
        sealed: bool,
    },
    Finish,
    SetUuid([u8; 16]),
}

/// A filesystem of ours or of mke2fs, changed at some places whose checksums are set right again, or bytes that
/// pretend to be one: looked at, grown, given another UUID.
///
/// What went well leaves the filesystem that was promised; one that e2fsck found nothing in is such a one after it too.
pub fn ext4_disk(input: &[u8]) {
    let mut unstructured = Unstructured::new(input);
    let Ok((disk, deed)) = case(&mut unstructured) else { return };
    let before = inspect(&disk);
    let judged = judge::asked(input, JUDGED) && before.is_ok() && oracle::available(&["e2fsck"]);
    let was_whole = judged && seal::attributes_are_inside(&disk) && judge::e2fsck(&disk).is_ok();
    let structure = check_structure(&disk);
    assert!(!was_whole || structure.is_ok(), "e2fsck finds nothing, but: {structure:?}");
    let done = match &deed {
        Deed::Grow { bytes, journaled, interrupted, then, sealed } => {
            let grown = grow(&disk, *bytes, *journaled, *interrupted, then.is_empty());
            if *journaled && interrupted.is_some() && !then.is_empty() {
                finish_damaged(&disk, then, *sealed);
                return;
            }
            grown
        }
        Deed::Finish => finish_grow(&disk, true).is_ok(),
        Deed::SetUuid(uuid) => {
            let done = set_uuid(&disk, *uuid).is_ok();
            assert!(!done || inspect(&disk).unwrap().uuid == *uuid);
            done
        }
    };
    assert!(!done || before.is_ok(), "{deed:?} went well where there was no filesystem");
    if done && was_whole {
        judge::e2fsck(&disk).unwrap_or_else(|complaint| panic!("after {deed:?}: {complaint}"));
        check_structure(&disk).unwrap_or_else(|complaint| panic!("after {deed:?}: {complaint}"));
    }
}

/// What a guest, or a bad disk, has made of an interrupted growth.
fn finish_damaged(disk: &SparseDisk, then: &[Damage], sealed: bool) {
    let places = Places::of(disk);
    then.iter().for_each(|damage| damage.put(disk));
    if sealed {
        places.seal(disk);
    }
    if finish_grow(disk, true).is_ok_and(|finished| finished != Finished::Nothing) {
        assert_eq!(inspect(disk).unwrap().state, State::Clean);
    }
}

impl Damage {
    fn any(input: &mut Unstructured<'_>, places: &Places) -> Result<Self> {
        let offset = places.offset(&place(input)?);
        let length = *input.choose(&[1, 1, 2, 4, 8])?;
        let bytes = match input.int_in_range(0..=3)? {
            0 => vec![0; length],
            1 => vec![0xff; length],
            _ => input.bytes(length)?.to_vec(),
        };
        Ok(Self { offset, bytes })
    }

    /// What lies beyond the end stays as it is.
    fn put(&self, disk: &SparseDisk) {
        let _ = disk.put(self.offset, &self.bytes);
    }
}

/// Whether it grew, or was found as it was. Where it was interrupted, it is finished only if that is asked for.
fn grow(disk: &SparseDisk, bytes: u64, journaled: bool, interrupted: Option<u32>, finish: bool) -> bool {
    let Ok(plan) = Grow::plan(disk, bytes) else { return false };
    let before = inspect(disk).unwrap();
    let counted = seal::counted(disk) == Some((before.free_blocks, before.free_inodes));
    disk.fail_after(interrupted);
    let grown = if journaled { plan.apply_journaled(disk, true) } else { plan.apply(disk) };
    disk.fail_after(None);
    let after = match grown {
        Ok(()) => inspect(disk).unwrap(),
        // What is interrupted without a journal is of no use.
        Err(GrowError::Device(_)) if journaled && finish => {
            let after = match finish_grow(disk, true) {
                Ok(Finished::Completed) => plan.new_size_bytes(),
                Ok(_) => before.size_bytes,
                // Of a disk that is full, and of a journal that was damaged to begin with.
                Err(_) => return false,
            };
            let found = inspect(disk).unwrap();
            assert_eq!(found.size_bytes, after);
            found
        }
        Err(_) => return false,
    };
    assert!([before.size_bytes, plan.new_size_bytes()].contains(&after.size_bytes), "{plan:?}");
    assert_eq!((after.uuid, after.label, after.block_bytes), (before.uuid, before.label, before.block_bytes));
    if grown.is_ok() {
        assert_eq!(after.size_bytes, plan.new_size_bytes());
    }
    if plan.grows() {
        assert_eq!(after.state, State::Clean);
        assert!(seal::backup_agrees(disk), "{plan:?}");
        let sums = seal::counted(disk);
        assert!(!counted || sums == Some((after.free_blocks, after.free_inodes)), "{sums:?}, {plan:?}");
        if journaled {
            grow_again(&disk.clone().settled());
        }
    }
    true
}

/// What has grown by its journal can grow by it once more.
fn grow_again(disk: &SparseDisk) {
    let before = inspect(disk).unwrap();
    let Ok(plan) = Grow::plan(disk, before.size_bytes + (200 << 20)) else { return };
    match plan.apply_journaled(disk, true) {
        Ok(()) => assert_eq!(inspect(disk).unwrap().size_bytes, plan.new_size_bytes()),
        Err(GrowError::Device(_) | GrowError::NoSafeJournal { .. }) => {}
        Err(error) => panic!("{error}: {before:?}"),
    }
}

fn case(input: &mut Unstructured<'_>) -> Result<(SparseDisk, Deed)> {
    let mut deed = match input.int_in_range(0..=7)? {
        0 => Deed::Finish,
        1 => Deed::SetUuid(input.arbitrary()?),
        _ => Deed::Grow {
            bytes: (1 << input.int_in_range(20..=38)?) + input.int_in_range(0..=1 << 28)?,
            journaled: input.arbitrary()?,
            interrupted: if input.ratio(1, 4)? { Some(input.int_in_range(0..=40)?) } else { None },
            then: Vec::new(),
            sealed: input.arbitrary()?,
        },
    };
    let choice = input.int_in_range(0..=15)?;
    if choice == 15 {
        let disk = SparseDisk::new(64 << 20);
        let bytes = input.bytes(input.len())?;
        let _ = disk.put(1024, bytes);
        return Ok((disk, deed));
    }
    let disk = image(choice % IMAGES);
    let places = Places::of(&disk);
    let sealed = !input.ratio(1, 8)?;
    for _ in 0..input.int_in_range(0..=6)? {
        Damage::any(input, &places)?.put(&disk);
    }
    if let Deed::Grow { interrupted: Some(_), then, .. } = &mut deed {
        for _ in 0..input.int_in_range(0..=4)? {
            then.push(Damage::any(input, &places)?);
        }
    }
    if sealed {
        places.seal(&disk);
    }
    Ok((disk, deed))
}

fn place(input: &mut Unstructured<'_>) -> Result<Place> {
    Ok(match input.int_in_range(0..=9)? {
        0..=3 => Place::Superblock(input.int_in_range(0..=1023)?),
        4 | 5 => Place::Descriptor(input.int_in_range(0..=3)?, input.int_in_range(0..=63)?),
        6 => Place::Inode(7, input.int_in_range(0..=255)?),
        7 => Place::Inode(8, input.int_in_range(0..=255)?),
        8 => Place::Journal(input.int_in_range(0..=3 * 4096)?),
        _ => Place::Anywhere(input.int_in_range(0..=80 << 20)?),
    })
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..64).map(|seed| noise(2000 + seed, 40 + 4 * usize::try_from(seed).unwrap_or(0))).collect()
}
