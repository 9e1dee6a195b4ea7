use std::ops::Range;

/// Where the names of types, variants and fields are in what `{:?}` writes, which no host has chosen: outside of quotes, and
/// set off as derived implementations do it. None where the quotes do not match.
pub(super) fn names_in_debug(text: &str) -> Vec<Range<usize>> {
    let mut names = Vec::new();
    let bytes = text.as_bytes();
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let start = at;
        at += 1;
        if matches!(byte, b'"' | b'\'') {
            match bytes.get(at..).and_then(|rest| end_of_quotes(rest, *byte)) {
                Some(length) => at += length,
                None => return Vec::new(),
            }
        } else if is_part(byte) {
            at += bytes.get(at..).unwrap_or_default().iter().take_while(|byte| is_part(byte)).count();
            let before = start.checked_sub(1).and_then(|before| bytes.get(before));
            let after = bytes.get(at..).unwrap_or_default();
            let begins = matches!(before, None | Some(b' ' | b'(' | b'[' | b'{'));
            let ends = matches!(
                after,
                [] | [b'(' | b')' | b',' | b']', ..] | [b':', b' ', ..] | [b' ', b'{' | b'}', ..]
            );
            if begins && ends && !byte.is_ascii_digit() {
                names.push(start..at);
            }
        }
    }
    names
}

/// How far it is to behind the closing one.
fn end_of_quotes(rest: &[u8], quote: u8) -> Option<usize> {
    let mut escaped = false;
    let end = rest.iter().position(|byte| {
        let ends = !escaped && *byte == quote;
        escaped = !escaped && *byte == b'\\';
        ends
    });
    Some(end? + 1)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn names_of_ours_and_nothing_of_others() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "shown")]
        struct Problem {
            status: u16,
            what: &'static str,
            letter: char,
            causes: (Option<bool>, Vec<io::ErrorKind>, [Option<&'static str>; 2]),
            shown: Shown,
        }
        struct Shown;
        impl std::fmt::Debug for Shown {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("sha256:abcdef https://host/path user@host any-thing")
            }
        }
        let problem = Problem {
            status: 404,
            what: "status: \"word { what: (None, \\",
            letter: '"',
            causes: (Some(true), vec![io::ErrorKind::Other], [None, Some("'word'")]),
            shown: Shown,
        };
        let text = format!("{problem:?}");
        let names: Vec<&str> = names_in_debug(&text).into_iter().map(|name| &text[name]).collect();
        assert_eq!(
            names,
            [
                "Problem", "status", "what", "letter", "causes", "Some", "true", "Other", "None", "Some",
                "shown"
            ]
        );
        for text in ["Problem { what: \"status", "Problem { letter: '", "word-word", "word.word", "word:word"]
        {
            assert_eq!(names_in_debug(text), [], "{text}");
        }
    }
}
