//! Which checksums a filesystem has over its metadata.

use zerocopy::IntoBytes;

use crate::checksum::Checksum;
use crate::features::{Features, Incompat, RoCompat};
use crate::group_descriptor::CHECKSUM_OFFSET;
use crate::halves::low16;
use crate::superblock::Superblock;

/// The kind of checksums, and what they start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sums {
    /// `metadata_csum`: CRC-32C over everything, from this seed.
    Crc32c(Checksum),
    /// `uninit_bg`: CRC-16 over group descriptors alone, from the UUID.
    Crc16([u8; 16]),
    /// None: then there are no groups that were never written either.
    None,
}

impl Sums {
    /// Those of a superblock.
    pub(crate) fn of(superblock: &Superblock) -> Self {
        let features = Features::of(superblock);
        if features.has_ro_compat(RoCompat::METADATA_CSUM) {
            if features.has_incompat(Incompat::CSUM_SEED) {
                Self::Crc32c(Checksum::from_value(superblock.s_checksum_seed.get()))
            } else {
                Self::Crc32c(Checksum::of_filesystem(&superblock.s_uuid))
            }
        } else if features.has_ro_compat(RoCompat::GDT_CSUM) {
            Self::Crc16(superblock.s_uuid)
        } else {
            Self::None
        }
    }

    /// `bg_checksum` of these bytes, whatever stands in the field itself (`ext4_group_desc_csum`).
    pub(crate) fn descriptor(self, group: u32, descriptor: &[u8]) -> u16 {
        let (before, rest) = descriptor.split_at(CHECKSUM_OFFSET.min(descriptor.len()));
        let after = rest.get(2..).unwrap_or_default();
        match self {
            Self::Crc32c(seed) => {
                let checksum = seed.update(&group.to_le_bytes()).update(before).update(&[0; 2]).update(after);
                low16(checksum.value())
            }
            Self::Crc16(uuid) => [&uuid[..], &group.to_le_bytes(), before, after]
                .iter()
                .fold(u16::MAX, |crc, bytes| crc16(crc, bytes)),
            Self::None => 0,
        }
    }

    /// The checksum of a block bitmap; zero where bitmaps have none.
    pub(crate) fn bitmap(self, bytes: &[u8]) -> u32 {
        match self {
            Self::Crc32c(seed) => seed.update(bytes).value(),
            Self::Crc16(_) | Self::None => 0,
        }
    }

    /// Whether the superblock's own checksum is right, or there is none.
    pub(crate) fn holds(self, superblock: &Superblock) -> bool {
        let mut sealed = superblock.clone();
        self.seal(&mut sealed);
        sealed.as_bytes() == superblock.as_bytes()
    }

    /// Sets the superblock's own checksum, if it has one.
    pub(crate) fn seal(self, superblock: &mut Superblock) {
        if matches!(self, Self::Crc32c(_)) {
            superblock.seal();
        }
    }
}

/// CRC-16 as the kernel's `lib/crc16.c`: x¹⁶ + x¹⁵ + x² + 1, lowest bit first.
fn crc16(start: u16, bytes: &[u8]) -> u16 {
    bytes.iter().fold(start, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xa001 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc16_is_the_kernels() {
        // The catalogue's check values of ARC (from 0) and MODBUS (from all ones).
        assert_eq!(crc16(0, b"123456789"), 0xbb3d);
        assert_eq!(crc16(u16::MAX, b"123456789"), 0x4b37);
    }
}
