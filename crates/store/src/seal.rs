//! A record's own checksum, its last field: whatever changes in it, be it a digit in a size, is told.

use crate::Checksum;

/// What stands before the checksum's eight digits, after the record's other fields.
const FIELD: &[u8] = b",\n  \"checksum\": \"crc32c:";
const END: &[u8] = b"\"\n}\n";
const DIGITS: usize = 8;

/// What a record's checksum says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    /// It is as it was written.
    Whole,
    /// There is none, or it is not where it was written.
    Missing,
    /// Something has changed.
    Broken,
}

/// Adds the checksum to a record's JSON, as `serde_json` writes it for people; what is no object has none.
pub(crate) fn seal(mut json: Vec<u8>) -> Vec<u8> {
    if json.ends_with(b"\n}") {
        json.truncate(json.len() - 2);
        let checksum = Checksum::new().update(&json).value();
        json.extend_from_slice(FIELD);
        json.extend_from_slice(format!("{checksum:08x}").as_bytes());
        json.extend_from_slice(END);
    } else {
        json.push(b'\n');
    }
    json
}

impl Seal {
    /// Of the bytes of a record's file.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let Some(sealed) = bytes.strip_suffix(END) else { return Self::Missing };
        let Some((sealed, digits)) = sealed.split_at_checked(sealed.len().saturating_sub(DIGITS)) else {
            return Self::Missing;
        };
        let Some(body) = sealed.strip_suffix(FIELD) else { return Self::Missing };
        let checksum = format!("{:08x}", Checksum::new().update(body).value());
        if checksum.as_bytes() == digits { Self::Whole } else { Self::Broken }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_told() {
        let json =
            serde_json::to_vec_pretty(&serde_json::json!({"vm_id": "vm", "size_bytes": 4096})).unwrap();
        let sealed = seal(json);
        assert_eq!(Seal::of(&sealed), Seal::Whole);
        let value: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
        assert_eq!(value["size_bytes"], 4096);
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Seal::of(&bad), Seal::Whole, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(Seal::of(&sealed[..length]), Seal::Missing, "{length} bytes");
        }
        assert_eq!(Seal::of(&[&sealed[..], b" "].concat()), Seal::Missing);
    }

    #[test]
    fn what_is_no_object_has_none() {
        assert_eq!(seal(b"\"text\"".to_vec()), b"\"text\"\n");
        assert_eq!(Seal::of(b"{\"a\": 1}\n"), Seal::Missing);
    }
}
