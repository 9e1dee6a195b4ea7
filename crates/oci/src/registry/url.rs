use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ureq::http::Uri;

/// An `http` or `https` URL of a registry, a token server or a storage. [`Display`](fmt::Display) and `Debug`
/// leave the query out, since that of a redirect is often a signature that opens what it leads to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    tls: bool,
    /// Host and port, in lower case; the scheme's own port is left out.
    authority: String,
    /// Begins with a slash.
    path: String,
    query: Option<String>,
}

/// A text that is not a URL that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// Not of the form of a URL.
    #[error("it is not a URL")]
    Form,
    /// Neither `http` nor `https`.
    #[error("its scheme is neither http nor https")]
    Scheme,
    /// A user's name or password before the host.
    #[error("it has a user's name before its host")]
    UserInfo,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, UrlProblem> {
        let uri: Uri = text.parse().map_err(|_| UrlProblem::Form)?;
        let tls = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(UrlProblem::Scheme),
            None => return Err(UrlProblem::Form),
        };
        let authority = uri.authority().ok_or(UrlProblem::Form)?.as_str().to_ascii_lowercase();
        if authority.contains('@') {
            return Err(UrlProblem::UserInfo);
        }
        let own_port = if tls { ":443" } else { ":80" };
        let authority = authority.strip_suffix(own_port).unwrap_or(&authority).to_owned();
        if authority.is_empty() || authority.starts_with(':') {
            return Err(UrlProblem::Form);
        }
        let path = match uri.path() {
            "" => "/",
            path => path,
        };
        Ok(Self { tls, authority, path: path.to_owned(), query: uri.query().map(str::to_owned) })
    }

    /// Where a `Location` header in an answer from here leads to (RFC 3986, section 5.2).
    pub(crate) fn join(&self, location: &str) -> Result<Self, UrlProblem> {
        let location = location.split('#').next().unwrap_or_default();
        let scheme = if self.tls { "https" } else { "http" };
        let has_scheme = location.split_once(':').is_some_and(|(scheme, _)| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        });
        let absolute = if has_scheme {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{scheme}://{}{location}", self.authority)
        } else if location.is_empty() || location.starts_with('?') {
            format!("{scheme}://{}{}{location}", self.authority, self.path)
        } else {
            let directory = self.path.rsplit_once('/').map_or("", |(directory, _)| directory);
            format!("{scheme}://{}{directory}/{location}", self.authority)
        };
        Self::parse(&absolute)
    }

    /// One more component, or several with slashes between them.
    pub(crate) fn child(&self, path: &str) -> Self {
        let base = self.path.trim_end_matches('/');
        Self { path: format!("{base}/{path}"), query: None, ..self.clone() }
    }

    /// With one more parameter; neither is escaped beyond what a query needs.
    pub(crate) fn with_parameter(self, name: &str, value: &str) -> Self {
        let parameter = format!("{name}={}", escaped(value));
        let query = match self.query.as_deref() {
            None | Some("") => parameter,
            Some(query) => format!("{query}&{parameter}"),
        };
        Self { query: Some(query), ..self }
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    /// Host and port, as registries are named.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether a secret for the one may be told to the other: scheme, host and port are the same.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        (self.tls, &self.authority) == (other.tls, &other.authority)
    }

    /// Whether what is sent there stays on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = match self.authority.strip_prefix('[') {
            Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
            None => self.authority.split(':').next().unwrap_or_default(),
        };
        host == "localhost"
            || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
            || host.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback())
    }

    /// All of it, for the request alone.
    pub(crate) fn request(&self) -> String {
        match &self.query {
            Some(query) => format!("{self}?{query}"),
            None => self.to_string(),
        }
    }
}

/// What stands in a query or a form for any text (RFC 3986, section 2.1).
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority, self.path)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, shown, request) in [
            (
                "https://Registry.Example.com",
                "https://registry.example.com/",
                "https://registry.example.com/",
            ),
            ("https://a.example:443/v2/", "https://a.example/v2/", "https://a.example/v2/"),
            ("http://a.example:443/x?q=1#f", "http://a.example:443/x", "http://a.example:443/x?q=1"),
            ("HTTP://[::1]:80/", "http://[::1]/", "http://[::1]/"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.to_string().as_str(), url.request().as_str()), (shown, request));
            assert_eq!(format!("{url:?}"), shown);
        }
        for (text, problem) in [
            ("ftp://a.example/", UrlProblem::Scheme),
            ("file:///etc/passwd", UrlProblem::Form),
            ("/v2", UrlProblem::Form),
            ("https://", UrlProblem::Form),
            ("https://a b/", UrlProblem::Form),
            ("https://user:password@a.example/", UrlProblem::UserInfo),
            ("https://a.example@b.example/", UrlProblem::UserInfo),
        ] {
            assert_eq!(Url::parse(text), Err(problem), "{text}");
        }
    }

    #[test]
    fn where_a_redirect_leads() {
        let from = Url::parse("https://a.example:5000/v2/app/blobs/x?old=1").unwrap();
        for (location, target) in [
            ("https://b.example/y?s=1", "https://b.example/y?s=1"),
            ("//b.example/y", "https://b.example/y"),
            ("/y?s=1", "https://a.example:5000/y?s=1"),
            ("y", "https://a.example:5000/v2/app/blobs/y"),
            ("?s=1", "https://a.example:5000/v2/app/blobs/x?s=1"),
            ("", "https://a.example:5000/v2/app/blobs/x"),
            ("/a:b#c", "https://a.example:5000/a:b"),
        ] {
            assert_eq!(from.join(location).unwrap().request(), target, "{location}");
        }
        assert_eq!(from.join("ftp://b.example/"), Err(UrlProblem::Scheme));
        assert_eq!(from.join("https://u:p@b.example/"), Err(UrlProblem::UserInfo));
    }

    #[test]
    fn origins_and_loopback() {
        let url = |text| Url::parse(text).unwrap();
        let own = url("https://a.example/v2");
        assert!(own.same_origin(&url("https://A.example:443/other?x")));
        for other in
            ["http://a.example/", "https://a.example:444/", "https://b.a.example/", "https://a.example.b/"]
        {
            assert!(!own.same_origin(&url(other)), "{other}");
        }
        for (text, loopback) in [
            ("http://localhost:5000", true),
            ("http://127.0.0.1", true),
            ("http://127.9.9.9:1", true),
            ("http://[::1]:1", true),
            ("http://localhost.example", false),
            ("http://127.0.0.1.example", false),
            ("http://192.0.2.1", false),
            ("http://[2001:db8::1]", false),
        ] {
            assert_eq!(url(text).is_loopback(), loopback, "{text}");
        }
    }

    #[test]
    fn paths_and_parameters() {
        let base = Url::parse("https://a.example/v2/").unwrap();
        let url =
            base.child("app/manifests/1").with_parameter("ns", "docker.io").with_parameter("s", "a:b c&d");
        assert_eq!(url.request(), "https://a.example/v2/app/manifests/1?ns=docker.io&s=a%3Ab%20c%26d");
    }
}
