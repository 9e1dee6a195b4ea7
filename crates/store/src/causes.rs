use std::error::Error;

/// What an error says, and what its causes say, down to the last one; a line for people: nothing in it moves the cursor of
/// a terminal, whatever it quotes.
///
/// ```
/// let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
/// let error = offshoot_store::Error::io("open", "notes".as_ref())(missing);
/// assert_eq!(offshoot_store::with_causes(&error), "cannot open notes: entity not found");
/// ```
pub fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        line.push_str(": ");
        line.push_str(&error.to_string());
        next = error.source();
    }
    line.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_and_nothing_else() {
        let inner = std::io::Error::other("\u{1b}[2Jone\r\ntwo\u{9b}");
        let error = crate::Error::io("open", "a\nb".as_ref())(inner);
        assert_eq!(with_causes(&error), "cannot open a b:  [2Jone  two ");
    }
}
