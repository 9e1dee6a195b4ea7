use std::ops::Range;

/// A text as it was before anybody quoted it (Rust's `{:?}`, JSON's strings), escaped it for a URL, broke it into lines or
/// joined them, however often and in whatever order: in lower case, and without blanks and backslashes. Two texts that are
/// the same but for that are the same here, and so are some others; no secret is shown for that.
pub(super) fn undisguised(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    each(text.as_bytes(), |byte, _| bytes.push(byte));
    bytes
}

/// Where in the text each of these bytes is from.
pub(super) fn origins(text: &str) -> Vec<Range<usize>> {
    let mut origins = Vec::with_capacity(text.len());
    each(text.as_bytes(), |_, origin| origins.push(origin));
    origins
}

fn each(text: &[u8], mut take: impl FnMut(u8, Range<usize>)) {
    let mut bytes = Unescaped { text, at: 0 };
    loop {
        let start = bytes.at;
        let Some(byte) = bytes.next() else { return };
        let mut ahead = bytes.clone();
        match (byte, ahead.next()) {
            (b'\\', mut next) => {
                while next == Some(b'\\') {
                    bytes = ahead.clone();
                    next = ahead.next();
                }
                match next {
                    // Line ends and other controls, which are left out wherever they are.
                    Some(b'0' | b'b' | b'f' | b'n' | b'r' | b't') => bytes = ahead,
                    Some(b'u') => {
                        if let Some(character) = numbered(&mut ahead) {
                            bytes = ahead;
                            let mut buffer = [0; 4];
                            if !is_left_out(character) {
                                let encoded = character.encode_utf8(&mut buffer).bytes();
                                encoded.for_each(|byte| take(byte.to_ascii_lowercase(), start..bytes.at));
                            }
                        }
                    }
                    _ => {}
                }
            }
            // The controls beyond ASCII.
            (0xc2, Some(0x80..=0x9f)) => bytes = ahead,
            (byte, _) if byte.is_ascii() && is_left_out(char::from(byte)) => {}
            (byte, _) => take(byte.to_ascii_lowercase(), start..bytes.at),
        }
    }
}

/// A `+` is a blank in forms.
fn is_left_out(character: char) -> bool {
    character.is_control() || matches!(character, ' ' | '+')
}

/// The bytes of a text, whatever number of times URLs have escaped them: `%25250A` is `%250A` is `%0A`.
#[derive(Clone)]
struct Unescaped<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        if byte != b'%' {
            return Some(byte);
        }
        while self.text.get(self.at..self.at + 2) == Some(b"25") {
            self.at += 2;
        }
        let Some([high, low]) = self.text.get(self.at..self.at + 2) else { return Some(byte) };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let code = digit(*high).zip(digit(*low)).and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
        self.at += if code.is_some() { 2 } else { 0 };
        Some(code.unwrap_or(byte))
    }
}

/// What stands behind `\u`: `{e9}` as Rust has it, `00e9` or two halves as JSON has it.
fn numbered(bytes: &mut Unescaped<'_>) -> Option<char> {
    let mut braced = bytes.clone();
    if braced.next() == Some(b'{') {
        let mut code = 0;
        for _ in 0..7 {
            match braced.next()? {
                b'}' => {
                    *bytes = braced;
                    return char::from_u32(code);
                }
                digit => code = code << 4 | char::from(digit).to_digit(16)?,
            }
        }
        return None;
    }
    let first = four_digits(bytes)?;
    let mut halves = bytes.clone();
    if !(0xd800..0xdc00).contains(&first) || (halves.next(), halves.next()) != (Some(b'\\'), Some(b'u')) {
        return char::from_u32(first);
    }
    let second = four_digits(&mut halves)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    *bytes = halves;
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second)
}

fn four_digits(bytes: &mut Unescaped<'_>) -> Option<u32> {
    let mut code = 0;
    for _ in 0..4 {
        code = code << 4 | char::from(bytes.next()?).to_digit(16)?;
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::url::escaped;
    use super::*;

    fn quoted(text: &str) -> String {
        let quoted = format!("{text:?}");
        quoted[1..quoted.len() - 1].to_owned()
    }

    fn in_json(text: &str) -> String {
        let json = serde_json::to_string(text).unwrap();
        json[1..json.len() - 1].to_owned()
    }

    #[test]
    fn texts() {
        for (text, expected) in [
            ("", ""),
            ("Pass word", "password"),
            ("{\n\t\"a\": \"b\\nc\"\r\n}", "{\"a\":\"bc\"}"),
            (r"a\\\nb\\u{41}\u0042\ud83d\ude00\u{1b}\x", "abab😀x"),
            (r"\ud83d \ud83d\u0041 \u{110000} \u{1234567} \u12 \", "ud83dud83dau{110000}u{1234567}u12"),
            ("%41%2541%252541%25%2525%4%%C3%a9%0a%5Cn%5c%22", "aaa%%%4%é\""),
            ("é\u{85}\u{9b}\u{7f}è", "éè"),
        ] {
            assert_eq!(String::from_utf8_lossy(&undisguised(text)), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_done_to_a_text(
            text in r#"([a-zA-Z0-9"'é😀\u{301}\u{200b}/=:{}%&. \r\n\t\u{1b}\u{85}+-]|\\[a-z"\\])*"#,
            steps in prop::collection::vec(0..4, 0..4),
        ) {
            // What follows a percent sign may be its number only once something is left out between them.
            let text = text.replace("%", "%-");
            let mut disguised = text.clone();
            for step in &steps {
                disguised = match step {
                    0 => quoted(&disguised),
                    1 => in_json(&disguised),
                    2 => escaped(&disguised),
                    _ => disguised.replace(char::is_control, " "),
                };
            }
            prop_assert_eq!(undisguised(&disguised), undisguised(&text), "{}", disguised);
            // Nor does anybody know of a backslash that a line ended with.
            let controls: Vec<_> = disguised.match_indices(char::is_control).map(|(start, _)| start).collect();
            if !controls.into_iter().any(|start| disguised[..start].ends_with('\\')) {
                let without = disguised.replace(char::is_control, "");
                prop_assert_eq!(undisguised(&without), undisguised(&text), "{}", without);
            }
        }

        #[test]
        fn each_byte_is_from_somewhere(text in r#"[\\%u{}0-9a-fé\u{85}n😀 -]*"#) {
            let origins = origins(&text);
            prop_assert_eq!(undisguised(&text).len(), origins.len());
            prop_assert!(origins.iter().all(|origin| origin.start < origin.end && origin.end <= text.len()));
            prop_assert!(origins.is_sorted_by_key(|origin| origin.start));
        }
    }
}
