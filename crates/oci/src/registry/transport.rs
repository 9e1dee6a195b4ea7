//! The one place that knows ureq: requests go out and answers come in, with nothing done behind our back. Redirects,
//! authentication and retries are ours, since each of them decides who learns a secret.
//!
//! Why ureq: it is synchronous as the core is, its TLS is rustls on ring, which is in the tree anyway, and it has
//! timeouts for a single read. The `oci-client` crate brings an asynchronous runtime, has neither retry nor
//! resume, bounds nothing, and its digests are unchecked text.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, RustlsConnector, TcpConnector,
    Transport, time,
};
use ureq::{Agent, Error as UreqError, Proxy};

use super::options::RegistryLimits;
use super::url::Url;
use super::watch::{SLICE, Watch};

/// Why there is no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No address for the host's name.
    #[error("its name cannot be resolved")]
    NoHost,
    /// The connection broke, or was not made.
    #[error("the connection failed")]
    Connection(#[source] io::Error),
    /// Nothing came for too long.
    #[error("nothing came from it for too long")]
    Stalled,
    /// Its certificate is not to be trusted.
    #[error(
        "its certificate is not trusted: its authority belongs into the system's, or as a .crt file into \
         /etc/docker/certs.d/HOST"
    )]
    Certificate(#[source] rustls::Error),
    /// What answered does not speak TLS.
    #[error("it does not speak TLS; if it is meant to be asked in plain text, there is --plain-http")]
    NotTls,
    /// Another failure of TLS.
    #[error("there is no secure connection")]
    Tls(#[source] io::Error),
    /// What answered does not speak HTTP.
    #[error("its answer is not HTTP")]
    NotHttp,
    /// The proxy refused.
    #[error("the proxy makes no connection to it")]
    Proxy,
    /// The proxy that is named is none that can be used.
    #[error(
        "the proxy that HTTPS_PROXY or ALL_PROXY names cannot be used; it must be http://HOST:PORT or https://HOST:PORT"
    )]
    ProxyKind,
    /// Whoever watches said so.
    #[error("interrupted")]
    Interrupted,
}

/// An answer, its body yet to be read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Box<dyn Read + Send>,
}

/// Connections to hosts with one idea of whom to trust; kept and used again.
#[derive(Clone)]
pub(crate) struct Connections {
    agent: Agent,
}

impl Connections {
    pub(crate) fn new(
        tls: TlsConfig,
        proxy: Option<Proxy>,
        limits: &RegistryLimits,
        watch: &Arc<dyn Watch>,
    ) -> Self {
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(proxy)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("offshoot/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_per_read(Some(limits.stall))
            .timeout_per_write(Some(limits.stall))
            .max_idle_connections_per_host(8)
            .build();
        let connector =
            ().chain(ConnectProxyConnector::default())
                .chain(TcpConnector::default())
                .chain(WatchConnector(Watched(Arc::clone(watch))))
                .chain(RustlsConnector::default());
        Self { agent: Agent::with_parts(config, connector, DefaultResolver::default()) }
    }

    /// One request, one answer, whatever its status.
    pub(crate) fn send(
        &self,
        method: &Method,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Option<&str>,
    ) -> Result<Answer, TransportError> {
        let mut request = Request::builder().method(method).uri(url.request());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = match body {
            Some(body) => request.body(body.to_owned()).map(|request| self.agent.run(request)),
            None => request.body(()).map(|request| self.agent.run(request)),
        };
        // Method, URL and headers were all parsed before.
        let (head, body) = answer.map_err(|_| TransportError::NotHttp)??.into_parts();
        let body = body.into_with_config().limit(u64::MAX).reader();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: Box::new(body) })
    }
}

impl Answer {
    /// A header's text, where it is there and is text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl TransportError {
    /// What a body's reader says.
    pub(crate) fn of_io(error: io::Error) -> Self {
        match error.downcast::<UreqError>() {
            Ok(error) => error.into(),
            Err(error) => UreqError::Io(error).into(),
        }
    }

    /// Whether the same request may well be answered a moment later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::NoHost
            | Self::Connection(_)
            | Self::Stalled
            | Self::NotHttp
            | Self::Proxy
            | Self::Tls(_) => true,
            Self::Certificate(_) | Self::NotTls | Self::ProxyKind | Self::Interrupted => false,
        }
    }
}

impl From<UreqError> for TransportError {
    fn from(error: UreqError) -> Self {
        match error {
            UreqError::Io(error) if is_stop(&error) => Self::Interrupted,
            UreqError::Io(error) => match error.downcast::<rustls::Error>() {
                Ok(error) => Self::of_tls(error),
                Err(error) => Self::Connection(error),
            },
            UreqError::Rustls(error) => Self::of_tls(error),
            UreqError::HostNotFound => Self::NoHost,
            UreqError::Timeout(_) => Self::Stalled,
            UreqError::ConnectProxyFailed(_) | UreqError::InvalidProxyUrl => Self::Proxy,
            UreqError::Tls(what) => Self::Tls(io::Error::other(what)),
            // Others may have a URL in their text.
            _ => Self::NotHttp,
        }
    }
}

impl TransportError {
    fn of_tls(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(_) => Self::Certificate(error),
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            other => Self::Tls(io::Error::other(other)),
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

/// Puts a [`WatchTransport`] around each connection, below TLS.
#[derive(Debug)]
struct WatchConnector(Watched);

/// A connection on which waiting for bytes ends when its watch says so.
#[derive(Debug)]
struct WatchTransport<T> {
    inner: T,
    watch: Watched,
}

#[derive(Clone)]
struct Watched(Arc<dyn Watch>);

/// What [`Watch::cancelled`] makes of a read.
#[derive(Debug)]
struct Stop;

impl<In: Transport> Connector<In> for WatchConnector {
    type Out = WatchTransport<In>;

    fn connect(
        &self,
        _details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, UreqError> {
        Ok(chained.map(|inner| WatchTransport { inner, watch: self.0.clone() }))
    }
}

impl<T: Transport> Transport for WatchTransport<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), UreqError> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, UreqError> {
        let whole = timeout.for_read();
        let started = Instant::now();
        loop {
            if self.watch.0.cancelled() {
                return Err(UreqError::Io(io::Error::other(Stop)));
            }
            let slice = match whole.after {
                time::Duration::NotHappening => SLICE,
                time::Duration::Exact(limit) => limit.saturating_sub(started.elapsed()).min(SLICE),
            };
            if slice.is_zero() {
                return Err(UreqError::Timeout(whole.reason));
            }
            let next =
                NextTimeout { after: slice.into(), reason: whole.reason, per_read: None, per_write: None };
            match self.inner.await_input(next) {
                Err(UreqError::Timeout(_)) => {}
                other => return other,
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Stop {}

fn is_stop(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<Stop>())
}
