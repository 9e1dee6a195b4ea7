/// A CRC-32C (Castagnoli's) of bytes that need not be at hand: that of two stretches follows from theirs.
///
/// It tells damage, any burst of up to 32 bits for certain, and nothing of intent: digests are for that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum(u32);

impl Checksum {
    /// Of no bytes.
    pub const fn new() -> Self {
        Self(0)
    }

    /// One that was kept.
    pub const fn from_value(value: u32) -> Self {
        Self(value)
    }

    /// The value to keep.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// With these bytes behind.
    #[must_use]
    pub fn update(self, bytes: &[u8]) -> Self {
        Self(crc32c::crc32c_append(self.0, bytes))
    }

    /// With so many zeros behind.
    #[must_use]
    pub fn zeros(self, bytes: u64) -> Self {
        Self(!shift(!self.0, bytes))
    }

    /// With so many bytes behind, whose checksum is `next`.
    #[must_use]
    pub fn join(self, next: Self, bytes: u64) -> Self {
        Self(shift(self.0, bytes) ^ next.0)
    }

    /// Of the last so many bytes alone; `before` is that of all before them.
    #[must_use]
    pub fn since(self, before: Self, bytes: u64) -> Self {
        Self(shift(before.0, bytes) ^ self.0)
    }
}

/// The polynomial without its highest term; the lowest bit is the highest power, as everywhere here.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `x` to the power of 8 · 2^n modulo the polynomial: what a checksum is multiplied by when 2^n bytes follow.
const POWERS: [u32; 64] = {
    let mut powers = [1 << 31 >> 8; 64];
    let mut n = 1;
    while n < 64 {
        powers[n] = multiply(powers[n - 1], powers[n - 1]);
        n += 1;
    }
    powers
};

/// The product of two polynomials modulo the polynomial.
const fn multiply(mut one: u32, mut other: u32) -> u32 {
    let mut product = 0;
    while one != 0 {
        if one & 1 << 31 != 0 {
            product ^= other;
        }
        one <<= 1;
        other = other >> 1 ^ if other & 1 == 0 { 0 } else { POLYNOMIAL };
    }
    product
}

fn shift(checksum: u32, mut bytes: u64) -> u32 {
    let mut shifted = checksum;
    for power in POWERS {
        if bytes & 1 != 0 {
            shifted = multiply(power, shifted);
        }
        bytes >>= 1;
        if bytes == 0 {
            break;
        }
    }
    shifted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_is_what_is_read_at_once() {
        let bytes: Vec<u8> = (0..70_000_u32).map(|number| ((number * 31) >> 3) as u8).collect();
        let of = |bytes: &[u8]| Checksum::new().update(bytes);
        assert_eq!(of(b"123456789").value(), 0xe306_9283);
        for middle in [0, 1, 2, 3, 4095, 4096, 65_536, 69_999, 70_000] {
            let (start, end) = bytes.split_at(middle);
            let end_bytes = end.len() as u64;
            let expected = crc32c::crc32c_combine(of(start).value(), of(end).value(), end.len());
            assert_eq!(of(start).join(of(end), end_bytes).value(), expected, "{middle}");
            assert_eq!(of(start).join(of(end), end_bytes), of(&bytes), "{middle}");
            assert_eq!(of(&bytes).since(of(start), end_bytes), of(end), "{middle}");
            let zeros = vec![0; middle];
            assert_eq!(of(&bytes).zeros(middle as u64), of(&bytes).update(&zeros), "{middle}");
        }
    }

    #[test]
    fn stretches_longer_than_memory() {
        let (one, other) = (Checksum::new().update(b"one"), Checksum::new().update(b"other"));
        let far = one.zeros(1 << 45).join(other, 5);
        assert_eq!(far.since(one.zeros(1 << 45), 5), other);
        assert_ne!(one.zeros(1 << 45), one.zeros((1 << 45) + 1));
    }
}
