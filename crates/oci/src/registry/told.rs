use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use offshoot_store::with_causes;

use super::url::escaped;
use super::watch::{Notice, Watch};
use crate::Error;
use crate::credentials::{Credentials, Secret};

/// What is shorter is in any text by chance, and is not looked for.
const SHORTEST: usize = 4;
/// So many tokens are remembered: those that may still be of use to somebody.
const MOST_TOKENS: usize = 64;

/// The secrets that the hosts of one source were told: whatever comes back from them is shown without.
///
/// Looked for is each secret as it is, as URLs have it, and as it stands between quotes, in whatever case; a host that
/// disguises what it repeats is not found out.
#[derive(Clone, Default)]
pub(crate) struct Told {
    secrets: Arc<Mutex<Secrets>>,
    /// Our own words, in which a secret may be by chance.
    ours: Vec<String>,
}

#[derive(Default)]
struct Secrets {
    kept: Vec<String>,
    tokens: VecDeque<String>,
}

impl Told {
    /// With names that messages have from us.
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

    /// A header's value, which may be `Bearer TOKEN` or `Basic BASE64`.
    pub(crate) fn header(&self, value: &str) {
        self.keep(value);
        let Some((_, last)) = value.rsplit_once(' ') else { return };
        self.keep(last);
        let decoded = STANDARD.decode(last).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((_, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) {
            self.keep(password);
        }
    }

    pub(crate) fn token(&self, token: &Secret) {
        let mut secrets = self.secrets();
        for form in forms(token.reveal()) {
            if !secrets.tokens.contains(&form) {
                secrets.tokens.push_back(form);
            }
        }
        let excess = secrets.tokens.len().saturating_sub(MOST_TOKENS);
        secrets.tokens.drain(..excess);
    }

    fn keep(&self, secret: &str) {
        let kept = &mut self.secrets().kept;
        for form in forms(secret) {
            if !kept.contains(&form) {
                kept.push(form);
            }
        }
    }

    /// The text without any of them.
    pub(crate) fn hide(&self, text: &str) -> String {
        let secrets = self.secrets();
        let mut all: Vec<&String> = secrets.kept.iter().chain(&secrets.tokens).collect();
        // One may be a part of another.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.into_iter().fold(text.to_owned(), |text, secret| without(text, secret))
    }

    /// Whether any is in it, besides in what we said ourselves.
    fn is_in(&self, text: &str) -> bool {
        let theirs = self.ours.iter().fold(text.to_owned(), |text, name| text.replace(name, ""));
        self.hide(&theirs) != theirs
    }

    /// The same error, unless it would show one: then what may be shown of it.
    pub(crate) fn discreet(&self, error: Error) -> Error {
        let text = with_causes(&error);
        if self.is_in(&text) || self.is_in(&format!("{error:?}")) {
            return Error::Withheld { kind: error.kind(), text: self.hide(&text) };
        }
        error
    }
}

/// `USER:PASSWORD` as a header has it (RFC 7617).
pub(crate) fn basic(user: &str, password: &Secret) -> String {
    STANDARD.encode(format!("{user}:{}", password.reveal()))
}

/// What a secret is looked for as, in lower case.
fn forms(secret: &str) -> Vec<String> {
    let quoted = |text: &str| text.escape_debug().to_string();
    // Errors are quoted by errors.
    let once = quoted(secret);
    let forms = [secret, &once, &quoted(&once), &escaped(secret)].map(|form| {
        // The end of base64 says nothing, and is often left out.
        form.trim_end_matches('=').to_ascii_lowercase()
    });
    forms.into_iter().filter(|form| form.len() >= SHORTEST).collect()
}

/// Without a part that is given in lower case.
fn without(text: String, part: &str) -> String {
    let lower = text.to_ascii_lowercase();
    if !lower.contains(part) {
        return text;
    }
    let mut left = String::new();
    let mut end = 0;
    for (start, found) in lower.match_indices(part) {
        left.push_str(&text[end..start]);
        left.push('…');
        end = start + found.len();
    }
    left + &text[end..]
}

/// Whoever watches hears no secret either.
pub(crate) struct DiscreetWatch {
    pub(crate) inner: Arc<dyn Watch>,
    pub(crate) told: Told,
}

impl Watch for DiscreetWatch {
    fn cancelled(&self) -> bool {
        self.inner.cancelled()
    }

    fn notice(&self, notice: &Notice) {
        let mut notice = notice.clone();
        if let Notice::Retry { problem, .. } | Notice::MirrorFailed { problem, .. } = &mut notice {
            *problem = self.told.hide(problem);
        }
        self.inner.notice(&notice);
    }

    fn pause(&self, duration: std::time::Duration) {
        self.inner.pause(duration);
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_secrets() {
        let told = Told::new([]);
        told.credentials(&Credentials::password("user", "Pass/word"));
        told.header("Basic dXNlcjpoaWRkZW4=");
        told.header("plain");
        told.token(&Secret::new("token-1"));
        told.token(&Secret::new("abc"));
        for (text, shown) in [
            ("nothing", "nothing"),
            ("Pass/word, pass/WORD and pass%2fword", "…, … and …"),
            ("Basic dXNlcjpQYXNzL3dvcmQ=", "Basic …="),
            ("hidden by dXNlcjpoaWRkZW4=, or plain", "… by …=, or …"),
            ("token-1 token-12", "… …2"),
            ("abc", "abc"),
            ("é token-1 é", "é … é"),
        ] {
            assert_eq!(told.hide(text), shown);
        }
    }

    #[test]
    fn tokens_are_remembered_for_a_while() {
        let told = Told::new([]);
        told.credentials(&Credentials::password("user", "password"));
        for number in 0..1000 {
            told.token(&Secret::new(format!("token-{number:04}")));
        }
        assert_eq!(told.hide("token-0000 token-0999 password"), "token-0000 … …");
        assert_eq!(told.secrets().tokens.len(), MOST_TOKENS);
    }
}
