use offshoot_store::Digest;

/// What stands between the parts of an input.
pub(crate) const BETWEEN: &[u8] = b"\n%%\n";
/// So that one digit names each.
const MOST: usize = 10;

/// Several documents in one input. A part may name those before it: `"@0"` is the digest of the first, `"#0"` its size
/// in bytes.
pub(crate) fn parts(input: &[u8]) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let mut rest = Some(input);
    while let Some(bytes) = rest.filter(|_| parts.len() < MOST) {
        let (part, after) = match find(bytes, BETWEEN) {
            Some(at) => (&bytes[..at], Some(&bytes[at + BETWEEN.len()..])),
            None => (bytes, None),
        };
        let mut whole = part.to_vec();
        for (number, earlier) in parts.iter().enumerate() {
            let digest = format!("\"{}\"", Digest::of(earlier));
            whole = replaced(&whole, format!("\"@{number}\"").as_bytes(), digest.as_bytes());
            let size = earlier.len().to_string();
            whole = replaced(&whole, format!("\"#{number}\"").as_bytes(), size.as_bytes());
        }
        parts.push(whole);
        rest = after;
    }
    parts
}

/// An input of these parts.
pub(crate) fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.join(BETWEEN)
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

pub(crate) fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = find(rest, old) {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(new);
        rest = &rest[at + old.len()..];
    }
    result.extend_from_slice(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_name_those_before_them() {
        let input = b"ab\n%%\n[\"@0\",\"#0\",\"@1\"]\n%%\n\"#1\"";
        let first = Digest::of(b"ab");
        let second = format!("[\"{first}\",2,\"@1\"]");
        let expected = [b"ab".to_vec(), second.clone().into_bytes(), second.len().to_string().into_bytes()];
        assert_eq!(parts(input), expected);
        assert_eq!(parts(b""), [b""]);
    }
}
