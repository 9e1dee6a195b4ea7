//! Filesystems of many sizes.

use offshoot_ext4::{Error, Options, Plan, Size};
use offshoot_testkit::oracle;
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
        2048 * GIB + 12_345_678,
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
