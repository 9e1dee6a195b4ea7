/// A way to misbehave in one answer; several can go together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Another status, and an error's JSON in place of the body.
    Status(u16),
    /// A header more, or in place of the right one.
    Header(String, String),
    /// Another body; what else is said of it fits.
    Body(Vec<u8>),
    /// So many spaces for a body.
    Huge(u64),
    /// The connection is cut when so many bytes of the body were sent.
    CutAfter(usize),
    /// The whole body is so many bytes of the right one, and its length says so.
    Short(usize),
    /// `Content-Length` says this, whatever is sent.
    Length(u64),
    /// No `Content-Length`: the body is in chunks of so many bytes.
    Chunked(usize),
    /// No `Content-Length`: the body ends with the connection.
    UntilClosed,
    /// One byte at a time.
    Drip,
    /// Nothing more comes when so many bytes of the body were sent, and the connection stays open.
    StallAfter(usize),
    /// A request for a part is answered with all, as if nothing had been asked.
    IgnoreRange,
    /// A request for a part is answered with what follows one byte later.
    WrongRange,
    /// A request for a part is answered with the right part of a blob of another size.
    RangeTotal(u64),
    /// A request for a part cannot be satisfied (416).
    NotSatisfiable,
    /// `307` to there; `{}` is the path that was asked for.
    Redirect(String),
    /// The connection is cut before an answer.
    Hangup,
    /// Bytes that are not HTTP.
    Garbage,
}

/// Whom a registry lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// Everybody.
    #[default]
    Anybody,
    /// Who says this name and password.
    Basic(String, String),
    /// Who has a token of its token server, at `/token`.
    Bearer {
        /// Who gets tokens: by name and password; everybody, if there is none.
        user: Option<(String, String)>,
        /// Who gets tokens: by identity token, with a `POST`.
        identity: Option<String>,
        /// The token server's URL, if it is not this registry's own.
        realm: Option<String>,
        /// What the token server says of how long a token is good, in seconds.
        expires_in: Option<u64>,
        /// The field that the token is in: `token` or `access_token`.
        field: &'static str,
    },
    /// Nobody, whatever they say: each answer is the challenge of this header.
    Nobody(String),
}

impl Auth {
    /// Tokens for everybody.
    pub fn anonymous_tokens() -> Self {
        Self::Bearer { user: None, identity: None, realm: None, expires_in: None, field: "token" }
    }

    /// Tokens for who says this name and password.
    pub fn tokens_for(user: &str, password: &str) -> Self {
        let user = Some((user.to_owned(), password.to_owned()));
        Self::Bearer { user, identity: None, realm: None, expires_in: Some(300), field: "access_token" }
    }

    /// Tokens for who has this identity token.
    pub fn tokens_by(identity: &str) -> Self {
        let identity = Some(identity.to_owned());
        Self::Bearer { user: None, identity, realm: None, expires_in: None, field: "token" }
    }
}
