//! Filesystems of many sizes.

use offshoot_ext4::{Error, Options, Plan, Size};
use offshoot_tree::Merge;

use crate::check;
use crate::image::{Image, exact, options};
use crate::sample::{Packs, tree};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

#[test]
fn empty_filesystems_of_many_sizes() {
    let empty = Merge::new().finish();
    let group = 128 * MIB;
    let sizes = [
        8 * MIB,
        8 * MIB + 4096,
        63 * MIB,
        group - 4096,
        group,
        group + 4096,
        group + 2 * MIB,
        group + 3 * MIB,
        2 * group,
        2 * group + 4096,
        3 * group + 3 * MIB,
        4 * group - 4096,
        1000 * MIB,
        GIB,
        16 * group - 4096,
        16 * group,
        16 * group + 4096,
        17 * group,
        26 * group + 5 * MIB,
        10 * GIB,
        64 * GIB,
        512 * GIB,
        513 * GIB,
        // The resize inode's block wraps around.
        2100 * GIB + 12_345_678,
    ];
    for bytes in sizes {
        let image = Image::new(&empty, &Packs::default(), &exact(bytes)).unwrap();
        assert_eq!(std::fs::metadata(image.path()).unwrap().len(), bytes / 4096 * 4096);
        check::e2fsck(&image.path());
        if bytes < 12 * GIB {
            check::kernel(&empty, &Packs::default(), &image.path());
        }
    }
}

/// The size in an error is the smallest that works.
#[test]
fn too_small_says_how_much_is_needed() {
    let empty = Merge::new().finish();
    let (files, _) = tree(|layer| {
        for file in 0..3000 {
            layer.blocks(&format!("d/{file}"), 20);
        }
    });
    for tree in [&empty, &files] {
        for journal in [true, false] {
            for bytes in [0, 1, 4096, MIB, 2 * MIB, 4 * MIB, 8 * MIB - 1, 100 * MIB, 200 * MIB, 250 * MIB] {
                let plan = |bytes| Plan::new(tree, &Options { journal, ..exact(bytes) });
                let needed = match plan(bytes) {
                    Ok(plan) => {
                        assert_eq!(plan.size_bytes(), bytes / 4096 * 4096);
                        continue;
                    }
                    Err(Error::TooSmall { needed_bytes, requested_bytes }) => {
                        assert_eq!(requested_bytes, bytes);
                        needed_bytes
                    }
                    Err(error) => panic!("{error}"),
                };
                assert!(needed > bytes);
                let plan = plan(needed).unwrap_or_else(|error| panic!("{needed}: {error}"));
                assert_eq!(plan.size_bytes(), needed);
                let less = Plan::new(tree, &Options { journal, ..exact(needed - 4096) });
                assert!(matches!(less, Err(Error::TooSmall { .. })), "{needed} is not the smallest");
            }
        }
    }
}

#[test]
fn the_smallest_filesystems_are_whole() {
    let (files, packs) = tree(|layer| {
        for file in 0..300 {
            layer.blocks(&format!("d/{file}"), 20);
        }
    });
    let empty = Merge::new().finish();
    for (tree, packs) in [(&empty, &Packs::default()), (&files, &packs)] {
        for journal in [true, false] {
            let options = |bytes| Options { journal, ..exact(bytes) };
            let Err(Error::TooSmall { needed_bytes, .. }) = Plan::new(tree, &options(0)) else {
                panic!("nothing needs no room")
            };
            check::everything(tree, packs, &options(needed_bytes));
        }
    }
}

/// A filesystem filled to the last block, over several groups.
#[test]
fn filled_to_the_last_block() {
    let mut layer = crate::sample::Layer::new();
    let content = layer.zeros(300_000);
    layer.file("file", content);
    let (tree, packs) = crate::sample::merge([layer]);
    let Err(Error::TooSmall { needed_bytes, .. }) = Plan::new(&tree, &exact(0)) else { panic!("no error") };
    let image = Image::new(&tree, &packs, &exact(needed_bytes)).unwrap();
    check::e2fsck(&image.path());
}

#[test]
fn automatic_sizes_have_their_headroom() {
    let (files, _) = tree(|layer| {
        for file in 0..3000 {
            layer.blocks(&format!("d/{file}"), 20);
        }
    });
    for (headroom_percent, headroom_min_bytes) in
        [(0, 0), (25, 64 * MIB), (100, 0), (10, 3 * GIB), (2000, MIB), (0, 100 * GIB)]
    {
        let size = Size::Automatic { headroom_percent, headroom_min_bytes };
        let plan = Plan::new(&files, &Options { size, ..options() }).unwrap();
        let summary = plan.summary();
        let free = summary.free_blocks * 4096;
        let contents = 60_000 * 4096;
        let wanted = (contents * u64::from(headroom_percent) / 100).max(headroom_min_bytes);
        assert!(free >= wanted, "{summary:?}");
        assert!(free <= wanted + wanted / 50 + 6 * MIB, "{summary:?}");
        assert_eq!(plan.size_bytes() % MIB, 0);
    }
}

#[test]
fn sizes_that_are_no_whole_blocks_or_groups() {
    let empty = Merge::new().finish();
    let plan = |bytes| Plan::new(&empty, &exact(bytes)).unwrap();
    assert_eq!(plan(64 * MIB + 4095).size_bytes(), 64 * MIB);
    let plan = plan(129 * MIB);
    assert_eq!(plan.size_bytes(), 129 * MIB);
    assert_eq!((plan.summary().groups, plan.summary().blocks), (1, 32768));
}

/// Plans for sizes all over the range; a few of them through e2fsck.
#[test]
fn a_thousand_sizes() {
    let empty = Merge::new().finish();
    let mut bytes = 8 * MIB + 4096 * 3;
    for number in 0..1000 {
        let plan = Plan::new(&empty, &exact(bytes)).unwrap();
        assert_eq!(plan.size_bytes(), bytes / 4096 * 4096);
        assert!(plan.summary().blocks * 4096 + 4 * MIB > bytes);
        if number % 50 == 0 && bytes < 300 * GIB {
            check::e2fsck(&Image::of(&plan, &Packs::default()).path());
        }
        bytes += bytes / 100 + 4096 * (number % 7);
    }
    for bytes in [1 << 43, (1 << 44) - 4096, 1 << 44] {
        let plan = Plan::new(&empty, &exact(bytes)).unwrap();
        assert_eq!(plan.size_bytes(), bytes);
    }
}
