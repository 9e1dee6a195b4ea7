use std::fmt;
use std::sync::Arc;

use offshoot_store::{Digest, Expected, with_causes};
use ureq::http::HeaderName;
use ureq::http::header::CONTENT_TYPE;

use super::backoff::Backoff;
use super::endpoint::{Endpoint, Get};
use super::network::Surroundings;
use super::problem::RegistryProblem;
use super::transport::{Answer, TransportError};
use super::watch::Notice;
use crate::document::{self, DocumentError};
use crate::{Error, Malformed, Reference, media_type};

/// All that may be the answer to a question for a manifest; schema 1 too, since a registry that has nothing else
/// then says so, and is refused by name.
const MANIFESTS: &str = concat!(
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, ",
    "application/vnd.docker.distribution.manifest.list.v2+json, ",
    "application/vnd.docker.distribution.manifest.v2+json, ",
    "application/vnd.docker.distribution.manifest.v1+prettyjws;q=0.1"
);
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A repository, at all the hosts that have it: mirrors first, the registry itself last.
pub(crate) struct Repository {
    pub(crate) reference: Reference,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) surroundings: Arc<Surroundings>,
}

/// A document as it came from a registry.
pub(crate) struct Fetched {
    pub(crate) digest: Digest,
    pub(crate) bytes: Vec<u8>,
    /// What the registry calls it, if that is a type of manifests.
    pub(crate) media_type: Option<String>,
}

impl Repository {
    /// The manifest or index that a tag or digest stands for. A digest decides; a tag's answer must be what the
    /// registry itself says it is.
    pub(crate) fn manifest(
        &self,
        name: &str,
        digest: Option<Digest>,
        size: Option<u64>,
    ) -> Result<Fetched, Error> {
        let selector = match (digest, self.reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or_default().to_owned(),
        };
        let path = format!("{}/manifests/{selector}", self.reference.path());
        let get = Get { path: &path, accept: Some(MANIFESTS), offset: None, scope: Some(&self.scope()) };
        let may = |endpoint: &Endpoint| if digest.is_some() { endpoint.pulls } else { endpoint.resolves };
        self.fetch(name, &get, may, |answer| {
            let media_type = answer
                .header(&CONTENT_TYPE)
                .map(|header| header.split(';').next().unwrap_or_default().trim().to_owned());
            let claimed = answer.header(&CONTENT_DIGEST).and_then(|header| header.parse().ok());
            let expected = Expected { digest: digest.or(claimed), size };
            let (digest, bytes) = document::read(answer.body, expected)?;
            Ok(Fetched {
                digest,
                bytes,
                media_type: media_type.filter(|own| media_type::is_known_manifest(own)),
            })
        })
    }

    /// A small blob.
    pub(crate) fn document(&self, name: &str, expected: Expected) -> Result<Vec<u8>, Error> {
        let Some(digest) = expected.digest else {
            return Err(Error::malformed(name)(Malformed::Field("digest")));
        };
        let path = self.blob_path(digest);
        let get = Get { path: &path, accept: None, offset: None, scope: Some(&self.scope()) };
        self.fetch(
            name,
            &get,
            |endpoint| endpoint.pulls,
            |answer| Ok(document::read(answer.body, expected)?.1),
        )
    }

    /// The hosts that blobs may be had from, mirrors first; mirrors that are down are left out.
    pub(crate) fn pulling(&self) -> Vec<usize> {
        let pulling = self.endpoints.iter().enumerate().filter(|(_, endpoint)| endpoint.pulls);
        let last = pulling.clone().last().map(|(index, _)| index);
        pulling
            .filter(|(index, endpoint)| !endpoint.is_down() || Some(*index) == last)
            .map(|(index, _)| index)
            .collect()
    }

    pub(crate) fn blob_path(&self, digest: Digest) -> String {
        format!("{}/blobs/{digest}", self.reference.path())
    }

    /// The right that all of this takes.
    pub(crate) fn scope(&self) -> String {
        format!("repository:{}:pull", self.reference.path())
    }

    /// What errors call something of this repository.
    pub(crate) fn named(&self, what: &str) -> String {
        format!("{what} of {}/{}", self.reference.domain(), self.reference.path())
    }

    /// A whole document from the first host that has it and gives it as it should be. Mirrors get one attempt: the
    /// registry itself is right behind them.
    fn fetch<T>(
        &self,
        name: &str,
        get: &Get<'_>,
        may: impl Fn(&Endpoint) -> bool,
        read: impl Fn(Answer) -> Result<T, DocumentError>,
    ) -> Result<T, Error> {
        let able: Vec<&Endpoint> = self.endpoints.iter().filter(|endpoint| may(endpoint)).collect();
        let Some((last, mirrors)) = able.split_last() else { return Err(self.nobody(name)) };
        let attempt = |endpoint: &Endpoint| {
            let answer = endpoint.get(get).map_err(Attempt::Problem)?;
            read(answer).map_err(|error| match error {
                DocumentError::Read(error) => Attempt::Problem(TransportError::of_io(error).into()),
                DocumentError::TooLarge => Attempt::Wrong(Error::malformed(name)(Malformed::TooLarge)),
                DocumentError::Verify(source) => {
                    Attempt::Wrong(Error::Verify { what: name.to_owned(), source })
                }
            })
        };
        let mut failed = Vec::new();
        for mirror in mirrors.iter().filter(|mirror| !mirror.is_down()) {
            match attempt(mirror) {
                Ok(found) => return Ok(found),
                Err(Attempt::Problem(problem @ RegistryProblem::Transport(TransportError::Interrupted))) => {
                    return Err(self.error(name, mirror, problem, &[]));
                }
                Err(Attempt::Problem(problem)) => {
                    failed.push(self.passed_over(mirror, with_causes(&problem)));
                }
                Err(Attempt::Wrong(error)) => failed.push(self.passed_over(mirror, with_causes(&error))),
            }
        }
        let mut backoff = Backoff::new(self.surroundings.limits, &self.surroundings.watch);
        loop {
            match attempt(last) {
                Ok(found) => return Ok(found),
                Err(Attempt::Wrong(error)) => return Err(error),
                Err(Attempt::Problem(problem)) => backoff
                    .again(last.host(), problem)
                    .map_err(|problem| self.error(name, last, problem, &failed))?,
            }
        }
    }

    /// Says that a mirror did not help; gives what an error says of it.
    pub(crate) fn passed_over(&self, mirror: &Endpoint, problem: String) -> String {
        let told = format!("mirror {}: {problem}", mirror.host());
        let host = mirror.host().to_owned();
        self.surroundings.watch.notice(&Notice::MirrorFailed { host, problem });
        told
    }

    pub(crate) fn error(
        &self,
        name: &str,
        endpoint: &Endpoint,
        problem: RegistryProblem,
        mirrors: &[String],
    ) -> Error {
        Error::Registry {
            what: name.to_owned(),
            host: endpoint.host().to_owned(),
            mirrors: mirrors.to_vec(),
            problem: Box::new(problem),
        }
    }

    /// An error as others may see it.
    pub(crate) fn discreet(&self, error: Error) -> Error {
        self.surroundings.told.discreet(error)
    }

    pub(crate) fn nobody(&self, name: &str) -> Error {
        Error::Registry {
            what: name.to_owned(),
            host: self.reference.domain().to_owned(),
            mirrors: Vec::new(),
            problem: Box::new(RegistryProblem::NoHost),
        }
    }
}

/// How an attempt can fail: on the way, or by what came.
enum Attempt {
    Problem(RegistryProblem),
    Wrong(Error),
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("reference", &self.reference)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}
