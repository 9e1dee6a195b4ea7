use crate::sparse_disk::SparseDisk;

const SUPERBLOCK: u64 = 1024;
/// `EXT4_FEATURE_INCOMPAT_64BIT`
const SIXTY_FOUR_BIT: u32 = 0x80;
/// `EXT4_FEATURE_INCOMPAT_CSUM_SEED`
const CSUM_SEED: u32 = 0x2000;
/// `EXT4_FEATURE_RO_COMPAT_METADATA_CSUM`
const METADATA_CSUM: u32 = 0x400;
/// `JBD2_FEATURE_INCOMPAT_CSUM_V2` and `_V3`
const JOURNAL_CSUM: u32 = 0x18;

/// Something of a filesystem.
pub(super) enum Place {
    Superblock(u64),
    /// Of a group.
    Descriptor(u64, u64),
    /// By its number.
    Inode(u64, u64),
    /// The journal's first blocks.
    Journal(u64),
    Anywhere(u64),
}

/// Where things lie in a filesystem that is whole, in bytes, by what its superblock and descriptors say.
pub(super) struct Places {
    descriptors: u64,
    descriptor_bytes: u64,
    groups: u64,
    inodes: u64,
    inode_bytes: u64,
    journal: u64,
}

impl Places {
    pub(super) fn of(disk: &SparseDisk) -> Self {
        let word = |at: u64| u64::from(u32::from_le_bytes(disk.bytes(SUPERBLOCK + at)));
        let half = |at: u64| u64::from(u16::from_le_bytes(disk.bytes(SUPERBLOCK + at)));
        let block_bytes = 1024 << word(0x18).min(6);
        let descriptors = (word(0x14) + 1) * block_bytes;
        let descriptor_bytes = if u32_at(disk, 0x60) & SIXTY_FOUR_BIT != 0 { half(0xfe) } else { 32 };
        let blocks = word(0x4) - word(0x14).min(word(0x4));
        let groups = blocks.div_ceil(word(0x20).max(1));
        let inodes = u64::from(u32::from_le_bytes(disk.bytes(descriptors + 8))) * block_bytes;
        let mut places =
            Self { descriptors, descriptor_bytes, groups, inodes, inode_bytes: half(0x58), journal: 0 };
        // The first extent in the journal's inode.
        let extent = places.offset(&Place::Inode(8, 0x28 + 12));
        places.journal = u64::from(u32::from_le_bytes(disk.bytes(extent + 8))) * block_bytes;
        places
    }

    pub(super) fn offset(&self, place: &Place) -> u64 {
        match place {
            Place::Superblock(at) => SUPERBLOCK + at,
            Place::Descriptor(group, at) => self.descriptors + group * self.descriptor_bytes + at,
            Place::Inode(number, at) => self.inodes + (number - 1) * self.inode_bytes + at,
            Place::Journal(at) => self.journal + at,
            Place::Anywhere(at) => *at,
        }
    }

    /// Sets right the checksums of what is changed: the superblock's, and with `metadata_csum` those of descriptors, of
    /// the resize inode and the journal's, and of the journal's superblock.
    pub(super) fn seal(&self, disk: &SparseDisk) {
        if u32_at(disk, 0x64) & METADATA_CSUM == 0 {
            return;
        }
        let seed = if u32_at(disk, 0x60) & CSUM_SEED != 0 {
            u32_at(disk, 0x270)
        } else {
            crc(!0, &disk.bytes::<16>(SUPERBLOCK + 0x68))
        };
        for group in 0..self.groups.min(8) {
            let at = self.offset(&Place::Descriptor(group, 0));
            let mut bytes = vec![0; usize::try_from(self.descriptor_bytes).unwrap()];
            if disk.get(at, &mut bytes).is_ok() && bytes.len() >= 32 {
                bytes[0x1e..0x20].fill(0);
                let number = u32::try_from(group).unwrap().to_le_bytes();
                self.put(disk, at + 0x1e, &crc(crc(seed, &number), &bytes).to_le_bytes()[..2]);
            }
        }
        for number in [7_u32, 8] {
            self.seal_inode(disk, seed, number);
        }
        let mut journal: [u8; 1024] = disk.bytes(self.journal);
        let features = u32::from_be_bytes([journal[0x28], journal[0x29], journal[0x2a], journal[0x2b]]);
        if features & JOURNAL_CSUM != 0 {
            journal[0xfc..0x100].fill(0);
            self.put(disk, self.journal + 0xfc, &crc(!0, &journal).to_be_bytes());
        }
        let superblock: [u8; 1020] = disk.bytes(SUPERBLOCK);
        self.put(disk, SUPERBLOCK + 0x3fc, &crc(!0, &superblock).to_le_bytes());
    }

    fn seal_inode(&self, disk: &SparseDisk, seed: u32, number: u32) {
        let at = self.offset(&Place::Inode(u64::from(number), 0));
        let mut bytes = vec![0; usize::try_from(self.inode_bytes).unwrap()];
        if disk.get(at, &mut bytes).is_err() || bytes.len() < 0x84 {
            return;
        }
        let wide = bytes[0x80..0x82] >= [4, 0][..];
        bytes[0x7c..0x7e].fill(0);
        if wide {
            bytes[0x82..0x84].fill(0);
        }
        let sum = crc(crc(crc(seed, &number.to_le_bytes()), &bytes[0x64..0x68]), &bytes).to_le_bytes();
        self.put(disk, at + 0x7c, &sum[..2]);
        if wide {
            self.put(disk, at + 0x82, &sum[2..]);
        }
    }

    /// What lies beyond the end stays as it is.
    fn put(&self, disk: &SparseDisk, at: u64, bytes: &[u8]) {
        let _ = disk.put(at, bytes);
    }
}

/// The free blocks and inodes that all group descriptors together have.
pub(super) fn counted(disk: &SparseDisk) -> Option<(u64, u64)> {
    let places = Places::of(disk);
    let half =
        |group, at| u64::from(u16::from_le_bytes(disk.bytes(places.offset(&Place::Descriptor(group, at)))));
    let wide = |group, low, high| {
        half(group, low) + if places.descriptor_bytes >= 64 { half(group, high) << 16 } else { 0 }
    };
    let groups = 0..places.groups;
    (places.groups < 10_000).then(|| {
        groups
            .map(|group| (wide(group, 0xc, 0x2c), wide(group, 0xe, 0x2e)))
            .fold((0, 0), |sum, group| (sum.0 + group.0, sum.1 + group.1))
    })
}

/// Whether the first backup of the superblock, that of group 1, knows the filesystem's size.
pub(super) fn backup_agrees(disk: &SparseDisk) -> bool {
    let block_bytes = 1024 << u32_at(disk, 0x18);
    let start = u64::from(u32_at(disk, 0x14)) + u64::from(u32_at(disk, 0x20));
    let blocks = u32_at(disk, 0x4);
    let backup = u32::from_le_bytes(disk.bytes(start * block_bytes + 0x4));
    start >= u64::from(blocks) || backup == blocks
}

/// Whether the blocks of attributes of the inodes that are changed here, which have no names, lie in the filesystem: of
/// those e2fsck says nothing, though a kernel does not take them.
pub(super) fn attributes_are_inside(disk: &SparseDisk) -> bool {
    let places = Places::of(disk);
    let is_wide = u32_at(disk, 0x60) & SIXTY_FOUR_BIT != 0;
    [7, 8].into_iter().all(|number| {
        let low = u32::from_le_bytes(disk.bytes(places.offset(&Place::Inode(number, 0x68))));
        let high = u16::from_le_bytes(disk.bytes(places.offset(&Place::Inode(number, 0x76))));
        low < u32_at(disk, 0x4) && !(is_wide && high != 0)
    })
}

fn u32_at(disk: &SparseDisk, at: u64) -> u32 {
    u32::from_le_bytes(disk.bytes(SUPERBLOCK + at))
}

/// As the kernel reckons it: not inverted in the end.
fn crc(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext4_disk::images::{IMAGES, image};

    #[test]
    fn what_is_whole_needs_no_sealing() {
        for number in 0..IMAGES {
            let (whole, sealed) = (image(number), image(number));
            Places::of(&whole).seal(&sealed);
            for block in 0..3000 {
                assert!(whole.block(block) == sealed.block(block), "image {number}, block {block}");
            }
            // And what is changed is seen where it is not sealed.
            offshoot_ext4::inspect(&sealed).unwrap();
        }
    }
}
