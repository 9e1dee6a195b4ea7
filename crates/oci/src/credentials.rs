//! What registries are convinced with, and where it is found and kept: Docker's and podman's files and helpers.

mod auth_file;
mod environment;
mod error;
mod given;
mod helper;
mod key;
mod keychain;
mod secret;

pub use environment::Environment;
pub use error::CredentialsError;
pub use given::{Credentials, CredentialsFormError};
pub(crate) use key::Key;
pub use keychain::KeptIn;
pub(crate) use keychain::Keychain;
pub use secret::Secret;
