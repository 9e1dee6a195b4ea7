use std::fs::File;
use std::mem::size_of;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use zerocopy::IntoBytes;
use zerocopy::big_endian::{U16, U64};

use crate::Error;
use crate::extensions::{BACKING_FORMAT, ExtensionHeader};
use crate::header::{BACKING_NAME_LIMIT, L1_BYTES_LIMIT, MAGIC, RawHeader};
use crate::width::{to_u64, to_usize};

/// Clusters of 64 KiB: what QEMU makes by default, what every VMM is tested with, and a guest's disk of 512 MiB for
/// each L2 table. Smaller ones would copy less at a first write, but need a larger share of every VMM's cache of
/// tables; larger ones copy more.
const CLUSTER_BITS: u32 = 16;
const CLUSTER_BYTES: u64 = 1 << CLUSTER_BITS;
/// What one entry of the L1 table maps.
const L1_ENTRY_BYTES: u64 = CLUSTER_BYTES * CLUSTER_BYTES / 8;
/// Reference counts of 16 bits, the only ones that every VMM takes.
const REFCOUNT_ORDER: u32 = 4;
const BACKING_FILE_FORMAT: &[u8] = b"raw";

// The clusters of an empty overlay.
const REFCOUNT_TABLE: u64 = CLUSTER_BYTES;
const REFCOUNT_BLOCK: u64 = 2 * CLUSTER_BYTES;
const L1_TABLE: u64 = 3 * CLUSTER_BYTES;

/// Makes an empty overlay on a raw backing file, and gives the new file, which is not synced.
///
/// `backing` is what the header says: text, relative to the overlay's directory or absolute, which is not followed
/// here. The caller sees to it that the backing file is not larger than the overlay. The format of the backing file
/// is stated as raw: who opens the overlay must not guess it from contents that a guest may have written.
///
/// Three small writes into a sparse file; the L1 table is a hole, with room for disks of 4 TiB.
///
/// # Errors
///
/// [`Error::BackingName`] and [`Error::Size`] for what a header cannot say, before anything is made; [`Error::Io`], also
/// where something is at `path` already.
pub fn create(path: &Path, backing: &str, virtual_size_bytes: u64) -> Result<File, Error> {
    if backing.is_empty() || backing.len() > BACKING_NAME_LIMIT || backing.contains('\0') {
        return Err(Error::BackingName { bytes: backing.len(), limit: BACKING_NAME_LIMIT });
    }
    let l1_entries = virtual_size_bytes.div_ceil(L1_ENTRY_BYTES);
    let l1_bytes = l1_entries.saturating_mul(8);
    if virtual_size_bytes == 0 || !virtual_size_bytes.is_multiple_of(512) || l1_bytes > L1_BYTES_LIMIT {
        return Err(Error::Size {
            path: path.to_owned(),
            requested_bytes: virtual_size_bytes,
            minimum_bytes: 512,
            maximum_bytes: L1_BYTES_LIMIT / 8 * L1_ENTRY_BYTES,
        });
    }
    let l1_clusters = l1_bytes.div_ceil(CLUSTER_BYTES);
    let header = header(backing, virtual_size_bytes, u32::try_from(l1_entries).unwrap_or(u32::MAX));
    let clusters_used = l1_clusters.saturating_add(3);
    let refcounts = vec![U16::new(1); to_usize(clusters_used)];

    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::io("create", path))?;
    let write = |bytes: &[u8], offset| {
        file.write_all_at(bytes, offset).map_err(Error::io_at("write to", path, offset))
    };
    write(&header, 0)?;
    write(U64::new(REFCOUNT_BLOCK).as_bytes(), REFCOUNT_TABLE)?;
    write(refcounts.as_bytes(), REFCOUNT_BLOCK)?;
    file.set_len(clusters_used.saturating_mul(CLUSTER_BYTES))
        .map_err(Error::io("set the length of", path))?;
    Ok(file)
}

/// The header, its extensions and the backing file's name.
fn header(backing: &str, size_bytes: u64, l1_entries: u32) -> Vec<u8> {
    let extensions: [(u32, &[u8]); 2] = [(BACKING_FORMAT, BACKING_FILE_FORMAT), (0, &[])];
    let mut tail = Vec::new();
    for (kind, data) in extensions {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        tail.extend_from_slice(ExtensionHeader { kind: kind.into(), length: length.into() }.as_bytes());
        tail.extend_from_slice(data);
        tail.resize(tail.len().next_multiple_of(8), 0);
    }
    let header_bytes = size_of::<RawHeader>();
    let raw = RawHeader {
        magic: MAGIC.into(),
        version: 3.into(),
        backing_file_offset: to_u64(header_bytes.saturating_add(tail.len())).into(),
        backing_file_size: u32::try_from(backing.len()).unwrap_or(u32::MAX).into(),
        cluster_bits: CLUSTER_BITS.into(),
        size: size_bytes.into(),
        crypt_method: 0.into(),
        l1_size: l1_entries.into(),
        l1_table_offset: L1_TABLE.into(),
        refcount_table_offset: REFCOUNT_TABLE.into(),
        refcount_table_clusters: 1.into(),
        nb_snapshots: 0.into(),
        snapshots_offset: 0.into(),
        incompatible_features: 0.into(),
        compatible_features: 0.into(),
        autoclear_features: 0.into(),
        refcount_order: REFCOUNT_ORDER.into(),
        header_length: u32::try_from(header_bytes).unwrap_or(u32::MAX).into(),
    };
    [raw.as_bytes(), &tail, backing.as_bytes()].concat()
}
