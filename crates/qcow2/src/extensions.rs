//! The header's extensions: a type, a length and data, padded to 8 bytes, until one of type 0.

use std::mem::size_of;

use zerocopy::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Corruption;
use crate::width::{to_u64, to_usize};

/// The end of the extensions.
const END: u32 = 0;
/// The backing file's format, as text.
pub(crate) const BACKING_FORMAT: u32 = 0xe279_2aca;
/// Names of feature bits, in records of 48 bytes.
const FEATURE_NAMES: u32 = 0x6803_f857;
const FEATURE_NAME_BYTES: usize = 48;
/// QEMU keeps it in 16 bytes.
const BACKING_FORMAT_LIMIT: usize = 15;

/// What stands before an extension's data.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct ExtensionHeader {
    pub(crate) kind: U32,
    pub(crate) length: U32,
}

const _: () = assert!(size_of::<ExtensionHeader>() == 8);

/// Those extensions that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    pub(crate) backing_format: Option<String>,
}

/// Reads the extensions that follow the header, which must end within the first cluster.
pub(crate) fn parse(first_cluster: &[u8], header_length: u32) -> Result<Extensions, Corruption> {
    let mut found = Extensions::default();
    let mut offset = to_usize(header_length.into());
    loop {
        let malformed = Corruption::Extension { offset: to_u64(offset) };
        let rest = first_cluster.get(offset..).unwrap_or_default();
        let Ok((header, rest)) = ExtensionHeader::ref_from_prefix(rest) else { return Err(malformed) };
        let length = to_usize(header.length.get().into());
        if header.kind.get() == END {
            return Ok(found);
        }
        let Some(data) = rest.get(..length) else { return Err(malformed) };
        match header.kind.get() {
            BACKING_FORMAT => found.backing_format = Some(backing_format(data, found.backing_format)?),
            FEATURE_NAMES if !length.is_multiple_of(FEATURE_NAME_BYTES) => return Err(malformed),
            _ => {}
        }
        offset = offset
            .saturating_add(size_of::<ExtensionHeader>())
            .saturating_add(length)
            .next_multiple_of(size_of::<ExtensionHeader>());
    }
}

/// The format's name; a second one must be the same.
fn backing_format(data: &[u8], before: Option<String>) -> Result<String, Corruption> {
    let text = std::str::from_utf8(data).map_err(|_| Corruption::NotUtf8 { what: "format" })?;
    if text.is_empty() || text.len() > BACKING_FORMAT_LIMIT || before.is_some_and(|before| before != text) {
        return Err(Corruption::Field { field: "backing file format", value: to_u64(text.len()) });
    }
    Ok(text.to_owned())
}
