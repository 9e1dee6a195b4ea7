use offshoot_tree::Timestamp;

/// A number in a header's field: octal digits, or GNU's base-256 where the first bit is set. `None` for what
/// is neither, or does not fit.
pub(crate) fn field(bytes: &[u8]) -> Option<i64> {
    match bytes.first() {
        Some(first) if first & 0x80 != 0 => base256(bytes),
        _ => octal(bytes),
    }
}

/// Blanks and NULs may stand on either side, and alone mean zero, as old tars and Go have it.
fn octal(bytes: &[u8]) -> Option<i64> {
    let start = bytes.iter().position(|byte| !matches!(byte, b' ' | 0)).unwrap_or(bytes.len());
    let digits = bytes.get(start..)?;
    let end = digits.iter().position(|byte| matches!(byte, b' ' | 0)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    // What follows a NUL is nobody's business; after a blank there is no second number.
    if rest.first() == Some(&b' ') && rest.iter().any(|byte| !matches!(byte, b' ' | 0)) {
        return None;
    }
    digits.iter().try_fold(0_i64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        number.checked_mul(8)?.checked_add(i64::from(digit))
    })
}

/// Big-endian two's complement, after the bit that marks it.
fn base256(bytes: &[u8]) -> Option<i64> {
    let (&first, rest) = bytes.split_first()?;
    // The marking bit stands where the sign would; the next is the sign.
    let first = if first & 0x40 != 0 { first } else { first & 0x7f };
    rest.iter().try_fold(i64::from(first.cast_signed()), |number, byte| {
        number.checked_mul(256)?.checked_add(i64::from(*byte))
    })
}

/// A decimal number, as in PAX records and sparse maps: digits only.
pub(crate) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A PAX time: decimal seconds, perhaps negative, perhaps with a fraction. Digits beyond nanoseconds are
/// dropped.
pub(crate) fn time(bytes: &[u8]) -> Option<Timestamp> {
    let (negative, bytes) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, bytes),
    };
    let dot = bytes.iter().position(|&byte| byte == b'.').unwrap_or(bytes.len());
    let (whole, fraction) = bytes.split_at_checked(dot)?;
    let fraction = fraction.get(1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = i64::try_from(decimal(whole)?).ok()?;
    let nanoseconds = fraction.iter().chain(std::iter::repeat(&b'0')).take(9).fold(0_u32, |number, digit| {
        number.saturating_mul(10).saturating_add(u32::from(digit.saturating_sub(b'0')))
    });
    Some(match (negative, nanoseconds) {
        (false, nanoseconds) => Timestamp { seconds, nanoseconds },
        (true, 0) => Timestamp { seconds: seconds.checked_neg()?, nanoseconds: 0 },
        // -1.25 s is 0.75 s after -2 s.
        (true, nanoseconds) => Timestamp {
            seconds: seconds.checked_neg()?.checked_sub(1)?,
            nanoseconds: 1_000_000_000_u32.checked_sub(nanoseconds)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        for (bytes, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\x00\x00644\0\0\0", Some(0o644)),
            (b"644\0junk", Some(0o644)),
            (b"644 1   ", None),
            (b"        ", Some(0)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"", Some(0)),
            (b"0000648\0", None),
            (b"-000001\0", None),
            (b"77777777777\0", Some(0o77_777_777_777)),
            (b"777777777777777777777777", None),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\x00", Some(256)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", Some(i64::MIN)),
            (b"\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(field(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn decimals() {
        for (bytes, expected) in [
            (&b"0"[..], Some(0)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"", None),
            (b"-1", None),
            (b"+1", None),
            (b" 1", None),
            (b"0x1", None),
        ] {
            assert_eq!(decimal(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn times() {
        for (bytes, expected) in [
            (&b"0"[..], Some((0, 0))),
            (b"1350244992.023960108", Some((1_350_244_992, 23_960_108))),
            (b"1.0239601089999", Some((1, 23_960_108))),
            (b"1.", Some((1, 0))),
            (b"-1", Some((-1, 0))),
            (b"-1.25", Some((-2, 750_000_000))),
            (b"-0.000000001", Some((-1, 999_999_999))),
            (b"-0.0000000001", Some((0, 0))),
            (b".5", None),
            (b"", None),
            (b"-", None),
            (b"1.5.5", None),
            (b"1e9", None),
            (b"99999999999999999999", None),
        ] {
            let time = time(bytes).map(|time| (time.seconds, time.nanoseconds));
            assert_eq!(time, expected, "{}", bytes.escape_ascii());
        }
    }
}
