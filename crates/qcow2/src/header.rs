//! The header, as QEMU's `docs/interop/qcow2.txt` has it. All numbers are big-endian.

use std::mem::{offset_of, size_of};

use bitflags::bitflags;
use zerocopy::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::extensions::{self, Extensions};
use crate::width::{to_u64, to_usize};
use crate::{Corruption, Unsupported};

/// `QFI\xfb`.
pub(crate) const MAGIC: u32 = 0x5146_49fb;
/// The longest name of a backing file, in bytes.
pub(crate) const BACKING_NAME_LIMIT: usize = 1023;
/// `QCOW_MAX_L1_SIZE` of QEMU: 32 MiB.
pub(crate) const L1_BYTES_LIMIT: u64 = 32 << 20;
/// `QCOW_MAX_REFTABLE_SIZE` of QEMU: 8 MiB.
pub(crate) const REFCOUNT_TABLE_BYTES_LIMIT: u64 = 8 << 20;
/// Sizes of clusters are powers of two from 512 bytes to 2 MiB, the most that QEMU takes.
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;

bitflags! {
    /// `incompatible_features`: who does not know them must keep away.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Incompatible: u64 {
        const DIRTY = 1;
        const CORRUPT = 1 << 1;
        const EXTERNAL_DATA = 1 << 2;
        const COMPRESSION_TYPE = 1 << 3;
        const EXTENDED_L2 = 1 << 4;
    }
}

/// The header of version 3 as it is on disk.
#[derive(Clone, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RawHeader {
    pub(crate) magic: U32,
    pub(crate) version: U32,
    pub(crate) backing_file_offset: U64,
    pub(crate) backing_file_size: U32,
    pub(crate) cluster_bits: U32,
    pub(crate) size: U64,
    pub(crate) crypt_method: U32,
    pub(crate) l1_size: U32,
    pub(crate) l1_table_offset: U64,
    pub(crate) refcount_table_offset: U64,
    pub(crate) refcount_table_clusters: U32,
    pub(crate) nb_snapshots: U32,
    pub(crate) snapshots_offset: U64,
    pub(crate) incompatible_features: U64,
    pub(crate) compatible_features: U64,
    pub(crate) autoclear_features: U64,
    pub(crate) refcount_order: U32,
    pub(crate) header_length: U32,
}

const _: () = {
    assert!(size_of::<RawHeader>() == 104);
    assert!(offset_of!(RawHeader, size) == 24);
    assert!(offset_of!(RawHeader, l1_table_offset) == 40);
    assert!(offset_of!(RawHeader, snapshots_offset) == 64);
    assert!(offset_of!(RawHeader, autoclear_features) == 88);
    assert!(offset_of!(RawHeader, header_length) == 100);
};

/// A header that was checked: every table and name lies within the file.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) cluster_bits: u32,
    pub(crate) size_bytes: u64,
    pub(crate) l1_offset: u64,
    pub(crate) l1_entries: u64,
    pub(crate) refcount_table_offset: u64,
    pub(crate) refcount_table_clusters: u64,
    pub(crate) refcount_order: u32,
    pub(crate) snapshots: u32,
    pub(crate) incompatible: Incompatible,
    pub(crate) autoclear: u64,
    pub(crate) backing_name: Option<String>,
    pub(crate) backing_format: Option<String>,
}

/// Why a header is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Corrupt(Corruption),
    Unsupported(Unsupported),
}

impl From<Corruption> for Refusal {
    fn from(reason: Corruption) -> Self {
        Self::Corrupt(reason)
    }
}

/// How much of a file [`Header::parse`] needs: its first cluster, or, where that has no valid size, its header.
pub(crate) fn first_cluster_bytes(start: &[u8]) -> u64 {
    let bits = RawHeader::ref_from_prefix(start).map_or(0, |(raw, _)| raw.cluster_bits.get());
    if CLUSTER_BITS.contains(&bits) { 1 << bits } else { to_u64(size_of::<RawHeader>()) }
}

impl Header {
    /// Checks the beginning of a file, up to the end of its first cluster or its own.
    pub(crate) fn parse(start: &[u8], file_bytes: u64) -> Result<Self, Refusal> {
        let too_short = Corruption::TooShort { bytes: file_bytes };
        let Ok((magic, rest)) = U32::ref_from_prefix(start) else { return Err(too_short.into()) };
        if magic.get() != MAGIC {
            return Err(Corruption::Magic { found: magic.get() }.into());
        }
        match U32::ref_from_prefix(rest).map(|(version, _)| version.get()) {
            Ok(3) => {}
            Ok(2) => return Err(Refusal::Unsupported(Unsupported::Version2)),
            Ok(found) => return Err(Corruption::Version { found }.into()),
            Err(_) => return Err(too_short.into()),
        }
        let Ok((raw, _)) = RawHeader::ref_from_prefix(start) else { return Err(too_short.into()) };
        check_fields(raw)?;
        let incompatible = features(raw)?;
        let cluster_bytes = 1_u64 << raw.cluster_bits.get();
        if raw.crypt_method.get() != 0 {
            return Err(Refusal::Unsupported(Unsupported::Encryption));
        }
        check_tables(raw, cluster_bytes, file_bytes)?;
        let first_cluster = start.get(..to_usize(cluster_bytes)).unwrap_or(start);
        let Extensions { backing_format } = extensions::parse(first_cluster, raw.header_length.get())?;
        Ok(Self {
            cluster_bits: raw.cluster_bits.get(),
            size_bytes: raw.size.get(),
            l1_offset: raw.l1_table_offset.get(),
            l1_entries: raw.l1_size.get().into(),
            refcount_table_offset: raw.refcount_table_offset.get(),
            refcount_table_clusters: raw.refcount_table_clusters.get().into(),
            refcount_order: raw.refcount_order.get(),
            snapshots: raw.nb_snapshots.get(),
            incompatible,
            autoclear: raw.autoclear_features.get(),
            backing_name: backing_name(raw, first_cluster)?,
            backing_format,
        })
    }

    pub(crate) fn cluster_bytes(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Entries of 8 bytes that one cluster holds.
    pub(crate) fn entries_per_cluster(&self) -> u64 {
        1 << self.cluster_bits.saturating_sub(3)
    }

    /// Whose L2 table a cluster of the guest's disk is in, as an entry of the L1 table.
    pub(crate) fn l1_index(&self, cluster: u64) -> u64 {
        cluster >> self.cluster_bits.saturating_sub(3)
    }

    /// The first cluster of the guest's disk that an L2 table maps.
    pub(crate) fn first_cluster_of(&self, l1_index: u64) -> u64 {
        l1_index.saturating_mul(self.entries_per_cluster())
    }

    /// The bytes of the guest's disk that one L2 table maps.
    pub(crate) fn l2_coverage_bytes(&self) -> u64 {
        1 << self.cluster_bits.saturating_mul(2).saturating_sub(3)
    }

    /// How long the L1 table must be for a guest's disk; it never becomes shorter.
    pub(crate) fn l1_entries_for(&self, size_bytes: u64) -> u64 {
        size_bytes.div_ceil(self.l2_coverage_bytes()).max(self.l1_entries)
    }

    /// How large the guest's disk can become without another L1 table: its clusters are the table's alone.
    pub(crate) fn size_limit_bytes(&self) -> u64 {
        let l1_bytes = self.l1_entries.saturating_mul(8).next_multiple_of(self.cluster_bytes());
        (l1_bytes.min(L1_BYTES_LIMIT) / 8).saturating_mul(self.l2_coverage_bytes())
    }
}

fn field(field: &'static str, value: impl Into<u64>) -> Refusal {
    Corruption::Field { field, value: value.into() }.into()
}

fn check_fields(raw: &RawHeader) -> Result<(), Refusal> {
    let cluster_bits = raw.cluster_bits.get();
    if !CLUSTER_BITS.contains(&cluster_bits) {
        return Err(field("cluster_bits", cluster_bits));
    }
    let header_length = raw.header_length.get();
    let longest = 1_u32 << cluster_bits;
    if header_length < 104 || !header_length.is_multiple_of(8) || header_length > longest {
        return Err(field("header_length", header_length));
    }
    if raw.refcount_order.get() > 6 {
        return Err(field("refcount_order", raw.refcount_order.get()));
    }
    if raw.crypt_method.get() > 2 {
        return Err(field("crypt_method", raw.crypt_method.get()));
    }
    Ok(())
}

fn features(raw: &RawHeader) -> Result<Incompatible, Refusal> {
    let bits = raw.incompatible_features.get();
    let known = Incompatible::from_bits_truncate(bits);
    if known.bits() != bits {
        return Err(Corruption::UnknownFeatures { bits: bits & !known.bits() }.into());
    }
    let refused = [
        (Incompatible::EXTERNAL_DATA, Unsupported::ExternalData),
        (Incompatible::COMPRESSION_TYPE, Unsupported::CompressionType),
        (Incompatible::EXTENDED_L2, Unsupported::ExtendedL2),
    ];
    match refused.into_iter().find(|(feature, _)| known.contains(*feature)) {
        Some((_, feature)) => Err(Refusal::Unsupported(feature)),
        None => Ok(known),
    }
}

fn check_tables(raw: &RawHeader, cluster_bytes: u64, file_bytes: u64) -> Result<(), Refusal> {
    let inside = |what, offset: u64, length: u64| {
        // The header has the first cluster to itself.
        let end = offset.checked_add(length).filter(|end| *end <= file_bytes);
        if offset >= cluster_bytes && offset.is_multiple_of(cluster_bytes) && end.is_some() {
            Ok(())
        } else {
            Err(Refusal::from(Corruption::Place { what, offset, length }))
        }
    };
    let l1_bytes = u64::from(raw.l1_size.get()).saturating_mul(8);
    let l2_coverage_bytes = cluster_bytes.saturating_mul(cluster_bytes / 8);
    let covered = u64::from(raw.l1_size.get()).saturating_mul(l2_coverage_bytes);
    if l1_bytes > L1_BYTES_LIMIT || covered < raw.size.get() {
        return Err(field("l1_size", raw.l1_size.get()));
    }
    inside("L1 table", raw.l1_table_offset.get(), l1_bytes)?;
    let refcount_table_bytes = u64::from(raw.refcount_table_clusters.get()).saturating_mul(cluster_bytes);
    if refcount_table_bytes == 0 || refcount_table_bytes > REFCOUNT_TABLE_BYTES_LIMIT {
        return Err(field("refcount_table_clusters", raw.refcount_table_clusters.get()));
    }
    inside("refcount table", raw.refcount_table_offset.get(), refcount_table_bytes)
}

fn backing_name(raw: &RawHeader, first_cluster: &[u8]) -> Result<Option<String>, Refusal> {
    let offset = raw.backing_file_offset.get();
    let length = raw.backing_file_size.get();
    if offset == 0 {
        return Ok(None);
    }
    let end = offset.saturating_add(length.into());
    let range = to_usize(offset)..to_usize(end);
    let name = first_cluster
        .get(range)
        .filter(|name| !name.is_empty() && name.len() <= BACKING_NAME_LIMIT)
        .filter(|_| offset >= raw.header_length.get().into())
        .ok_or(Corruption::Place { what: "backing file's name", offset, length: length.into() })?;
    let name = std::str::from_utf8(name).map_err(|_| Corruption::NotUtf8 { what: "name" })?;
    if name.contains('\0') {
        return Err(field("backing file name", length));
    }
    Ok(Some(name.to_owned()))
}
