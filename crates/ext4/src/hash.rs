//! The directory hash: half an MD4, as in the kernel's `fs/ext4/hash.c`.

/// Hashes names with a filesystem's seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameHasher {
    seed: [u32; 4],
}

impl NameHasher {
    /// The value of `hash_version` for it on disk: `DX_HASH_HALF_MD4`; that bytes are signed is said in
    /// `s_flags`. It is what x86 has always made, and all that some readers know.
    pub(crate) const VERSION: u8 = 1;

    /// A seed of zeros stands for MD4's own constants.
    pub(crate) fn new(seed: &[u8; 16]) -> Self {
        let (words, _) = seed.as_chunks::<4>();
        let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
        if *seed != [0; 16] {
            for (word, bytes) in state.iter_mut().zip(words) {
                *word = u32::from_le_bytes(*bytes);
            }
        }
        Self { seed: state }
    }

    /// The hash of a name, its lowest bit clear.
    pub(crate) fn hash(self, name: &[u8]) -> u32 {
        let mut state = self.seed;
        let mut rest = name;
        // The length that pads is the whole rest's, also where only 32 bytes of it are taken.
        while !rest.is_empty() {
            transform(&mut state, &words(rest));
            rest = rest.get(32..).unwrap_or_default();
        }
        let hash = state[1] & !1;
        // The end-of-directory mark of readdir is not a hash.
        if hash == 0xffff_fffe { 0xffff_fffc } else { hash }
    }
}

/// Eight words of the first 32 bytes, padded with the length (`str2hashbuf_signed`).
fn words(bytes: &[u8]) -> [u32; 8] {
    let length = u32::try_from(bytes.len() & 0xff).unwrap_or_default();
    let pad = length.wrapping_mul(0x0101_0101);
    let mut words = [pad; 8];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks(4)) {
        *word = chunk
            .iter()
            .fold(pad, |word, &byte| (word << 8).wrapping_add_signed(i32::from(byte.cast_signed())));
    }
    words
}

/// One round of eight steps: the order of the input words, the four shifts, the constant, the function.
type Round = ([usize; 8], [u32; 4], u32, fn(u32, u32, u32) -> u32);

const ROUNDS: [Round; 3] = [
    ([0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19], 0, |x, y, z| z ^ (x & (y ^ z))),
    ([1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13], 0x5a82_7999, |x, y, z| (x & y).wrapping_add((x ^ y) & z)),
    ([3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15], 0x6ed9_eba1, |x, y, z| x ^ y ^ z),
];

fn transform(state: &mut [u32; 4], input: &[u32; 8]) {
    let [mut a, mut b, mut c, mut d] = *state;
    for (order, shifts, constant, function) in ROUNDS {
        for (word, shift) in order.into_iter().zip(shifts.into_iter().cycle()) {
            let word = input.get(word).copied().unwrap_or_default().wrapping_add(constant);
            let mixed = a.wrapping_add(function(b, c, d)).wrapping_add(word).rotate_left(shift);
            (a, b, c, d) = (d, mixed, b, c);
        }
    }
    for (word, value) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_debugfs() {
        // debugfs -R 'dx_hash -h half_md4 -s 0f0c3d39-aa9b-4502-b38c-5376fa8450de NAME'
        let seed =
            [0x0f, 0x0c, 0x3d, 0x39, 0xaa, 0x9b, 0x45, 0x02, 0xb3, 0x8c, 0x53, 0x76, 0xfa, 0x84, 0x50, 0xde];
        for (name, hash) in [
            (b"hello".to_vec(), 0x9f71_8a2a),
            (b"a".to_vec(), 0xd3b9_4ae6),
            (vec![b'x'; 31], 0x1770_e5a8),
            (vec![b'y'; 32], 0xecca_cb8e),
            (vec![b'z'; 33], 0x9385_954e),
            (b"long-name-".repeat(25), 0x93ca_2634),
            ("été".into(), 0x5b3c_71ca),
        ] {
            assert_eq!(NameHasher::new(&seed).hash(&name), hash, "{}", name.escape_ascii());
        }
        assert_eq!(NameHasher::new(&[0; 16]).hash(b"hello"), 0x1746_da32);
    }
}
