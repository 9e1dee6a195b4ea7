//! Numbers cut into the halves that ext4 stores apart.

/// The low 32 bits.
pub(crate) fn low32(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(u32::MAX)
}

/// The bits above the low 32.
pub(crate) fn high32(value: u64) -> u32 {
    low32(value >> 32)
}

/// The low 16 bits.
pub(crate) fn low16(value: u32) -> u16 {
    u16::try_from(value & 0xffff).unwrap_or(u16::MAX)
}

/// The bits above the low 16.
pub(crate) fn high16(value: u32) -> u16 {
    low16(value >> 16)
}

/// Bits 32 to 47: what a 48-bit block number or sector count keeps apart.
pub(crate) fn bits32to47(value: u64) -> u16 {
    low16(high32(value))
}

/// A position in memory; what no address space holds becomes one that no slice has.
pub(crate) fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A length in memory as a number of the disk's.
pub(crate) fn length(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
