use std::str::FromStr;

use super::Secret;

/// What a registry is to be convinced with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// A user's name and password, or an access token in a password's place.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// What a token server gives access tokens for (OAuth 2's refresh token).
    IdentityToken {
        /// The name, where one is known.
        user: Option<String>,
        /// The token.
        token: Secret,
    },
    /// What is shown to the registry as it is.
    RegistryToken(Secret),
}

/// A text that is not `USER:PASSWORD`; the text is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("credentials are written USER:PASSWORD, and no name or password is empty")]
pub struct CredentialsFormError;

impl Credentials {
    /// A user's name and password.
    pub fn password(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Password { user: user.into(), password: Secret::new(password) }
    }

    /// In whose name, where that is known.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Password { user, .. } => Some(user),
            Self::IdentityToken { user, .. } => user.as_deref(),
            Self::RegistryToken(_) => None,
        }
    }

    /// What must not be shown.
    pub(crate) fn secret(&self) -> &Secret {
        match self {
            Self::Password { password: secret, .. }
            | Self::IdentityToken { token: secret, .. }
            | Self::RegistryToken(secret) => secret,
        }
    }
}

impl FromStr for Credentials {
    type Err = CredentialsFormError;

    /// `USER:PASSWORD`; the password may have colons.
    fn from_str(text: &str) -> Result<Self, CredentialsFormError> {
        match text.split_once(':') {
            Some((user, password)) if !user.is_empty() && !password.is_empty() => {
                Ok(Self::password(user, password))
            }
            _ => Err(CredentialsFormError),
        }
    }
}
