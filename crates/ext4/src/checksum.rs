//! The CRC-32C that ext4 puts over its metadata.

/// A running CRC-32C as the kernel keeps it: without the final inversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checksum(u32);

impl Checksum {
    /// The start of a checksum that no seed goes into.
    pub(crate) fn new() -> Self {
        Self(u32::MAX)
    }

    /// The filesystem's seed (`s_checksum_seed`), which every checksum but the superblock's starts from.
    pub(crate) fn of_filesystem(uuid: &[u8; 16]) -> Self {
        Self::new().update(uuid)
    }

    /// A seed that a superblock has.
    pub(crate) fn from_value(value: u32) -> Self {
        Self(value)
    }

    /// The seed of an inode, for itself and for its directory and extent blocks. Generations are zero here.
    pub(crate) fn of_inode(self, number: u32) -> Self {
        self.update(&number.to_le_bytes()).update(&[0; 4])
    }

    /// With some more bytes.
    pub(crate) fn update(self, bytes: &[u8]) -> Self {
        Self(!crc32c::crc32c_append(!self.0, bytes))
    }

    /// The value that goes to disk.
    pub(crate) fn value(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_castagnoli_crc_without_the_last_inversion() {
        assert_eq!(!Checksum::new().update(b"123456789").value(), 0xe306_9283);
        assert_eq!(Checksum::new().update(b"1234").update(b"56789"), Checksum::new().update(b"123456789"));
    }
}
