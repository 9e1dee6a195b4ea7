use std::io::Read;
use std::path::Path;

use tempfile::TempDir;

use super::LocalOptions;
use super::local_name::LocalName;
use super::program::Program;
use super::source::{Answer, Given, HandOver};
use crate::docker_archive::DockerArchive;
use crate::layout::Layout;
use crate::layout_directory::LayoutDirectory;
use crate::layout_selection::Selection;
use crate::spool::Spool;
use crate::{Error, ImageSource, Missing, Platform, SourceImage, Unsupported};

/// What these programs write a Docker archive to. It has layers as plain tars and the config as it is, so that nothing
/// is compressed on the way, and all of it comes through a pipe.
const PIPE: &str = "docker-archive:/dev/stdout";
/// In the order in which they are looked for: buildah and podman agree on what a short name means.
const PROGRAMS: [&str; 3] = ["buildah", "podman", "skopeo"];
/// What buildah and podman say of an image that is not there, and what skopeo does.
const NOT_FOUND: [&str; 3] =
    ["image not known", "does not resolve to an image ID", "identifier is not an image"];
/// What they all say of an image that came with layers in zstd, though they write none.
const UNABLE: &str = "not supported for docker images";

/// Takes an image from where podman and buildah keep them. `what` is the source's name.
pub(super) fn take(
    what: &str,
    name: &LocalName,
    options: &LocalOptions,
    spool: &Spool,
) -> Result<Given, Error> {
    let needs = "buildah, podman or skopeo";
    let program = Program::find(&PROGRAMS, options, &spool.directory)
        .ok_or_else(|| Error::unsupported(what, Unsupported::Program { needs, package: needs }))?;
    take_with(&program, what, name, options, spool)
}

/// The same by a program that was found.
pub(super) fn take_with(
    program: &Program<'_>,
    what: &str,
    name: &LocalName,
    options: &LocalOptions,
    spool: &Spool,
) -> Result<Given, Error> {
    let hand_over =
        HandOver { program, what, stall: options.stall, not_found: &NOT_FOUND, unable: Some(UNABLE) };
    // buildah and podman know how to look for a name that is short.
    let candidates = match program.name {
        "skopeo" => name.candidates(),
        _ => vec![name.to_string()],
    };
    for candidate in candidates {
        let image: Box<dyn ImageSource> = match hand_over.archive(archive_call(program, &candidate), spool)? {
            Answer::Given(file) => Box::new(DockerArchive::read(file, None, Path::new(what))?),
            Answer::Unable => Box::new(Copied::of(&hand_over, &candidate, spool)?),
            Answer::NotThere => continue,
        };
        return Ok(Given { image, id: name.digest() });
    }
    Err(Missing::LocalImage { program: program.name, name: name.to_string() }.into())
}

// A name is never taken for an option: it does not begin with a dash, and there are two before it.

fn archive_call(program: &Program<'_>, name: &str) -> Vec<String> {
    match program.name {
        "podman" => arguments(&["save", "-q", "--format", "docker-archive", "--", name]),
        // Policies of signatures rule what enters the storage; podman and buildah let out whatever is there.
        "skopeo" => {
            let from = format!("containers-storage:{name}");
            arguments(&["--insecure-policy", "copy", "-q", "--", &from, PIPE])
        }
        _ => arguments(&["push", "-q", "--", name, PIPE]),
    }
}

fn layout_call(program: &Program<'_>, name: &str, directory: &str) -> Vec<String> {
    let to = format!("oci:{directory}");
    match program.name {
        "podman" => arguments(&["save", "-q", "--format", "oci-dir", "-o", directory, "--", name]),
        "skopeo" => {
            let from = format!("containers-storage:{name}");
            arguments(&["--insecure-policy", "copy", "-q", "--", &from, &to])
        }
        _ => arguments(&["push", "-q", "--", name, &to]),
    }
}

fn arguments(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&argument| argument.to_owned()).collect()
}

/// An image that was copied into a layout, which no pipe can take: it goes when this does.
struct Copied {
    layout: Layout<LayoutDirectory>,
    _directory: TempDir,
}

impl Copied {
    fn of(hand_over: &HandOver<'_>, name: &str, spool: &Spool) -> Result<Self, Error> {
        let scratch = &spool.directory;
        let directory = tempfile::tempdir_in(scratch).map_err(Error::io("make a directory in", scratch))?;
        let path = directory.path().join("image");
        let call = layout_call(hand_over.program, name, &path.display().to_string());
        match hand_over.elsewhere(call)? {
            Answer::Given(()) => {}
            Answer::NotThere | Answer::Unable => {
                let program = hand_over.program.name;
                return Err(Missing::LocalImage { program, name: name.to_owned() }.into());
            }
        }
        let layout = Layout::new(LayoutDirectory::open(&path)?, Selection::Only)?;
        Ok(Self { layout, _directory: directory })
    }
}

impl ImageSource for Copied {
    fn resolve(&self, platform: &Platform) -> Result<SourceImage, Error> {
        self.layout.resolve(platform)
    }

    fn open_layer(&self, image: &SourceImage, index: usize) -> Result<Box<dyn Read + Send>, Error> {
        self.layout.open_layer(image, index)
    }
}
