mod build;
mod clone;
mod df;
mod disk;
mod doctor;
mod documentation;
mod gc;
mod import;
mod inspect;
mod list;
mod login;
mod pull;
mod release;
mod remove;
mod unpack;
mod verify;

use crate::arguments::{Arguments, Command};
use crate::demo;
use crate::exit::Error;
use login::Login;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Pull(pull) => pull::run(arguments, pull),
        Command::Unpack { template, directory, policy, source } => {
            unpack::run(arguments, template, directory, *policy, source)
        }
        Command::Login { registry, username, password_stdin, authfile, plain_http, hosts_dir } => {
            let login = Login {
                registry,
                username: username.as_deref(),
                password_stdin: *password_stdin,
                authfile: authfile.as_deref(),
                plain_http: *plain_http,
                hosts_dir,
            };
            login::login(arguments, &login)
        }
        Command::Logout { registry, authfile } => login::logout(arguments, registry, authfile.as_deref()),
        Command::Build(build) => build::run(arguments, build),
        Command::Clone(clone) => clone::run(arguments, clone),
        Command::Grow { vm, size, resize2fs } => disk::grow(arguments, vm, *size, resize2fs),
        Command::Reset { vm } => disk::reset(arguments, vm),
        Command::Snapshot { vm, name } => disk::snapshot(arguments, vm, name),
        Command::Import { name, file } => import::run(arguments, name, file),
        Command::Release { vms } => release::run(arguments, vms),
        Command::Remove { names } => remove::run(arguments, names),
        Command::Gc(gc) => gc::run(arguments, gc),
        Command::Images => list::images(arguments),
        Command::Templates => list::templates(arguments),
        Command::Clones => list::clones(arguments),
        Command::Df => df::run(arguments),
        Command::Inspect { name } => inspect::run(arguments, name),
        Command::Verify(verify) => verify::run(arguments, verify),
        Command::Doctor { resize2fs } => doctor::run(arguments, &resize2fs.program),
        Command::Demo { directory } => demo::run(arguments, directory.as_deref()),
        Command::Completions { shell } => documentation::completions(*shell),
        Command::Man { directory } => documentation::man(directory.as_deref()),
    }
}
