//! Images in registries (distribution-spec, and Docker's before it).

mod authentication;
mod backoff;
mod blob;
mod certificates;
mod challenge;
mod debug_names;
mod discreet_watch;
mod endpoint;
mod host;
mod hosts;
mod hosts_file;
mod login;
mod network;
mod options;
mod partial;
mod problem;
mod proxy;
mod repository;
mod source;
mod told;
mod transport;
mod undisguised;
mod url;
mod watch;

pub use certificates::CertificateProblem;
pub use host::{RegistryHost, RegistryHostError};
pub use hosts_file::HostsProblem;
pub use login::{login, logout};
pub use options::{RegistryLimits, RegistryOptions};
pub use problem::{RealmProblem, RegistryProblem};
pub(crate) use source::RegistrySource;
pub use transport::TransportError;
pub use url::UrlProblem;
pub(crate) use watch::SLICE;
pub use watch::{Notice, Unwatched, Watch};
