/// A pattern of an ignore file, by the rules of Docker's `patternmatcher`: it fits a whole path, whose names are
/// divided by slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Character(char),
    /// `?`: any character but a slash.
    Any,
    /// `[a-z]`, `[^a-z]`: any of some, or any but some.
    Class(bool, Vec<(char, char)>),
    /// `*`: any number of characters but slashes.
    Star,
    /// `**/`, and `**` before anything else: any number of directories.
    Directories,
    /// `**` at the end.
    Everything,
}

impl Glob {
    /// `None` for a pattern that buildah would refuse.
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        let mut characters = pattern.chars().peekable();
        let mut tokens = Vec::new();
        while let Some(character) = characters.next() {
            tokens.push(match character {
                '*' if characters.next_if_eq(&'*').is_some() => {
                    characters.next_if_eq(&'/');
                    if characters.peek().is_some() { Token::Directories } else { Token::Everything }
                }
                '*' => Token::Star,
                '?' => Token::Any,
                '\\' => Token::Character(characters.next()?),
                '[' => class(&mut characters)?,
                other => Token::Character(other),
            });
        }
        Some(Self { tokens })
    }

    /// Whether it fits the whole path. Takes time in proportion to the product of their lengths.
    pub(super) fn fits(&self, path: &str) -> bool {
        let end = self.tokens.len();
        // The tokens before which a match of the path so far may stand.
        let mut here = vec![false; end + 1];
        here[0] = true;
        self.skip_empty(&mut here);
        // `**/` takes whole names: what it has begun, it must end with a slash.
        let mut within = vec![false; end + 1];
        for character in path.chars() {
            let mut next = vec![false; end + 1];
            let mut next_within = vec![false; end + 1];
            for (place, token) in self.tokens.iter().enumerate() {
                match token {
                    Token::Directories if here[place] || within[place] => {
                        next_within[place] = true;
                        if character == '/' {
                            next[place + 1] = true;
                        }
                    }
                    Token::Star if here[place] && character != '/' => next[place] = true,
                    Token::Everything if here[place] => next[place] = true,
                    token if here[place] && token.takes(character) => next[place + 1] = true,
                    _ => {}
                }
            }
            self.skip_empty(&mut next);
            (here, within) = (next, next_within);
        }
        here[end]
    }

    /// What may be nothing can be passed over.
    fn skip_empty(&self, here: &mut [bool]) {
        for (place, token) in self.tokens.iter().enumerate() {
            if here[place] && matches!(token, Token::Star | Token::Directories | Token::Everything) {
                here[place + 1] = true;
            }
        }
    }
}

impl Token {
    /// Whether it takes this character, and no other.
    fn takes(&self, character: char) -> bool {
        match self {
            Self::Character(own) => *own == character,
            Self::Any => character != '/',
            Self::Class(negated, ranges) => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&character)) != *negated
            }
            Self::Star | Self::Directories | Self::Everything => false,
        }
    }
}

fn class(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = characters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let first = match characters.next()? {
            ']' if !ranges.is_empty() => return Some(Token::Class(negated, ranges)),
            ']' => return None,
            '\\' => characters.next()?,
            other => other,
        };
        let last = match characters.next_if_eq(&'-') {
            None => first,
            Some(_) => match characters.next()? {
                ']' => return None,
                '\\' => characters.next()?,
                other => other,
            },
        };
        ranges.push((first, last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_paths() {
        for (pattern, fitting, others) in [
            ("a", vec!["a"], vec!["", "b", "a/b", "ab", "x/a"]),
            ("*", vec!["a", ".git", ""], vec!["a/b", "/"]),
            ("*.md", vec!["a.md", ".md"], vec!["a.mdx", "d/a.md", "a.m"]),
            ("a/*/c", vec!["a/b/c", "a/bb/c"], vec!["a/c", "a/b/b/c"]),
            ("a?c", vec!["abc", "aéc"], vec!["ac", "a/c", "abbc"]),
            ("**", vec!["", "a", "a/b/c"], vec![]),
            ("**/a", vec!["a", "x/a", "x/y/a"], vec!["xa", "x/ya", "a/x"]),
            ("**a", vec!["a", "x/a"], vec!["xa"]),
            ("a/**", vec!["a/", "a/b", "a/b/c"], vec!["a", "ab"]),
            ("a/**/b", vec!["a/b", "a/x/b", "a/x/y/b"], vec!["ab", "a/xb", "axb"]),
            ("**/*.rs", vec!["a.rs", "x/y/a.rs"], vec!["a.rsx", "a.rs/x"]),
            ("**/a/**/b", vec!["a/b", "x/a/y/b"], vec!["a", "b"]),
            ("[a-c]x", vec!["ax", "cx"], vec!["dx", "x", "-x"]),
            ("[^a-c]x", vec!["dx", "^x"], vec!["ax", "x"]),
            ("[ab\\]]", vec!["a", "]"], vec!["c", "\\"]),
            ("a\\*b", vec!["a*b"], vec!["axb"]),
            ("a.b$(c)+|", vec!["a.b$(c)+|"], vec!["axb$(c)+|"]),
        ] {
            let glob = Glob::parse(pattern).unwrap();
            for path in fitting {
                assert!(glob.fits(path), "{pattern} {path}");
            }
            for path in others {
                assert!(!glob.fits(path), "{pattern} {path}");
            }
        }
        for pattern in ["[", "[]", "[a", "[a-]", "a\\", "[a-", "[\\"] {
            assert_eq!(Glob::parse(pattern), None, "{pattern}");
        }
        // Not in time exponential in the stars.
        let many = Glob::parse(&"*a".repeat(200)).unwrap();
        assert!(!many.fits(&format!("{}b", "a".repeat(2000))));
        assert!(many.fits(&"a".repeat(200)));
    }
}
