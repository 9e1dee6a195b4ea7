//! Registries on free loopback ports: Debian's `docker-registry`, and one in this process that misbehaves on demand.
//!
//! ```
//! use offshoot_testkit::layout::{Image, Layer, Layout, Tar};
//! use offshoot_testkit::registry::{Fault, Registry};
//!
//! let directory = tempfile::tempdir()?;
//! let layer = Layer::gzip(&Tar::new().file("f", 0o644, b"f").finish());
//! Layout::create(directory.path()).add("v1", &Image::new().layer(layer.clone()));
//! let registry = Registry::serve(directory.path());
//! registry.fault(&layer.digest, Fault::CutAfter(9));
//! // offshoot pull --plain-http 127.0.0.1:PORT/app:v1
//! println!("{}", registry.reference("app", "v1"));
//! # Ok::<(), std::io::Error>(())
//! ```

mod certificate;
mod docker;
mod fault;
mod http;
mod server;
mod tls_front;

pub use certificate::TestCertificate;
pub use docker::{DockerRegistry, PASSWORD, Setup, USER};
pub use fault::{Auth, Fault};
pub use http::Seen;
pub use server::Registry;
pub use tls_front::TlsFront;
