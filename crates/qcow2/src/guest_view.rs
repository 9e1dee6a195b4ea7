//! What the guest sees, read by imago: the overlay's clusters, compressed ones too, and the backing file below.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use imago::file::File as Storage;
use imago::qcow2::Qcow2;
use imago::raw::Raw;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder, ShallowMapping};

use crate::image::Image;
use crate::{Corruption, Error};

/// A backing file, opened once for all views.
pub(crate) type BackingAccess = Arc<FormatAccess<Storage>>;

/// A reader of one state of an overlay; it keeps tables, so that after a change there must be another.
#[derive(Debug)]
pub(crate) struct GuestView {
    access: FormatAccess<Storage>,
}

/// Whose contents a range of the guest's disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The overlay's, as data.
    Overlay,
    /// The overlay's, and they are zeros.
    OverlayZeros,
    /// The backing file's.
    Backing,
}

/// Opens a backing file as raw, whatever it holds.
pub(crate) fn open_backing(path: &Path) -> Result<BackingAccess, Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let raw = Storage::try_from(file).and_then(|file| Raw::open_image(file, false));
    Ok(Arc::new(FormatAccess::new(raw.map_err(Error::io("open", path))?)))
}

impl GuestView {
    pub(crate) fn open(image: &Image, backing: &BackingAccess) -> Result<Self, Error> {
        let open = || {
            let file = Storage::try_from(image.file.try_clone()?)?;
            // Both are set, so that nothing is opened because the header names it.
            Qcow2::<Storage, BackingAccess>::builder(file)
                .backing(Some(Arc::clone(backing)))
                .data_file(None)
                .write(false)
                .open(DenyImplicitOpenGate::default())
        };
        let qcow2 = open().map_err(|error| failure(image, "open", 0, error))?;
        Ok(Self { access: FormatAccess::new(qcow2) })
    }

    /// Fills the buffer; what lies behind the end of the disk is zero.
    pub(crate) fn read(&self, image: &Image, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        self.access.read(buffer, offset).map_err(|error| failure(image, "read", offset, error))
    }

    /// Who has the contents at `offset`, and for how many bytes, of at most `length`; none at the end of the disk.
    pub(crate) fn owner(
        &self,
        image: &Image,
        offset: u64,
        length: u64,
    ) -> Result<Option<(Owner, u64)>, Error> {
        let (mapping, length) = self
            .access
            .get_shallow_mapping(offset, length)
            .map_err(|error| failure(image, "read the tables of", offset, error))?;
        let owner = match mapping {
            ShallowMapping::Eof { .. } => return Ok(None),
            ShallowMapping::Indirect { .. } => Owner::Backing,
            ShallowMapping::Zero { .. } => Owner::OverlayZeros,
            _ => Owner::Overlay,
        };
        Ok(Some((owner, length)))
    }
}

/// imago has one kind of error. What the system said has a number; the rest is its own judgement of the tables.
fn failure(image: &Image, operation: &'static str, offset: u64, error: io::Error) -> Error {
    if error.raw_os_error().is_some() {
        Error::io_at(operation, &image.path, offset)(error)
    } else {
        image.corrupt(Corruption::Tables(error.to_string()))
    }
}
