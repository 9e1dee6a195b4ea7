use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde::Deserialize;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use ureq::http::{HeaderName, HeaderValue, Method};

use super::authentication::{Asked, Authentication, TokenRequest, read_answer};
use super::backoff::retry_after;
use super::challenge::Challenge;
use super::network::Network;
use super::problem::RegistryProblem;
use super::transport::{Answer, TransportError};
use super::url::Url;

/// The most bytes of what a registry says of an error.
const MAX_ERROR: u64 = 16 << 10;
/// The most characters of it that are shown.
const MAX_DETAIL: usize = 200;

/// One host that has a repository: the registry itself, or a mirror of it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// `https://registry.example.com/v2`
    pub(crate) base: Url,
    /// Whether it may say what a tag stands for.
    pub(crate) resolves: bool,
    /// Whether manifests and blobs come from it.
    pub(crate) pulls: bool,
    /// The registry that a mirror is to speak for.
    pub(crate) namespace: Option<String>,
    /// Sent along to the host itself.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// What `offshoot login` takes for it.
    pub(crate) login: String,
    pub(crate) authentication: Authentication,
    pub(crate) network: Network,
    /// Whether it gave no answer when it was last asked: where there is another to ask, it is not waited for again.
    pub(crate) down: AtomicBool,
}

/// What is wanted of an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Get<'a> {
    /// Below `/v2/`.
    pub(crate) path: &'a str,
    pub(crate) accept: Option<&'static str>,
    /// From which byte on.
    pub(crate) offset: Option<u64>,
    /// The right that it takes: `repository:library/alpine:pull`.
    pub(crate) scope: Option<&'a str>,
}

impl Endpoint {
    /// The host, for messages.
    pub(crate) fn host(&self) -> &str {
        self.base.authority()
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// One attempt: challenges are answered and redirects followed. `Ok` is an answer of the 200s, or 416 where an
    /// offset was asked for.
    pub(crate) fn get(&self, get: &Get<'_>) -> Result<Answer, RegistryProblem> {
        let mut url = self.base.child(get.path);
        if let Some(namespace) = &self.namespace {
            url = url.with_parameter("ns", namespace);
        }
        let mut sent = self.authentication.current();
        let mut fresh = false;
        loop {
            let (from, answer) = self.follow(&url, get, sent.as_ref()).inspect_err(|problem| {
                let down = matches!(problem, RegistryProblem::Transport(error) if error.is_passing());
                self.down.store(down, Ordering::Relaxed);
            })?;
            let own = from.same_origin(&self.base);
            match answer.status {
                200..=299 => return Ok(answer),
                416 if get.offset.is_some() => return Ok(answer),
                401 if own && !fresh => {
                    sent = Some(self.convince(answer, sent.as_ref(), get.scope)?);
                    fresh = true;
                }
                _ => return Err(self.refusal(answer, &from)),
            }
        }
    }

    /// What to answer a challenge with; `rejected` is what was not good enough.
    fn convince(
        &self,
        challenged: Answer,
        rejected: Option<&HeaderValue>,
        scope: Option<&str>,
    ) -> Result<HeaderValue, RegistryProblem> {
        let headers = challenged.headers.get_all(WWW_AUTHENTICATE).iter();
        let challenges: Vec<_> =
            headers.filter_map(|header| header.to_str().ok()).flat_map(Challenge::parse_all).collect();
        let detail = self.detail(challenged.body);
        let asked = Asked { registry: &self.base, challenges: &challenges, scope };
        let ask = |request: &TokenRequest| self.ask_for_token(request);
        match self.authentication.answer(&asked, rejected, &ask) {
            Ok(Some(header)) => Ok(header),
            Ok(None) => Err(self.denied(401, detail)),
            // Now that the credentials may be looked at again.
            Err(RegistryProblem::Denied { status, detail, .. }) => Err(self.denied(status, detail)),
            Err(problem) => Err(problem),
        }
    }

    /// Sends a request wherever redirects lead it; gives the last answer, and whose it is.
    fn follow(
        &self,
        url: &Url,
        get: &Get<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<(Url, Answer), RegistryProblem> {
        let mut headers = Vec::new();
        if let Some(accept) = get.accept {
            headers.push((ACCEPT, HeaderValue::from_static(accept)));
        }
        if let Some(offset) = get.offset {
            let range = HeaderValue::from_str(&format!("bytes={offset}-"));
            headers.extend(range.map(|range| (RANGE, range)));
        }
        self.network.follow(url, &headers, |url| {
            let own = url.same_origin(&self.base);
            let authorization = authorization.map(|value| (AUTHORIZATION, value.clone()));
            let personal = self.headers.iter().cloned().chain(authorization);
            if own { personal.collect() } else { Vec::new() }
        })
    }

    fn ask_for_token(&self, request: &TokenRequest) -> Result<Vec<u8>, RegistryProblem> {
        let (from, answer) = match &request.form {
            // Not sent on to wherever a redirect leads.
            Some(form) => {
                let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
                let headers = [(CONTENT_TYPE, form_type)];
                let answer = self.network.send(&Method::POST, &request.url, &headers, Some(form))?;
                (request.url.clone(), answer)
            }
            None => self.network.follow(&request.url, &[], |url| {
                let basic = request.basic.iter().filter(|_| url.same_origin(&request.url));
                basic.map(|value| (AUTHORIZATION, value.clone())).collect()
            })?,
        };
        match answer.status {
            200..=299 => read_answer(answer.body).map_err(|error| TransportError::of_io(error).into()),
            status @ (400 | 401 | 403) => {
                // As it stands: the lock on what is to be kept out of it is held.
                let detail = format!(" by its token server {from}");
                Err(RegistryProblem::Denied { status, detail, user: None, host: self.login.clone() })
            }
            status @ (300..=399 | 404) => Err(RegistryProblem::NoToken(format!("{from} ({status})"))),
            status => Err(RegistryProblem::Storage {
                host: from.authority().to_owned(),
                status,
                retry_after: retry_after(answer.header(&RETRY_AFTER), SystemTime::now()),
            }),
        }
    }

    fn denied(&self, status: u16, detail: String) -> RegistryProblem {
        let user = self.authentication.user();
        RegistryProblem::Denied { status, detail, user, host: self.login.clone() }
    }

    /// What a status that is not a success means.
    fn refusal(&self, answer: Answer, from: &Url) -> RegistryProblem {
        let status = answer.status;
        let retry_after = retry_after(answer.header(&RETRY_AFTER), SystemTime::now());
        if !from.same_origin(&self.base) {
            return RegistryProblem::Storage { host: from.authority().to_owned(), status, retry_after };
        }
        let detail = self.detail(answer.body);
        match status {
            404 => RegistryProblem::NotFound { detail },
            401 | 403 => self.denied(status, detail),
            429 => RegistryProblem::TooManyRequests { retry_after, detail },
            _ => RegistryProblem::Status { status, retry_after, detail },
        }
    }

    /// What the registry says of an error (distribution-spec, "Error Codes"), as it may be shown.
    fn detail(&self, body: impl Read) -> String {
        #[derive(Deserialize)]
        struct Errors {
            errors: Vec<RegistryError>,
        }
        #[derive(Deserialize)]
        struct RegistryError {
            code: Option<String>,
            message: Option<String>,
        }
        let mut bytes = Vec::new();
        // What came before a cut is not worth an error of its own.
        let _ = body.take(MAX_ERROR).read_to_end(&mut bytes);
        let Ok(Errors { errors }) = serde_json::from_slice(&bytes) else { return String::new() };
        let Some(RegistryError { code, message }) = errors.into_iter().next() else { return String::new() };
        let text = [code, message].into_iter().flatten().collect::<Vec<_>>().join(" ");
        // Shortened only then: nobody knows half of one.
        let printable: String = text.chars().filter(|character| !character.is_control()).collect();
        let printable = self.network.surroundings.told.hide(&printable);
        let text: String = printable.chars().take(MAX_DETAIL).collect();
        if text.is_empty() { text } else { format!(": {text}") }
    }
}
