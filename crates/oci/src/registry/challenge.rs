/// One way to authenticate that a server offers (RFC 9110, section 11.6.1): `Bearer realm="…",service="…"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// In lower case.
    pub(crate) scheme: String,
    parameters: Vec<(String, String)>,
}

/// More of them in one header mean nothing good.
const MAX_CHALLENGES: usize = 16;

impl Challenge {
    /// All that a `WWW-Authenticate` header offers. What cannot be read ends the list.
    pub(crate) fn parse_all(header: &str) -> Vec<Self> {
        let mut challenges: Vec<Self> = Vec::new();
        let mut rest = header;
        while challenges.len() < MAX_CHALLENGES {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let (word, after) = token(rest);
            if word.is_empty() {
                break;
            }
            let after = after.trim_start_matches([' ', '\t']);
            // A word before `=` is a parameter of the scheme before it; `==` ends a `token68`.
            match (after.strip_prefix('='), challenges.last_mut()) {
                (Some(value), Some(challenge)) => {
                    let Some((value, after)) = parameter_value(value.trim_start_matches([' ', '\t'])) else {
                        break;
                    };
                    challenge.parameters.push((word.to_ascii_lowercase(), value));
                    rest = after;
                }
                (Some(_), None) => break,
                (None, _) => {
                    challenges.push(Self { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
                    rest = after;
                }
            }
        }
        challenges
    }

    /// A parameter's value, by its name in lower case.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// The longest run of characters that a token may have (RFC 9110, section 5.6.2), and what follows.
fn token(text: &str) -> (&str, &str) {
    let is_token =
        |character: char| character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character);
    text.split_at(text.find(|character| !is_token(character)).unwrap_or(text.len()))
}

/// A token or a quoted string, and what follows; `None` for a string without its end.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        // Unquoted realms are against the rules, and in use.
        let (value, rest) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[index + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let hub = r#"Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:library/alpine:pull""#;
        for (header, expected) in [
            (
                hub,
                vec![(
                    "bearer",
                    vec![
                        ("realm", "https://auth.example.com/token"),
                        ("service", "registry.example.com"),
                        ("scope", "repository:library/alpine:pull"),
                    ],
                )],
            ),
            (r#"Basic realm="Registry Realm""#, vec![("basic", vec![("realm", "Registry Realm")])]),
            ("Basic", vec![("basic", vec![])]),
            (
                r#"Basic realm="a, b", charset="UTF-8", BEARER Realm = https://x.example/t , service=s"#,
                vec![
                    ("basic", vec![("realm", "a, b"), ("charset", "UTF-8")]),
                    ("bearer", vec![("realm", "https://x.example/t"), ("service", "s")]),
                ],
            ),
            (r#"Bearer realm="a\"b\\c""#, vec![("bearer", vec![("realm", r#"a"b\c"#)])]),
            ("Negotiate, Basic realm=x", vec![("negotiate", vec![]), ("basic", vec![("realm", "x")])]),
            (r#"Bearer realm="no end"#, vec![("bearer", vec![])]),
            (r#"Bearer realm="\"#, vec![("bearer", vec![])]),
            ("=x", vec![]),
            ("", vec![]),
            (" , ,", vec![]),
            ("\"", vec![]),
            ("Bearer realm=", vec![("bearer", vec![("realm", "")])]),
        ] {
            let found = Challenge::parse_all(header);
            let found: Vec<_> = found
                .iter()
                .map(|challenge| {
                    let parameters =
                        challenge.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                    (challenge.scheme.as_str(), parameters.collect::<Vec<_>>())
                })
                .collect();
            assert_eq!(found, expected, "{header}");
        }
        assert_eq!(Challenge::parse_all(hub)[0].parameter("service"), Some("registry.example.com"));
        assert_eq!(Challenge::parse_all(&"a ".repeat(1000)).len(), MAX_CHALLENGES);
    }

    proptest::proptest! {
        #[test]
        fn anything_is_read_to_an_end(header in "[ -~]{0,80}", any in ".{0,40}") {
            Challenge::parse_all(&header);
            Challenge::parse_all(&any);
        }
    }
}
