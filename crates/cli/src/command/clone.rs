use offshoot::{BuildOptions, Clone, CloneOptions, DiskFormat, ErrorKind, ImageName, Store, Template};

use super::disk;
use crate::arguments::{Arguments, CloneArguments};
use crate::exit::Error;
use crate::render;
use crate::render::vmm::{self, Vmm};
use crate::session;

pub(super) fn run(arguments: &Arguments, clone: &CloneArguments) -> Result<(), Error> {
    let store = session::store(arguments)?.with_resize2fs(&clone.resize2fs.program);
    let template = template(arguments, &store, &clone.template)?;
    let options = CloneOptions {
        strategy: clone.strategy.0,
        size_bytes: clone.size.map(|size| size.0),
        read_only: clone.read_only,
        ephemeral: clone.ephemeral,
        fresh_uuid: clone.fresh_uuid,
        injections: clone.inject.clone(),
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

fn print_configuration(store: &Store, vmm: Vmm, clone: &Clone) -> Result<(), Error> {
    let backing = store.base_disk(clone);
    let disk = vmm::Disk {
        path: &clone.path,
        format: match clone.record.format {
            DiskFormat::Raw => vmm::Format::Raw,
            DiskFormat::Qcow2 => vmm::Format::Qcow2 { backing: &backing },
        },
        read_only: clone.record.read_only,
    };
    render::print(&vmm::configuration(vmm, &disk)?)
}

/// A template's name or id wins over an image of the same spelling.
fn template(arguments: &Arguments, store: &Store, name: &str) -> Result<Template, Error> {
    if let Some(template) = store.find_template(name)? {
        return Ok(template);
    }
    let image: ImageName =
        name.parse().map_err(|error| Error::Name { name: name.to_owned(), reason: error })?;
    let reporter = session::reporter(arguments)?;
    store.build(&image, &BuildOptions::default(), &reporter).map_err(|error| match (&image, error.kind()) {
        // A name without a transport may well be a template's, mistyped.
        (ImageName::Registry(_), ErrorKind::Unsupported) => {
            Error::NoTemplate { name: name.to_owned(), source: Box::new(error) }
        }
        _ => error.into(),
    })
}
