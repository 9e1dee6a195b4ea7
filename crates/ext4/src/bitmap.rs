//! Block and inode bitmaps: one block a group each, lowest bit first.

use std::ops::Range;

use crate::halves::index;

/// A bitmap of one block.
pub(crate) struct Bitmap(Box<[u8; 4096]>);

impl Bitmap {
    /// How many bits a bitmap has.
    pub(crate) const BITS: u64 = 32768;

    /// All bits clear.
    pub(crate) fn new() -> Self {
        Self(Box::new([0; 4096]))
    }

    /// Sets a range of bits; what lies beyond the bitmap is ignored.
    pub(crate) fn set(&mut self, range: Range<u64>) {
        let mut bit = range.start;
        let end = range.end.min(Self::BITS);
        while bit < end {
            let Some(byte) = self.0.get_mut(index(bit / 8)) else { return };
            if bit.is_multiple_of(8) && end.saturating_sub(bit) >= 8 {
                *byte = 0xff;
                bit = bit.saturating_add(8);
            } else {
                *byte |= 1 << (bit % 8);
                bit = bit.saturating_add(1);
            }
        }
    }

    /// The bitmap as it is on disk.
    pub(crate) fn as_bytes(&self) -> &[u8; 4096] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_exactly_the_range() {
        for range in [0..0, 0..1, 0..8, 3..5, 7..9, 5..29, 32760..32768, 32767..40000, 0..32768] {
            let mut bitmap = Bitmap::new();
            bitmap.set(range.clone());
            for bit in 0..Bitmap::BITS {
                let byte = bitmap.as_bytes()[usize::try_from(bit / 8).unwrap()];
                assert_eq!(byte >> (bit % 8) & 1 == 1, range.contains(&bit), "bit {bit} of {range:?}");
            }
        }
    }
}
