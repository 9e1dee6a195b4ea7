//! The feature words of a superblock, with the names that `dumpe2fs` and `mke2fs -O` have for them.

use std::fmt;

use bitflags::bitflags;

use crate::superblock::Superblock;

bitflags! {
    /// `s_feature_compat`: a kernel that does not know them may use the filesystem all the same.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Compat: u32 {
        const DIR_PREALLOC = 0x0001;
        const HAS_JOURNAL = 0x0004;
        const EXT_ATTR = 0x0008;
        const RESIZE_INODE = 0x0010;
        const DIR_INDEX = 0x0020;
        const SPARSE_SUPER2 = 0x0200;
        const FAST_COMMIT = 0x0400;
        const STABLE_INODES = 0x0800;
        const ORPHAN_FILE = 0x1000;
    }

    /// `s_feature_incompat`: who does not know them must keep away.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Incompat: u32 {
        const FILETYPE = 0x0002;
        const RECOVER = 0x0004;
        const JOURNAL_DEV = 0x0008;
        const META_BG = 0x0010;
        const EXTENTS = 0x0040;
        const SIXTY_FOUR_BIT = 0x0080;
        const MMP = 0x0100;
        const FLEX_BG = 0x0200;
        const EA_INODE = 0x0400;
        const CSUM_SEED = 0x2000;
        const LARGEDIR = 0x4000;
        const INLINE_DATA = 0x8000;
        const ENCRYPT = 0x1_0000;
        const CASEFOLD = 0x2_0000;
    }

    /// `s_feature_ro_compat`: who does not know them must not write.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct RoCompat: u32 {
        const SPARSE_SUPER = 0x0001;
        const LARGE_FILE = 0x0002;
        const HUGE_FILE = 0x0008;
        const GDT_CSUM = 0x0010;
        const DIR_NLINK = 0x0020;
        const EXTRA_ISIZE = 0x0040;
        const QUOTA = 0x0100;
        const BIGALLOC = 0x0200;
        const METADATA_CSUM = 0x0400;
        const READ_ONLY = 0x1000;
        const PROJECT = 0x2000;
        const SHARED_BLOCKS = 0x4000;
        const VERITY = 0x8000;
        const ORPHAN_PRESENT = 0x1_0000;
    }
}

impl Compat {
    /// What every filesystem of the writer's has; the journal is an option.
    pub(crate) const PROFILE: Self = Self::EXT_ATTR.union(Self::RESIZE_INODE).union(Self::DIR_INDEX);
}

impl Incompat {
    /// What every filesystem of the writer's has.
    pub(crate) const PROFILE: Self = Self::FILETYPE
        .union(Self::EXTENTS)
        .union(Self::SIXTY_FOUR_BIT)
        .union(Self::FLEX_BG)
        .union(Self::CSUM_SEED);
}

impl RoCompat {
    /// What every filesystem of the writer's has.
    pub(crate) const PROFILE: Self = Self::SPARSE_SUPER
        .union(Self::LARGE_FILE)
        .union(Self::HUGE_FILE)
        .union(Self::DIR_NLINK)
        .union(Self::EXTRA_ISIZE)
        .union(Self::METADATA_CSUM);
}

/// The features of a filesystem: the superblock's three words.
///
/// It prints as `dumpe2fs` prints it; bits without a name print as `FEATURE_I19` and the like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features {
    /// `s_feature_compat`.
    pub compat: u32,
    /// `s_feature_incompat`.
    pub incompat: u32,
    /// `s_feature_ro_compat`.
    pub ro_compat: u32,
}

/// The names of the bits of each word.
const COMPAT_NAMES: [(u32, &str); 10] = [
    (0x0001, "dir_prealloc"),
    (0x0002, "imagic_inodes"),
    (0x0004, "has_journal"),
    (0x0008, "ext_attr"),
    (0x0010, "resize_inode"),
    (0x0020, "dir_index"),
    (0x0200, "sparse_super2"),
    (0x0400, "fast_commit"),
    (0x0800, "stable_inodes"),
    (0x1000, "orphan_file"),
];
const INCOMPAT_NAMES: [(u32, &str); 16] = [
    (0x0001, "compression"),
    (0x0002, "filetype"),
    (0x0004, "needs_recovery"),
    (0x0008, "journal_dev"),
    (0x0010, "meta_bg"),
    (0x0040, "extent"),
    (0x0080, "64bit"),
    (0x0100, "mmp"),
    (0x0200, "flex_bg"),
    (0x0400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x2000, "metadata_csum_seed"),
    (0x4000, "large_dir"),
    (0x8000, "inline_data"),
    (0x1_0000, "encrypt"),
    (0x2_0000, "casefold"),
];
const RO_COMPAT_NAMES: [(u32, &str); 16] = [
    (0x0001, "sparse_super"),
    (0x0002, "large_file"),
    (0x0008, "huge_file"),
    (0x0010, "uninit_bg"),
    (0x0020, "dir_nlink"),
    (0x0040, "extra_isize"),
    (0x0080, "snapshot"),
    (0x0100, "quota"),
    (0x0200, "bigalloc"),
    (0x0400, "metadata_csum"),
    (0x0800, "replica"),
    (0x1000, "read-only"),
    (0x2000, "project"),
    (0x4000, "shared_blocks"),
    (0x8000, "verity"),
    (0x1_0000, "orphan_present"),
];

impl Features {
    pub(crate) fn of(superblock: &Superblock) -> Self {
        Self {
            compat: superblock.s_feature_compat.get(),
            incompat: superblock.s_feature_incompat.get(),
            ro_compat: superblock.s_feature_ro_compat.get(),
        }
    }

    pub(crate) fn has_compat(self, feature: Compat) -> bool {
        self.compat & feature.bits() != 0
    }

    pub(crate) fn has_incompat(self, feature: Incompat) -> bool {
        self.incompat & feature.bits() != 0
    }

    pub(crate) fn has_ro_compat(self, feature: RoCompat) -> bool {
        self.ro_compat & feature.bits() != 0
    }

    /// Those of these words that are in none of the sets.
    pub(crate) fn without(self, compat: Compat, incompat: Incompat, ro_compat: RoCompat) -> Self {
        Self {
            compat: self.compat & !compat.bits(),
            incompat: self.incompat & !incompat.bits(),
            ro_compat: self.ro_compat & !ro_compat.bits(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// The names as e2fsprogs has them, in its order.
    pub fn names(self) -> Vec<String> {
        let mut names = Vec::new();
        let words = [
            ('C', self.compat, &COMPAT_NAMES[..]),
            ('I', self.incompat, &INCOMPAT_NAMES[..]),
            ('R', self.ro_compat, &RO_COMPAT_NAMES[..]),
        ];
        for (letter, word, known) in words {
            for bit in (0..32u32).filter(|bit| word & 1 << bit != 0) {
                let name = known.iter().find(|(value, _)| *value == 1 << bit);
                names.push(name.map_or_else(|| format!("FEATURE_{letter}{bit}"), |(_, name)| (*name).into()));
            }
        }
        names
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_names() {
        let features = Features { compat: 0x14, incompat: 1 << 19 | 0x40, ro_compat: 1 };
        assert_eq!(features.to_string(), "has_journal resize_inode extent FEATURE_I19 sparse_super");
        assert!(Features::default().is_empty());
        assert!(!features.is_empty());
    }
}
