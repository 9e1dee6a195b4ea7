mod build;
mod clone;
mod disk;
mod documentation;
mod import;
mod inspect;
mod list;
mod pull;
mod release;

use crate::arguments::{Arguments, Command};
use crate::demo;
use crate::exit::Error;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Pull(pull) => pull::run(arguments, pull),
        Command::Build(build) => build::run(arguments, build),
        Command::Clone(clone) => clone::run(arguments, clone),
        Command::Grow { vm, size, resize2fs } => disk::grow(arguments, vm, *size, resize2fs),
        Command::Reset { vm } => disk::reset(arguments, vm),
        Command::Snapshot { vm, name } => disk::snapshot(arguments, vm, name),
        Command::Import { name, file } => import::run(arguments, name, file),
        Command::Release { vms } => release::run(arguments, vms),
        Command::Images => list::images(arguments),
        Command::Templates => list::templates(arguments),
        Command::Clones => list::clones(arguments),
        Command::Inspect { name } => inspect::run(arguments, name),
        Command::Demo { directory } => demo::run(arguments, directory.as_deref()),
        Command::Completions { shell } => documentation::completions(*shell),
        Command::Man { directory } => documentation::man(directory.as_deref()),
    }
}
