use std::ffi::OsString;
use std::io;
use std::path::Path;

use offshoot_store::Digest;

use super::context::Context;
use super::local_name::LocalName;
use super::program::{Call, Program, Stopped};
use super::source::{Given, answer, failed};
use super::{LocalOptions, ProgramProblem, containers_storage};
use crate::spool::Spool;
use crate::{Error, ImageSource, Platform, Unsupported, bounded_file};

/// What images are called that were built from a context: this and its digest.
const NAME: &str = "localhost/offshoot-context";
/// How many lines of a build that failed go into the error.
const LINES: usize = 6;

/// Has buildah build a directory, unless its storage has an image of the very same contents, and takes that image.
pub(super) fn take(
    what: &str,
    directory: &Path,
    platform: &Platform,
    options: &LocalOptions,
    spool: &Spool,
) -> Result<Given, Error> {
    let needs = || Unsupported::Program { needs: "buildah", package: "buildah" };
    let program = Program::find(&["buildah"], options, &spool.directory)
        .ok_or_else(|| Error::unsupported(what, needs()))?;
    let context = Context::open(what, directory)?;
    let watch = options.watch.as_ref();
    let digest = context.digest(platform, watch)?;
    let name = format!("{NAME}:{}", digest.hex());
    let builder = Builder { program: &program, what, options, spool };
    let given =
        |id: Digest| containers_storage::take_with(&program, what, &LocalName::Id(id.hex()), options, spool);
    if let Some(id) = builder.built(&name)? {
        return given(id);
    }
    let mut cached = true;
    loop {
        let id = builder.build(&context, platform, cached)?;
        // What changed meanwhile may be in the image or not: it must not go by either digest.
        if context.digest(platform, watch)? != digest {
            return Err(Error::Changed { path: directory.to_owned() });
        }
        let given = given(id)?;
        match given.resolve(platform) {
            // Steps that start from scratch are the same to buildah's cache, whatever platform they were for.
            Err(Error::NoPlatform { .. }) if cached => cached = false,
            Err(error) => return Err(error),
            Ok(_) => {
                builder.tag(&id, &name)?;
                return Ok(given);
            }
        }
    }
}

struct Builder<'a> {
    program: &'a Program<'a>,
    what: &'a str,
    options: &'a LocalOptions,
    spool: &'a Spool,
}

impl Builder<'_> {
    /// The id of an image that was built before.
    fn built(&self, name: &str) -> Result<Option<Digest>, Error> {
        let arguments = ["inspect", "--type", "image", "--format", "{{.FromImageID}}", "--", name];
        let mut kept = Vec::new();
        let mut take = answer(&mut kept);
        let call = Call {
            arguments: arguments.iter().map(Into::into).collect(),
            stall: Some(self.options.stall),
            lines: 1,
            take: Some(&mut take),
        };
        match self.program.run(call) {
            Ok(()) => {
                drop(take);
                self.id(&kept).map(Some)
            }
            Err(Stopped::Program(ProgramProblem::Failed { said, .. }))
                if said.contains("image not known") =>
            {
                Ok(None)
            }
            Err(stopped) => Err(self.failed(stopped)),
        }
    }

    fn build(&self, context: &Context, platform: &Platform, cached: bool) -> Result<Digest, Error> {
        let scratch = &self.spool.directory;
        let file = tempfile::NamedTempFile::new_in(scratch).map_err(Error::io("make a file in", scratch))?;
        let mut arguments: Vec<OsString> = vec!["build".into()];
        // Needs neither privileges nor another program.
        if self.options.variable("BUILDAH_ISOLATION").is_none() {
            arguments.extend(["--isolation", "chroot"].map(Into::into));
        }
        if !cached {
            arguments.push("--no-cache".into());
        }
        arguments.extend(["--layers", "--pull=missing", "--platform"].map(Into::into));
        arguments.push(platform.to_string().into());
        arguments.extend(["--iidfile".into(), file.path().into()]);
        if let Some(ignore_file) = &context.ignore_file {
            arguments.extend(["--ignorefile".into(), ignore_file.into()]);
        }
        arguments.extend([
            "--file".into(),
            (&context.recipe).into(),
            "--".into(),
            (&context.directory).into(),
        ]);
        let call = Call { arguments, stall: None, lines: LINES, take: None };
        self.program.run(call).map_err(|stopped| self.failed(stopped))?;
        self.id(&bounded_file::read(file.path())?)
    }

    fn tag(&self, id: &Digest, name: &str) -> Result<(), Error> {
        let arguments = ["tag", "--", &id.hex(), name].iter().map(Into::into).collect();
        let call = Call { arguments, stall: Some(self.options.stall), lines: 1, take: None };
        self.program.run(call).map_err(|stopped| self.failed(stopped))
    }

    fn id(&self, answer: &[u8]) -> Result<Digest, Error> {
        let text = String::from_utf8_lossy(answer);
        let hex = text.trim().trim_start_matches("sha256:");
        Digest::from_hex(hex).map_err(|_| failed(self.program, "build", self.what, ProgramProblem::Answer))
    }

    fn failed(&self, stopped: Stopped) -> Error {
        match stopped {
            Stopped::Program(problem) => failed(self.program, "build", self.what, problem),
            Stopped::Taken(error) => {
                debug_assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
                failed(self.program, "build", self.what, ProgramProblem::Answer)
            }
        }
    }
}
