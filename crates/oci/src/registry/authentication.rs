use std::fmt;
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::HeaderValue;

use super::challenge::Challenge;
use super::problem::{RealmProblem, RegistryProblem};
use super::told::{self, Told};
use super::url::Url;
use crate::credentials::{Credentials, CredentialsError, Secret};

/// A token that does not say for how long it is good is good for this long (distribution's token specification).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);
/// A token is not used in the last part of its life: the request takes its time, too.
const MARGIN: Duration = Duration::from_secs(5);
/// The most bytes a token server's answer may have.
pub(crate) const MAX_ANSWER: u64 = 1 << 20;

/// How one host of a registry is convinced, learned from its challenges.
pub(crate) struct Authentication {
    find: Box<dyn Fn() -> Result<Option<Credentials>, CredentialsError> + Send + Sync>,
    state: Mutex<State>,
    told: Told,
}

#[derive(Default)]
struct State {
    /// Looked for once, when first challenged.
    credentials: Option<Option<Credentials>>,
    header: Option<Header>,
}

struct Header {
    value: HeaderValue,
    good_until: Option<Instant>,
}

/// What a registry asks to be convinced of.
pub(crate) struct Asked<'a> {
    pub(crate) registry: &'a Url,
    pub(crate) challenges: &'a [Challenge],
    /// The right that is needed, for a challenge that does not name it.
    pub(crate) scope: Option<&'a str>,
}

/// A request for a token.
pub(crate) struct TokenRequest {
    pub(crate) url: Url,
    /// For a `GET` in somebody's name.
    pub(crate) basic: Option<HeaderValue>,
    /// For a `POST`.
    pub(crate) form: Option<String>,
}

impl Authentication {
    /// With credentials that are looked for when they are first needed.
    pub(crate) fn new(
        find: impl Fn() -> Result<Option<Credentials>, CredentialsError> + Send + Sync + 'static,
        told: &Told,
    ) -> Self {
        Self { find: Box::new(find), state: Mutex::default(), told: told.clone() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has convinced it before and is still good.
    pub(crate) fn current(&self) -> Option<HeaderValue> {
        self.state().current()
    }

    /// In whose name it is asked.
    pub(crate) fn user(&self) -> Option<String> {
        let state = self.state();
        let credentials = state.credentials.as_ref()?.as_ref()?;
        Some(credentials.user().unwrap_or("a token").to_owned())
    }

    /// What to answer a challenge with; `None` if there is nothing. `rejected` is what was not good enough. Of
    /// several threads that are challenged at once, one asks the token server.
    pub(crate) fn answer(
        &self,
        asked: &Asked<'_>,
        rejected: Option<&HeaderValue>,
        ask: &dyn Fn(&TokenRequest) -> Result<Vec<u8>, RegistryProblem>,
    ) -> Result<Option<HeaderValue>, RegistryProblem> {
        let challenges = asked.challenges;
        let mut state = self.state();
        if let Some(current) = state.current().filter(|current| Some(current) != rejected) {
            return Ok(Some(current));
        }
        if state.credentials.is_none() {
            let found = (self.find)().map_err(RegistryProblem::Credentials)?;
            found.iter().for_each(|credentials| self.told.credentials(credentials));
            state.credentials = Some(found);
        }
        let credentials = state.credentials.clone().flatten();
        let header = if let Some(Credentials::RegistryToken(token)) = credentials {
            Some(Header::bearer(&token, None)?)
        } else if let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme == "bearer") {
            let request = token_request(bearer, credentials.as_ref(), asked)?;
            let begun = Instant::now();
            let answer = ask(&request)?;
            Some(Header::of_answer(&answer, begun, &request.url, &self.told)?)
        } else if challenges.iter().any(|challenge| challenge.scheme == "basic") {
            match credentials {
                Some(Credentials::Password { user, password }) => Some(Header::basic(&user, &password)?),
                _ => None,
            }
        } else if challenges.is_empty() {
            None
        } else {
            let schemes: Vec<_> = challenges.iter().map(|challenge| challenge.scheme.as_str()).collect();
            return Err(RegistryProblem::Challenge(schemes.join(", ")));
        };
        state.header = header;
        // Not by way of `current`: a token may be good for a moment only.
        Ok(state.header.as_ref().map(|header| header.value.clone()))
    }
}

impl State {
    fn current(&self) -> Option<HeaderValue> {
        let header = self.header.as_ref()?;
        header.good_until.is_none_or(|end| Instant::now() < end).then(|| header.value.clone())
    }
}

impl Header {
    fn bearer(token: &Secret, good_until: Option<Instant>) -> Result<Self, RegistryProblem> {
        let value = sensitive(&format!("Bearer {}", token.reveal()));
        let value = value.ok_or_else(|| RegistryProblem::NoToken("of the registry".to_owned()))?;
        Ok(Self { value, good_until })
    }

    fn basic(user: &str, password: &Secret) -> Result<Self, RegistryProblem> {
        let value = basic(user, password)
            .ok_or_else(|| RegistryProblem::Challenge("basic, which has no such user's name".to_owned()))?;
        Ok(Self { value, good_until: None })
    }

    /// Of what a token server says: `token` or, as OAuth 2 has it, `access_token`.
    fn of_answer(answer: &[u8], begun: Instant, server: &Url, told: &Told) -> Result<Self, RegistryProblem> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<u64>,
        }
        let no_token = || RegistryProblem::NoToken(server.to_string());
        let answer: Answer = serde_json::from_slice(answer).map_err(|_| no_token())?;
        let token = [answer.token, answer.access_token].into_iter().flatten().find(|token| !token.is_empty());
        let lifetime = answer.expires_in.map_or(DEFAULT_LIFETIME, Duration::from_secs);
        let good_until = begun.checked_add(lifetime.saturating_sub(MARGIN));
        let token = Secret::new(token.ok_or_else(no_token)?);
        told.token(&token);
        Self::bearer(&token, good_until).map_err(|_| no_token())
    }
}

/// The request that a challenge asks for. A `scope` that the challenge does not have is ours.
fn token_request(
    challenge: &Challenge,
    credentials: Option<&Credentials>,
    asked: &Asked<'_>,
) -> Result<TokenRequest, RegistryProblem> {
    let realm = challenge.parameter("realm").filter(|realm| !realm.is_empty());
    let realm = realm.ok_or_else(|| RegistryProblem::NoToken("without a name".to_owned()))?;
    let refused = |problem, realm: &str| RegistryProblem::Realm { realm: realm.to_owned(), problem };
    // The text is not shown, since it may have a password.
    let url = asked.registry.join(realm).map_err(|problem| refused(problem.into(), "as it is named"))?;
    if !url.is_tls() && asked.registry.is_tls() && !url.is_loopback() {
        return Err(refused(RealmProblem::Insecure, &url.to_string()));
    }
    let service = challenge.parameter("service");
    let scope = challenge.parameter("scope").or(asked.scope);
    let parameters = || [("service", service), ("scope", scope)];
    if let Some(Credentials::IdentityToken { token, .. }) = credentials {
        let mut form = format!(
            "grant_type=refresh_token&client_id=offshoot&refresh_token={}",
            super::url::escaped(token.reveal())
        );
        for (name, value) in parameters() {
            if let Some(value) = value {
                form.push_str(&format!("&{name}={}", super::url::escaped(value)));
            }
        }
        return Ok(TokenRequest { url, basic: None, form: Some(form) });
    }
    let mut url = url;
    for (name, value) in parameters() {
        if let Some(value) = value {
            url = url.with_parameter(name, value);
        }
    }
    let basic = match credentials {
        Some(Credentials::Password { user, password }) => {
            url = url.with_parameter("account", user);
            basic(user, password)
        }
        _ => None,
    };
    Ok(TokenRequest { url, basic, form: None })
}

fn basic(user: &str, password: &Secret) -> Option<HeaderValue> {
    // A colon ends the name (RFC 7617).
    if user.contains(':') {
        return None;
    }
    sensitive(&format!("Basic {}", told::basic(user, password)))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// All of a bounded answer.
pub(crate) fn read_answer(body: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    body.take(MAX_ANSWER).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication").finish_non_exhaustive()
    }
}
