//! Commands on the disk of a VM that has one.

use offshoot::{Clone, TemplateName, VmId};

use crate::arguments::{Arguments, Format, Resize2fsArgument};
use crate::exit::{Error, say};
use crate::render::{self, json};
use crate::session;
use crate::size::Size;

pub(super) fn grow(
    arguments: &Arguments,
    vm: &VmId,
    size: Size,
    resize2fs: &Resize2fsArgument,
) -> Result<(), Error> {
    let store = session::store(arguments)?.with_resize2fs(&resize2fs.program);
    let clone = store.grow(vm, size.0)?;
    say_rounded(arguments, &clone, size);
    print(arguments, &clone)
}

pub(super) fn reset(arguments: &Arguments, vm: &VmId) -> Result<(), Error> {
    print(arguments, &session::store(arguments)?.reset(vm)?)
}

pub(super) fn snapshot(arguments: &Arguments, vm: &VmId, name: &TemplateName) -> Result<(), Error> {
    let template = session::store(arguments)?.snapshot(vm, name)?;
    match arguments.format {
        Format::Plain => render::print(&format!("{}\n", template.record.id)),
        Format::Json => render::print_json(&json::built(&template, None)),
    }
}

/// A clone's path, or all about it.
pub(super) fn print(arguments: &Arguments, clone: &Clone) -> Result<(), Error> {
    match arguments.format {
        Format::Plain => render::print_path(&clone.path),
        Format::Json => render::print_json(&json::clone(clone)),
    }
}

/// A size that was rounded down is worth a line.
pub(super) fn say_rounded(arguments: &Arguments, clone: &Clone, asked: Size) {
    let bytes = clone.record.size_bytes;
    if bytes < asked.0 && !arguments.quiet {
        say(&format!(
            "offshoot: {} has {bytes} bytes instead of {}: what is left would be too small for a block group",
            clone.record.vm_id, asked.0
        ));
    }
}
