//! Images that programs on this host keep or build: podman's and buildah's storage, Docker's daemon, Dockerfiles.
//!
//! Each program hands its image over as a Docker archive through a pipe, which is verified as any other archive is.

mod containers_storage;
mod context;
mod docker_daemon;
mod dockerfile;
mod glob;
mod ignore_file;
mod local_name;
mod options;
mod problem;
mod program;
mod source;
mod tail;

pub use options::LocalOptions;
pub use problem::ProgramProblem;
pub(crate) use source::{LocalSource, Origin};
