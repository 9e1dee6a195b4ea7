use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use offshoot_store::{Digest, VerifyError, with_causes};
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE};

use super::backoff::Backoff;
use super::endpoint::Get;
use super::partial::Partial;
use super::problem::RegistryProblem;
use super::repository::Repository;
use super::transport::{Answer, TransportError};
use super::watch::Notice;
use crate::{Error, ErrorKind};

/// How much of a blob that comes a second time is read at once, to be held against the first.
const SKIP: usize = 64 << 10;

/// A blob while it arrives, resumed where a connection is cut. Its bytes are whatever comes: who reads them holds
/// them against digest and size.
///
/// What was delivered is kept in mind as a CRC-32C, which costs next to nothing: it tells early, and at no second
/// SHA-256, when a registry that cannot resume begins the blob anew with other bytes.
pub(crate) struct Blob {
    repository: Arc<Repository>,
    name: String,
    digest: Digest,
    size: u64,
    /// The hosts that may be asked, the one that is being asked first.
    hosts: VecDeque<usize>,
    passed_over: Vec<String>,
    backoff: Backoff,
    body: Option<Box<dyn Read + Send>>,
    /// How many bytes were delivered, and their checksum.
    position: u64,
    checksum: u32,
    /// Whether the host gives parts of blobs, as far as is known.
    gives_parts: bool,
    partial: Option<Partial>,
}

impl Blob {
    pub(crate) fn new(
        repository: Arc<Repository>,
        digest: Digest,
        size: u64,
        partials: Option<&Path>,
    ) -> Self {
        let backoff = Backoff::new(repository.surroundings.limits, &repository.surroundings.watch);
        let name = repository.named(&format!("the layer {digest}"));
        let hosts = repository.pulling().into();
        let partial = partials.and_then(|directory| Partial::open(directory, digest, size));
        Self {
            repository,
            name,
            digest,
            size,
            hosts,
            passed_over: Vec::new(),
            backoff,
            body: None,
            position: 0,
            checksum: 0,
            gives_parts: true,
            partial,
        }
    }

    /// Makes the first connection, unless an earlier process has left something to begin with: whoever asks for the
    /// blob then learns at once that it cannot be had.
    pub(crate) fn start(&mut self) -> Result<(), Error> {
        if let Some(length) = self.partial.as_ref().map(Partial::length).filter(|length| *length > 0) {
            self.resumed(length);
            return Ok(());
        }
        self.connect()
    }

    fn resumed(&self, offset: u64) {
        self.repository.surroundings.watch.notice(&Notice::Resumed { digest: self.digest, offset });
    }

    /// Gets a body that begins at the position. Hosts that fail are passed over, and the last one is tried again
    /// until the count runs out.
    fn connect(&mut self) -> Result<(), Error> {
        loop {
            let error = match self.attempt() {
                Ok(body) => {
                    self.body = Some(body);
                    return Ok(());
                }
                Err(error) => error,
            };
            self.failed(error)?;
        }
    }

    /// Decides what follows a failure: another attempt, or the end.
    fn failed(&mut self, failed: Failed) -> Result<(), Error> {
        self.body = None;
        let repository = Arc::clone(&self.repository);
        let first = self.hosts.front().and_then(|index| repository.endpoints.get(*index));
        let Some(endpoint) = first else { return Err(repository.nobody(&self.name)) };
        let interrupted =
            matches!(failed, Failed::Problem(RegistryProblem::Transport(TransportError::Interrupted)));
        if self.hosts.len() > 1 && !interrupted {
            let told = match &failed {
                Failed::Problem(problem) => with_causes(problem),
                Failed::Wrong(source) => with_causes(source),
            };
            self.passed_over.push(repository.passed_over(endpoint, told));
            self.hosts.pop_front();
            self.gives_parts = true;
            return Ok(());
        }
        match failed {
            Failed::Wrong(source) => Err(Error::Verify { what: self.name.clone(), source }),
            Failed::Problem(problem) => self
                .backoff
                .again(endpoint.host(), problem)
                .map_err(|problem| repository.error(&self.name, endpoint, problem, &self.passed_over)),
        }
    }

    fn attempt(&mut self) -> Result<Box<dyn Read + Send>, Failed> {
        let offset = (self.position > 0 && self.gives_parts).then_some(self.position);
        let path = self.repository.blob_path(self.digest);
        let scope = self.repository.scope();
        let get = Get { path: &path, accept: None, offset, scope: Some(&scope) };
        let endpoint = self.hosts.front().and_then(|index| self.repository.endpoints.get(*index));
        let answer = endpoint.ok_or(RegistryProblem::NoHost)?.get(&get)?;
        let starts_at = self.start_of(&answer, offset)?;
        let mut body = answer.body;
        if starts_at == 0 && self.position > 0 {
            self.skip(&mut body)?;
        } else if self.position > 0 {
            self.resumed(self.position);
        }
        Ok(body)
    }

    /// Where the body begins, which is at the offset or at 0; an answer that speaks of another blob is refused.
    fn start_of(&mut self, answer: &Answer, offset: Option<u64>) -> Result<u64, Failed> {
        let wrong_size = |actual| Failed::Wrong(VerifyError::Size { expected: self.size, actual });
        let length = answer.header(&CONTENT_LENGTH).and_then(|header| header.parse::<u64>().ok());
        match (answer.status, offset) {
            (206, Some(wanted)) => {
                let range = answer.header(&CONTENT_RANGE).and_then(ContentRange::parse);
                match range {
                    Some(ContentRange { total: Some(total), .. }) if total != self.size => {
                        Err(wrong_size(total))
                    }
                    Some(ContentRange { first: Some(first), .. }) if first == wanted => Ok(wanted),
                    _ => {
                        // The next attempt asks for all of it.
                        self.gives_parts = false;
                        Err(RegistryProblem::Range { wanted }.into())
                    }
                }
            }
            (416, Some(wanted)) => {
                let range = answer.header(&CONTENT_RANGE).and_then(ContentRange::parse);
                if let Some(total) = range.and_then(|range| range.total)
                    && total != self.size
                {
                    return Err(wrong_size(total));
                }
                self.gives_parts = false;
                Err(RegistryProblem::Range { wanted }.into())
            }
            (200, _) => match length {
                Some(length) if length != self.size => Err(wrong_size(length)),
                _ => Ok(0),
            },
            (status, _) => {
                Err(RegistryProblem::Status { status, retry_after: None, detail: String::new() }.into())
            }
        }
    }

    /// Reads what was delivered before, which must be the same again.
    fn skip(&self, body: &mut (dyn Read + Send)) -> Result<(), Failed> {
        let mut buffer = vec![0; SKIP];
        let (mut skipped, mut checksum) = (0, 0);
        while skipped < self.position {
            let room = usize::try_from(self.position - skipped).unwrap_or(usize::MAX).min(SKIP);
            let count = match body.read(&mut buffer[..room]) {
                Ok(0) => return Err(RegistryProblem::Cut { got: self.position, size: self.size }.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(TransportError::of_io(error).into()),
            };
            checksum = crc32c::crc32c_append(checksum, &buffer[..count]);
            skipped += count as u64;
        }
        if checksum != self.checksum {
            return Err(RegistryProblem::Changed.into());
        }
        Ok(())
    }

    /// Reads on from the network; 0 only at the end.
    fn read_body(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            // A blob that is whole needs nobody; whether something follows it is asked of a body that is there.
            if self.position >= self.size && self.body.is_none() {
                return Ok(0);
            }
            if self.body.is_none() {
                self.connect()?;
            }
            let Some(body) = &mut self.body else { continue };
            let failed = match body.read(buffer) {
                Ok(0) if self.position >= self.size => return Ok(0),
                Ok(0) => RegistryProblem::Cut { got: self.position, size: self.size },
                Ok(count) => {
                    self.backoff.progress();
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => match TransportError::of_io(error) {
                    TransportError::Interrupted => TransportError::Interrupted.into(),
                    // All is there: that the connection then ended badly changes nothing.
                    _ if self.position >= self.size => return Ok(0),
                    error => error.into(),
                },
            };
            self.failed(Failed::Problem(failed))?;
        }
    }
}

impl Read for Blob {
    /// Ends where the blob ends, or beyond if the registry sends more. An error carries an [`Error`].
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Some(partial) = &mut self.partial
            && let Some(count) = partial.read(buffer, self.position)
        {
            self.took(&buffer[..count]);
            return Ok(count);
        }
        let read = self.read_body(buffer);
        if let Some(partial) = &mut self.partial {
            match &read {
                Ok(0) => partial.discard(),
                Ok(count) => partial.write(&buffer[..*count], self.position),
                // What is wrong is not to be begun with again.
                Err(error) if error.kind() == ErrorKind::Integrity => partial.discard(),
                Err(_) => partial.cut(),
            }
        }
        let count = read.map_err(|error| io::Error::other(self.repository.discreet(error)))?;
        self.took(&buffer[..count]);
        Ok(count)
    }
}

impl Blob {
    fn took(&mut self, bytes: &[u8]) {
        self.position += bytes.len() as u64;
        self.checksum = crc32c::crc32c_append(self.checksum, bytes);
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        // Whoever was interrupted between two reads gives the stream up without its having seen an error.
        if let Some(partial) = &mut self.partial
            && self.repository.surroundings.watch.cancelled()
        {
            partial.cut();
        }
    }
}

/// How an attempt can fail: on the way, or by a blob of another size.
enum Failed {
    Problem(RegistryProblem),
    Wrong(VerifyError),
}

impl<P: Into<RegistryProblem>> From<P> for Failed {
    fn from(problem: P) -> Self {
        Self::Problem(problem.into())
    }
}

/// `bytes 10-99/100`, or `bytes */100` (RFC 9110, section 14.4).
struct ContentRange {
    first: Option<u64>,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(header: &str) -> Option<Self> {
        let (range, total) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
        let first = match range.trim() {
            "*" => None,
            range => Some(range.split_once('-')?.0.parse().ok()?),
        };
        let total = match total.trim() {
            "*" => None,
            total => Some(total.parse().ok()?),
        };
        Some(Self { first, total })
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("digest", &self.digest)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
