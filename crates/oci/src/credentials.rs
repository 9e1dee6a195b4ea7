//! What registries are convinced with, and where it is found and kept: Docker's and podman's files and helpers.

mod environment;
mod error;
mod given;
mod secret;

pub use environment::Environment;
pub use error::CredentialsError;
pub use given::{Credentials, CredentialsFormError};
pub use secret::Secret;
