use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use offshoot_store::with_causes;
use ureq::http::HeaderName;
use ureq::http::header::AUTHORIZATION;

use super::debug_names::names_in_debug;
use super::undisguised::{origins as origins_of, undisguised};
use crate::Error;
use crate::credentials::{Credentials, Secret};

/// What is shorter is in any text by chance, and is not looked for.
const SHORTEST: usize = 4;
/// So many tokens are remembered: those that may still be of use to somebody.
const MOST_TOKENS: usize = 64;
/// What a header of any name may begin with, before its secret.
const SCHEMES: [&str; 4] = ["basic", "bearer", "negotiate", "token"];
/// Headers whose values anybody may know, and which messages may have in them by chance (`https`).
const PUBLIC_HEADERS: [&str; 16] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-type",
    "forwarded",
    "host",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-scheme",
];

/// The secrets that the hosts of one source were told: whatever comes back from them is shown without.
///
/// Looked for is each secret as it is, and whatever reads the same once quotes, escapes and blanks are taken away
/// ([`undisguised`]), in whatever case; a host that disguises what it repeats in another way is not found out. What is a
/// secret and stands in our own words, too, is hidden there as well: with `admin:admin`, the user's name, and with the
/// password `image`, that word; the error's kind stays.
#[derive(Clone, Default)]
pub(crate) struct Told {
    secrets: Arc<Mutex<Secrets>>,
    /// Names that messages have from us, in which a secret may be by chance.
    ours: Vec<String>,
}

#[derive(Default)]
struct Secrets {
    kept: Vec<Sought>,
    tokens: VecDeque<Sought>,
}

/// What a secret is looked for as.
#[derive(PartialEq, Eq)]
struct Sought {
    lower: Vec<u8>,
    undisguised: Vec<u8>,
}

impl Sought {
    fn new(secret: &str) -> Self {
        // The end of base64 says nothing, and is often left out.
        let secret = secret.trim_end_matches('=');
        Self { lower: secret.to_ascii_lowercase().into_bytes(), undisguised: undisguised(secret) }
    }

    fn is_long_enough(&self) -> bool {
        self.lower.len() >= SHORTEST
    }
}

impl Told {
    pub(crate) fn new(ours: impl IntoIterator<Item = String>) -> Self {
        Self { secrets: Arc::default(), ours: ours.into_iter().filter(|name| !name.is_empty()).collect() }
    }

    fn secrets(&self) -> std::sync::MutexGuard<'_, Secrets> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn credentials(&self, credentials: &Credentials) {
        self.keep(credentials.secret().reveal());
        if let Credentials::Password { user, password } = credentials {
            self.keep(&basic(user, password));
            self.keep(&STANDARD.encode(password.reveal()));
        }
    }

    /// A header that an administrator has set; what is in it is a secret, unless its name says that it is none.
    pub(crate) fn header(&self, name: &HeaderName, value: &str) {
        if PUBLIC_HEADERS.contains(&name.as_str()) {
            return;
        }
        self.keep(value);
        // `Bearer TOKEN`, `Basic BASE64` (RFC 9110, section 11.4).
        let Some((scheme, secret)) = value.trim().split_once(' ') else { return };
        if name != AUTHORIZATION && !SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) {
            return;
        }
        let secret = secret.trim();
        self.keep(secret);
        let decoded = STANDARD.decode(secret).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((_, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) {
            self.keep(password);
        }
    }

    pub(crate) fn token(&self, token: &Secret) {
        let sought = Sought::new(token.reveal());
        let tokens = &mut self.secrets().tokens;
        if sought.is_long_enough() && !tokens.contains(&sought) {
            tokens.push_back(sought);
        }
        let excess = tokens.len().saturating_sub(MOST_TOKENS);
        tokens.drain(..excess);
    }

    fn keep(&self, secret: &str) {
        let sought = Sought::new(secret);
        let kept = &mut self.secrets().kept;
        if sought.is_long_enough() && !kept.contains(&sought) {
            kept.push(sought);
        }
    }

    /// Gives each place of a secret; they may overlap.
    fn find(&self, text: &str, mut found: impl FnMut(Range<usize>)) {
        let (lower, undisguised) = (text.to_ascii_lowercase(), undisguised(text));
        let mut origins = None;
        let secrets = self.secrets();
        for sought in secrets.kept.iter().chain(&secrets.tokens) {
            let length = sought.lower.len();
            memmem::find_iter(lower.as_bytes(), &sought.lower).for_each(|start| found(start..start + length));
            if sought.undisguised.len() < SHORTEST {
                continue;
            }
            for start in memmem::find_iter(&undisguised, &sought.undisguised) {
                let origins: &Vec<Range<usize>> = origins.get_or_insert_with(|| origins_of(text));
                let place = origins[start].start..origins[start + sought.undisguised.len() - 1].end;
                found(whole_characters(text, place));
            }
        }
    }

    /// The text without any of them.
    pub(crate) fn hide(&self, text: &str) -> String {
        let mut hidden = Vec::new();
        self.find(text, |place| {
            hidden.resize(text.len(), false);
            hidden[place].fill(true);
        });
        if hidden.is_empty() {
            return text.to_owned();
        }
        let mut left = String::new();
        let mut start = 0;
        for run in hidden.chunk_by(|one, next| one == next) {
            let end = start + run.len();
            left.push_str(if run[0] { "…" } else { &text[start..end] });
            start = end;
        }
        left
    }

    /// Whether any is in it, besides within these names.
    fn is_in(&self, text: &str, names: &[Range<usize>]) -> bool {
        let mut is_in = false;
        self.find(text, |place| {
            let before = names.partition_point(|name| name.start <= place.start);
            is_in |= names[..before].last().is_none_or(|name| name.end < place.end);
        });
        is_in
    }

    /// Where our names are in a text, and these.
    fn ours(&self, text: &str, others: Vec<Range<usize>>) -> Vec<Range<usize>> {
        let places = |name| text.match_indices(name).map(|(start, name)| start..start + name.len());
        let mut all = others;
        all.extend(self.ours.iter().flat_map(|name| places(name.as_str())));
        all.sort_by_key(|name| (name.start, std::cmp::Reverse(name.end)));
        // One may be within another: only the outer one is left.
        all.dedup_by(|name, before| name.end <= before.end);
        all
    }

    /// The same error, unless it would show one: then what may be shown of it.
    ///
    /// Its `Debug` is searched, too, since it shows all fields, as programs log it; but for the names of types and fields in
    /// it, with which no host has to do. A search of the fields alone would have to know those of each error.
    pub(crate) fn discreet(&self, error: Error) -> Error {
        let text = with_causes(&error);
        let fields = format!("{error:?}");
        if self.is_in(&text, &self.ours(&text, Vec::new()))
            || self.is_in(&fields, &self.ours(&fields, names_in_debug(&fields)))
        {
            return Error::Withheld { kind: error.kind(), text: self.hide(&text) };
        }
        error
    }
}

/// `USER:PASSWORD` as a header has it (RFC 7617).
pub(crate) fn basic(user: &str, password: &Secret) -> String {
    STANDARD.encode(format!("{user}:{}", password.reveal()))
}

/// A place that neither begins nor ends within a character.
fn whole_characters(text: &str, place: Range<usize>) -> Range<usize> {
    let Range { mut start, mut end } = place;
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{Missing, RegistryProblem};

    fn told(password: &str) -> Told {
        let told = Told::new(["ghcr.io/somebody/app".to_owned(), "ghcr.io".to_owned()]);
        told.credentials(&Credentials::password("user", password));
        told
    }

    fn denied(what: &str, detail: &str) -> Error {
        let problem = RegistryProblem::Denied {
            status: 403,
            detail: detail.to_owned(),
            user: Some("user".to_owned()),
            host: "ghcr.io".to_owned(),
        };
        let what = format!("ghcr.io/somebody/app:{what}");
        Error::Registry { what, host: "ghcr.io".to_owned(), mirrors: Vec::new(), problem: Box::new(problem) }
    }

    /// Whether it may be shown as it is; what is shown else.
    fn shown(told: &Told, error: Error) -> Result<(), String> {
        let kind = error.kind();
        match told.discreet(error) {
            Error::Withheld { text, kind: kept } => {
                assert_eq!(kept, kind);
                Err(text)
            }
            _ => Ok(()),
        }
    }

    #[test]
    fn texts_without_secrets() {
        let told = Told::new([]);
        told.credentials(&Credentials::password("user", "Pass/word"));
        told.header(&AUTHORIZATION, "Basic dXNlcjpoaWRkZW4=");
        told.header(&HeaderName::from_static("x-key"), "plain");
        told.token(&Secret::new("token-1"));
        told.token(&Secret::new("abc"));
        for (text, shown) in [
            ("nothing", "nothing"),
            ("Pass/word, pass/WORD and pass%2fword", "…, … and …"),
            ("Basic dXNlcjpQYXNzL3dvcmQ=", "Basic …="),
            ("hidden by dXNlcjpoaWRkZW4=, or plain", "… by …=, or …"),
            ("token-1 token-12 token-1token-1", "… …2 …"),
            ("abc", "abc"),
            ("é token-1 é", "é … é"),
            (r"é P\u{61}ss\\\/\nword é", "é … é"),
        ] {
            assert_eq!(told.hide(text), shown);
        }
    }

    #[test]
    fn however_it_is_quoted_and_broken_into_lines() {
        let key = "{\n  \"type\": \"service_account\",\n  \"private_key\": \"-----BEGIN\\nMII'x+y/z=\\n\",\n\t\"id\": 1\r\n}\n";
        for password in [key, "it's \"so\" \\n\\x", "\ttwo\nlines", "é\u{85}è\u{200b}ê\u{1b}x", "%41'%2541-"]
        {
            let told = told(password);
            let inside = |quoted: String| quoted[1..quoted.len() - 1].to_owned();
            let quoted = |text: &str| inside(format!("{text:?}"));
            let json = |text: &str| inside(serde_json::to_string(text).unwrap());
            let escaped = super::super::url::escaped;
            for text in [
                password.to_owned(),
                password.replace(char::is_control, ""),
                password.replace(char::is_control, " "),
                quoted(password),
                quoted(&quoted(password)),
                json(password),
                json(&json(password)),
                quoted(&json(password)),
                escaped(password),
                escaped(&json(password)),
                password.escape_debug().to_string(),
            ] {
                let left = told.hide(&format!("<{text}>"));
                // At most a line's end that it began or ended with.
                let rest = left.chars().filter(|character| character.is_alphanumeric()).count();
                assert!(left.matches('…').count() == 1 && rest < 4, "{left:?}, {text:?}, {password:?}");
                assert!(shown(&told, denied("v1", &format!(": {text}"))).is_err(), "{text:?}");
                assert!(shown(&told, denied(&text, "")).is_err(), "{text:?}");
            }
        }
    }

    #[test]
    fn names_of_ours_may_have_secrets_in_them_but_not_the_reverse() {
        for (password, detail, expected) in [
            ("ghcr.io", "", Ok(())),
            ("somebody", "", Ok(())),
            ("somebody", ": it is somebody", Err("it is …")),
            ("ghcr.io-2024", "", Ok(())),
            ("ghcr.io-2024", ": wrong ghcr.io-2024", Err("wrong …)")),
            ("x-ghcr.io/somebody/app", ": x-ghcr.io/somebody/app", Err("(403: …)")),
            ("in ghcr.io", ": log in ghcr.io", Err("log …)")),
        ] {
            match (shown(&told(password), denied("v1", detail)), expected) {
                (Ok(()), Ok(())) => {}
                (Err(text), Err(part)) => assert!(text.contains(part) && !text.contains(password), "{text}"),
                (got, _) => panic!("{password} {detail}: {got:?}"),
            }
        }
    }

    #[test]
    fn names_in_our_types_are_no_secrets_and_values_are() {
        for password in
            ["Registry", "registry", "status", "problem", "mirrors", "some", "detail", "Denied", "None"]
        {
            assert_eq!(shown(&told(password), denied("v1", ": no")), Ok(()), "{password}");
            assert!(shown(&told(password), denied("v1", &format!(": no {password}"))).is_err(), "{password}");
        }
    }

    #[test]
    fn what_only_fields_show_is_found() {
        #[derive(Debug)]
        struct Silent(#[expect(dead_code, reason = "shown")] &'static str);
        impl fmt::Display for Silent {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("no")
            }
        }
        impl std::error::Error for Silent {}
        for (password, found) in [("hidden", true), ("silent", false)] {
            let source = std::io::Error::other(Silent("it is hidden"));
            let error = Error::Io { operation: "open", path: "x".into(), source };
            assert_eq!(shown(&told(password), error).is_err(), found, "{password}");
        }
    }

    #[test]
    fn half_a_character_is_hidden_with_its_other_half() {
        assert_eq!(told("%A9abcd").hide("xéabcd é"), "x… é");
        assert_eq!(told("abcd%C3").hide("abcdé"), "…");
    }

    #[test]
    fn the_users_name_as_the_password_is_hidden_wherever_it_is() {
        let text = shown(&told("user"), denied("v1", "")).unwrap_err();
        assert!(text.contains("in the name of \"…\""), "{text}");
        assert_eq!(shown(&told("user"), Missing::Layer(1).into()), Ok(()));
    }

    #[test]
    fn what_headers_tell() {
        for (name, value, text, hidden) in [
            ("x-forwarded-proto", "https", "https://ghcr.io", "https://ghcr.io"),
            ("accept", "application/json, text/plain", "text/plain", "text/plain"),
            ("x-note", "sent by the registry", "the registry: sent by the registry", "the registry: …"),
            ("authorization", "Bearer  hidden-1", "hidden-1, bearer", "…, bearer"),
            ("authorization", "Own hidden-1", "own hidden-1 hidden-1", "… …"),
            ("x-auth", "token hidden-1", "hidden-1", "…"),
            ("x-auth", "BASIC dTpoaWRkZW4=", "hidden dTpoaWRkZW4", "… …"),
            ("x-key", "hidden-1", "hidden-1", "…"),
        ] {
            let told = Told::new([]);
            told.header(&HeaderName::from_static(name), value);
            assert_eq!(told.hide(text), hidden, "{name}: {value}");
        }
    }

    #[test]
    fn tokens_are_remembered_for_a_while() {
        let told = Told::new([]);
        told.credentials(&Credentials::password("user", "password"));
        for number in 0..1000 {
            told.token(&Secret::new(format!("token-{number:04}")));
        }
        assert_eq!(told.hide("token-0000 token-0936 token-0935 password"), "token-0000 … token-0935 …");
        assert_eq!(told.secrets().tokens.len(), MOST_TOKENS);
    }

    #[test]
    fn much_text_takes_no_time() {
        let told = told("password");
        for number in 0..20 {
            told.token(&Secret::new(format!("token-{number:04}-{}", "x".repeat(500))));
        }
        for piece in ["password", "%25", "\\u{", "\"", "x", "ghcr.io/"] {
            let text = piece.repeat((1 << 20) / piece.len());
            let started = Instant::now();
            assert_eq!(shown(&told, denied(&text, "")).is_err(), piece == "password");
            // Without optimization, and on a machine that does other things, too: it is not the square of the length.
            let took = started.elapsed();
            assert!(took < Duration::from_secs(20), "{piece}: {took:?}");
        }
    }
}
