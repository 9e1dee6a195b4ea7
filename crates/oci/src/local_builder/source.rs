use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use offshoot_store::{Digest, VerifyError};

use super::local_name::LocalName;
use super::program::{Call, Program, Stopped, Take};
use super::{LocalOptions, ProgramProblem, containers_storage, docker_daemon, dockerfile};
use crate::spool::Spool;
use crate::{Error, ImageSource, Missing, Platform, SourceImage};

/// An image that a program of this host has or makes. The program is asked when the image is resolved, and hands it over
/// whole, once a platform.
pub(crate) struct LocalSource {
    /// The image's name, for errors.
    what: String,
    origin: Origin,
    options: LocalOptions,
    spool: Spool,
    held: Mutex<Option<(Platform, Arc<Given>)>>,
}

/// Who has the image.
#[derive(Debug)]
pub(crate) enum Origin {
    ContainersStorage(String),
    DockerDaemon(String),
    Dockerfile(PathBuf),
}

impl LocalSource {
    pub(crate) fn new(what: String, origin: Origin, options: &LocalOptions, spool: &Spool) -> Self {
        Self { what, origin, options: options.clone(), spool: spool.clone(), held: Mutex::new(None) }
    }

    fn take(&self, platform: &Platform) -> Result<Given, Error> {
        let (what, options, spool) = (self.what.as_str(), &self.options, &self.spool);
        match &self.origin {
            Origin::ContainersStorage(name) => {
                containers_storage::take(what, &LocalName::parse(name)?, options, spool)
            }
            Origin::DockerDaemon(name) => docker_daemon::take(what, &LocalName::parse(name)?, options, spool),
            Origin::Dockerfile(directory) => dockerfile::take(what, directory, platform, options, spool),
        }
    }
}

impl ImageSource for LocalSource {
    fn resolve(&self, platform: &Platform) -> Result<SourceImage, Error> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let given = match &*held {
            Some((own, given)) if own == platform => Arc::clone(given),
            _ => {
                let given = Arc::new(self.take(platform)?);
                *held = Some((platform.clone(), Arc::clone(&given)));
                given
            }
        };
        given.resolve(platform)
    }

    fn open_layer(&self, image: &SourceImage, index: usize) -> Result<Box<dyn Read + Send>, Error> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some((_, given)) => given.open_layer(image, index),
            None => Err(Missing::Layer(index).into()),
        }
    }
}

/// What a program has handed over.
pub(super) struct Given {
    pub(super) image: Box<dyn ImageSource>,
    /// The id that was asked for, if one was: the digest of the image's config.
    pub(super) id: Option<Digest>,
}

impl ImageSource for Given {
    fn resolve(&self, platform: &Platform) -> Result<SourceImage, Error> {
        let image = self.image.resolve(platform)?;
        match (self.id, image.config.as_ref().map(|config| config.digest)) {
            (Some(expected), Some(actual)) if expected != actual => Err(Error::Verify {
                what: format!("the config of the image {}", expected.hex()),
                source: VerifyError::Digest { expected, actual },
            }),
            _ => Ok(image),
        }
    }

    fn open_layer(&self, image: &SourceImage, index: usize) -> Result<Box<dyn Read + Send>, Error> {
        self.image.open_layer(image, index)
    }
}

/// How a program is made to hand an image over.
#[derive(Clone, Copy)]
pub(super) struct HandOver<'a> {
    pub(super) program: &'a Program<'a>,
    /// The source's name.
    pub(super) what: &'a str,
    pub(super) stall: Duration,
    /// What it says if there is no such image.
    pub(super) not_found: &'a [&'a str],
    /// What it says if it cannot do it in this way.
    pub(super) unable: Option<&'a str>,
}

pub(super) enum Answer<T> {
    /// Nothing of it is verified yet.
    Given(T),
    /// There is no such image.
    NotThere,
    /// It must be asked in another way.
    Unable,
}

impl HandOver<'_> {
    /// What the program writes to its standard output. It counts only if the program ended well.
    pub(super) fn archive(&self, arguments: Vec<String>, spool: &Spool) -> Result<Answer<File>, Error> {
        let mut spooling = spool.start()?;
        let mut take = |piece: &[u8]| spooling.write_all(piece);
        match self.run(arguments, Some(&mut take)) {
            Ok(Answer::Given(())) => Ok(Answer::Given(spooling.finish())),
            Ok(Answer::NotThere) => Ok(Answer::NotThere),
            Ok(Answer::Unable) => Ok(Answer::Unable),
            Err(Stopped::Taken(error)) => Err(spooling.error(error, Path::new(self.what))),
            Err(Stopped::Program(problem)) => Err(failed(self.program, "give", self.what, problem)),
        }
    }

    /// What the program puts somewhere else.
    pub(super) fn elsewhere(&self, arguments: Vec<String>) -> Result<Answer<()>, Error> {
        self.run(arguments, None).map_err(|stopped| match stopped {
            Stopped::Program(problem) => failed(self.program, "give", self.what, problem),
            Stopped::Taken(error) => Error::io("read", Path::new(self.what))(error),
        })
    }

    fn run(&self, arguments: Vec<String>, take: Option<Take<'_>>) -> Result<Answer<()>, Stopped> {
        let arguments = arguments.into_iter().map(Into::into).collect();
        let call = Call { arguments, stall: Some(self.stall), lines: 1, take };
        match self.program.run(call) {
            Ok(()) => Ok(Answer::Given(())),
            Err(Stopped::Program(ProgramProblem::Failed { said, .. }))
                if self.not_found.iter().any(|words| said.contains(words)) =>
            {
                Ok(Answer::NotThere)
            }
            Err(Stopped::Program(ProgramProblem::Failed { said, .. }))
                if self.unable.is_some_and(|words| said.contains(words)) =>
            {
                Ok(Answer::Unable)
            }
            Err(stopped) => Err(stopped),
        }
    }
}

/// The error of a program that did not do it.
pub(super) fn failed(
    program: &Program<'_>,
    operation: &'static str,
    what: &str,
    problem: ProgramProblem,
) -> Error {
    Error::Program { program: program.name, operation, what: what.to_owned(), problem }
}

/// What a short answer of a program is kept in.
pub(super) fn answer(kept: &mut Vec<u8>) -> impl FnMut(&[u8]) -> io::Result<()> {
    const LIMIT: usize = 64 << 10;
    |piece| {
        if kept.len() + piece.len() > LIMIT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        kept.extend_from_slice(piece);
        Ok(())
    }
}
