use offshoot::{
    BuildOptions, Clone, CloneOptions, DiskFormat, ErrorKind, ImageName, Store, Strategy, Template,
};

use super::disk;
use crate::arguments::{Arguments, CloneArguments, Form};
use crate::exit::Error;
use crate::progress::Reporter;
use crate::render;
use crate::render::vmm::{self, Vmm};
use crate::session;

pub(super) fn run(arguments: &Arguments, clone: &CloneArguments) -> Result<(), Error> {
    let store = session::store(arguments)?;
    if let Some(vmm) = clone.print {
        can_be_printed(&store, vmm, clone)?;
    }
    let store = store.with_resize2fs(&clone.resize2fs.program);
    let reporter = session::reporter(arguments)?;
    let pull = session::pull_options(arguments, &reporter, &clone.source, clone.policy);
    let with_packs = clone.form == Form::Dir || !clone.inject.is_empty();
    let build = BuildOptions { with_packs, pull, ..BuildOptions::default() };
    let template = template(&store, &clone.template, &build, &reporter)?;
    let options = CloneOptions {
        strategy: clone.strategy.0,
        size_bytes: clone.size.map(|size| size.0),
        read_only: clone.read_only,
        ephemeral: clone.ephemeral,
        fresh_uuid: clone.fresh_uuid,
        injections: clone.inject.clone(),
        as_directory: clone.form == Form::Dir,
        recreate: clone.recreate,
    };
    let made = store.clone_template(&template, &clone.vm, &options)?;
    if let Some(size) = clone.size {
        disk::say_rounded(arguments, &made, size);
    }
    match clone.print {
        Some(vmm) => print_configuration(&store, vmm, &made),
        None => disk::print(arguments, &made),
    }
}

/// What the VMM could not have is not made first. Of where the clone will be, its name is left to say: that is of letters that
/// no VMM minds.
fn can_be_printed(store: &Store, vmm: Vmm, clone: &CloneArguments) -> Result<(), Error> {
    let format = match (clone.form, clone.strategy.0) {
        (Form::Dir, _) => vmm::Format::Directory,
        (Form::Disk, Some(Strategy::Qcow2)) => vmm::Format::Qcow2 { backing: store.path() },
        (Form::Disk, _) => vmm::Format::Raw,
    };
    let disk = vmm::Disk { path: store.path(), format, read_only: clone.read_only };
    vmm::configuration(vmm, &disk)?;
    Ok(())
}

fn print_configuration(store: &Store, vmm: Vmm, clone: &Clone) -> Result<(), Error> {
    let backing = store.base_disk(clone);
    let disk = vmm::Disk {
        path: &clone.path,
        format: match clone.record.format {
            DiskFormat::Raw => vmm::Format::Raw,
            DiskFormat::Qcow2 => vmm::Format::Qcow2 { backing: &backing },
            DiskFormat::Dir => vmm::Format::Directory,
        },
        read_only: clone.record.read_only,
    };
    render::print(&vmm::configuration(vmm, &disk)?)
}

/// A template's name or id wins over an image of the same spelling.
fn template(
    store: &Store,
    name: &str,
    options: &BuildOptions,
    reporter: &Reporter,
) -> Result<Template, Error> {
    if let Some(template) = store.find_template(name)? {
        return Ok(template);
    }
    let image = image(name)?;
    store.build(&image, options, reporter).map_err(|error| not_a_template(name, &image, error))
}

/// What is no template may be an image.
pub(super) fn image(name: &str) -> Result<ImageName, Error> {
    name.parse().map_err(|error| Error::Name { name: name.to_owned(), reason: error })
}

/// A name without a transport may well be a template's, mistyped.
pub(super) fn not_a_template(name: &str, image: &ImageName, error: offshoot::Error) -> Error {
    match image {
        ImageName::Registry(_)
            if !name.starts_with("docker://") && error.kind() != ErrorKind::Interrupted =>
        {
            Error::NoTemplate { name: name.to_owned(), source: Box::new(error) }
        }
        _ => error.into(),
    }
}
