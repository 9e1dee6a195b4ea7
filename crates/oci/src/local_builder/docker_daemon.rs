use std::path::Path;

use super::LocalOptions;
use super::local_name::LocalName;
use super::program::Program;
use super::source::{Answer, Given, HandOver};
use crate::docker_archive::DockerArchive;
use crate::spool::Spool;
use crate::{Error, Missing, Unsupported};

/// What Docker's versions say of an image that is not there.
const NOT_FOUND: [&str; 2] = ["No such image", "reference does not exist"];

/// Takes an image from a Docker daemon. `what` is the source's name.
pub(super) fn take(
    what: &str,
    name: &LocalName,
    options: &LocalOptions,
    spool: &Spool,
) -> Result<Given, Error> {
    let needs = || Unsupported::Program { needs: "docker", package: "docker.io" };
    let program = Program::find(&["docker"], options, &spool.directory)
        .ok_or_else(|| Error::unsupported(what, needs()))?;
    // In full: of a name without a tag, Docker saves all tags.
    let arguments = ["save".to_owned(), "--".to_owned(), name.full()];
    let hand_over =
        HandOver { program: &program, what, stall: options.stall, not_found: &NOT_FOUND, unable: None };
    match hand_over.archive(arguments.into(), spool)? {
        Answer::Given(file) => {
            let image = DockerArchive::read(file, None, Path::new(what))?;
            // Its ids are those of configs or of manifests.
            Ok(Given { image: Box::new(image), id: None })
        }
        Answer::NotThere | Answer::Unable => {
            Err(Missing::LocalImage { program: program.name, name: name.to_string() }.into())
        }
    }
}
