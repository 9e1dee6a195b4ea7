/// The most bytes that are kept of what a program says.
const LIMIT: usize = 8 << 10;
/// The most characters of it in an error.
const MAX_LINE: usize = 1000;

/// The end of what a program says to people.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    /// How many bytes there were in all.
    pub(super) total: u64,
}

impl Tail {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * LIMIT {
            self.bytes.drain(..self.bytes.len() - LIMIT);
        }
    }

    /// The last lines that say something, as one, without anything that a terminal would obey.
    pub(super) fn line(&self, lines: usize) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let said: Vec<String> = text.lines().map(message).filter(|line| !line.is_empty()).collect();
        let line = said[said.len().saturating_sub(lines)..].join("; ");
        let excess = line.chars().count().saturating_sub(MAX_LINE);
        match excess {
            0 => line,
            // The end says why.
            _ => format!("…{}", line.chars().skip(excess).collect::<String>()),
        }
    }
}

/// What a line says, without the clothing of logs.
fn message(line: &str) -> String {
    let line: String =
        line.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let line = line.trim();
    // logrus, as all these programs use it: time="…" level=fatal msg="…".
    let logged = line.starts_with("time=").then(|| line.split_once(" msg=\"")).flatten();
    let text = match logged {
        Some((_, quoted)) => quoted.strip_suffix('"').unwrap_or(quoted).replace("\\\"", "\""),
        None => line.to_owned(),
    };
    text.strip_prefix("Error: ").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, lines: usize) -> String {
        let mut tail = Tail::default();
        text.as_bytes().chunks(7).for_each(|chunk| tail.push(chunk));
        assert_eq!(tail.total, text.len() as u64);
        tail.line(lines)
    }

    #[test]
    fn one_line_for_people() {
        assert_eq!(line("", 1), "");
        assert_eq!(line("STEP 1\n\nError: no\n\n", 1), "no");
        assert_eq!(line("one\ntwo\r\nthree", 2), "two; three");
        assert_eq!(line("one", 5), "one");
        assert_eq!(line("\u{1b}[31mred\u{7}", 1), "[31mred");
        assert_eq!(line(r#"time="2024" level=fatal msg="reading \"x\": no""#, 1), r#"reading "x": no"#);
        let long = line(&format!("{}end", "é".repeat(100_000)), 1);
        assert_eq!((long.chars().count(), long.ends_with("éend")), (MAX_LINE + 1, true));
    }
}
