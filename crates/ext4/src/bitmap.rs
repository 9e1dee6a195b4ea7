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
        set(self.0.as_mut_slice(), range);
    }

    /// The bitmap as it is on disk.
    pub(crate) fn as_bytes(&self) -> &[u8; 4096] {
        &self.0
    }
}

/// Sets a range of bits of a bitmap of any size; what lies beyond it is ignored.
pub(crate) fn set(bytes: &mut [u8], range: Range<u64>) {
    change(bytes, range, |byte, mask| *byte |= mask);
}

/// Clears a range of bits of a bitmap of any size; what lies beyond it is ignored.
pub(crate) fn clear(bytes: &mut [u8], range: Range<u64>) {
    change(bytes, range, |byte, mask| *byte &= !mask);
}

/// Whether a bit of a bitmap of any size is set; what lies beyond it is not.
pub(crate) fn is_set(bytes: &[u8], bit: u64) -> bool {
    bytes.get(index(bit / 8)).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
}

/// Does something to every byte that has bits of the range, and these bits.
fn change(bytes: &mut [u8], range: Range<u64>, with: impl Fn(&mut u8, u8)) {
    let mut bit = range.start;
    while bit < range.end {
        let Some(byte) = bytes.get_mut(index(bit / 8)) else { return };
        let from = bit % 8;
        let to = range.end.saturating_sub(bit).saturating_add(from).min(8);
        let mask = (from..to).fold(0, |mask, bit| mask | 1 << bit);
        with(byte, mask);
        bit = bit.saturating_add(to.saturating_sub(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clears_exactly_the_range() {
        for range in [0..0, 0..1, 3..5, 7..9, 5..29, 60..64, 63..90, 0..64] {
            let mut bytes = [0xff; 8];
            clear(&mut bytes, range.clone());
            for bit in 0..64 {
                let byte = bytes[usize::try_from(bit / 8).unwrap()];
                assert_eq!(byte >> (bit % 8) & 1 == 0, range.contains(&bit), "bit {bit} of {range:?}");
            }
        }
    }

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
