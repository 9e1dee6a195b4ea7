//! Changed clusters become part of the file, in an order that is safe to be cut anywhere.
//!
//! What is new is written where nothing points to yet; then it is counted; then it is pointed to. A commit that ends
//! between leaves the guest's disk as it was and, at worst, counted clusters that nobody uses, which
//! `qemu-img check` reports as leaked. imago's own writes are not like that: its new L2 tables are pointed to
//! before they are counted on disk (`ensure_l2` in its `qcow2/mappings.rs`), and it never waits for the disk between.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::mem::offset_of;

use zerocopy::IntoBytes;
use zerocopy::big_endian::{U32, U64};

use crate::Error;
use crate::allocate::{Allocation, allocate};
use crate::header::RawHeader;
use crate::image::Image;
use crate::table::{COPIED, Place, l2_table, place, read_entries};
use crate::width::{to_u64, to_usize};

/// Whole clusters of the guest's disk that have new contents, by their number.
pub(crate) type Changes = BTreeMap<u64, Vec<u8>>;

/// Bytes for one place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write<'a> {
    pub(crate) offset: u64,
    pub(crate) bytes: Cow<'a, [u8]>,
}

impl<'a> Write<'a> {
    pub(crate) fn new(offset: u64, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { offset, bytes: bytes.into() }
    }
}

/// What is to be written: all of a stage before anything of the next. Within a stage the order does not matter.
#[derive(Debug, Default)]
pub(crate) struct Plan<'a> {
    pub(crate) stages: [Vec<Write<'a>>; 5],
}

const FEATURES: usize = 0;
const CONTENTS: usize = 1;
const COUNTS: usize = 2;
const COUNT_TABLE: usize = 3;
const LINKS: usize = 4;

impl<'a> Plan<'a> {
    /// Plans how changed clusters become part of the file. Only reads.
    pub(crate) fn new(image: &Image, changes: &'a Changes) -> Result<Self, Error> {
        let mut tables = Vec::new();
        let mut rest = changes.keys().copied().peekable();
        while let Some(&first) = rest.peek() {
            let index = image.header.l1_index(first);
            let clusters: Vec<u64> =
                std::iter::from_fn(|| rest.next_if(|cluster| image.header.l1_index(*cluster) == index))
                    .collect();
            tables.push(Table::read(image, index, clusters)?);
        }
        let fresh: u64 = tables.iter().map(Table::fresh_clusters).fold(0, u64::saturating_add);
        let allocation = if fresh == 0 { Allocation::default() } else { allocate(image, fresh)? };

        let mut plan = Self::default();
        if image.header.autoclear != 0 && !changes.is_empty() {
            // Whoever changes a file must clear the features that it does not keep up to date.
            let field = to_u64(offset_of!(RawHeader, autoclear_features));
            plan.push(FEATURES, Write::new(field, vec![0; 8]));
        }
        let mut next = allocation.offset;
        for table in &tables {
            plan.add_table(image, table, changes, &mut next);
        }
        for (stage, writes) in [
            (CONTENTS, allocation.new_blocks),
            (COUNTS, allocation.counts),
            (COUNT_TABLE, allocation.table_entries),
        ] {
            writes.into_iter().for_each(|write| plan.push(stage, write));
        }
        Ok(plan)
    }

    /// Plans how the guest's disk becomes larger, within what the L1 table's clusters have room for.
    pub(crate) fn to_grow(image: &Image, size_bytes: u64) -> Self {
        let header = &image.header;
        let l1_entries = header.l1_entries_for(size_bytes);
        let mut plan = Self::default();
        if l1_entries > header.l1_entries {
            // The rest of the table's last cluster is its own, but may hold anything.
            let end = header.l1_offset.saturating_add(header.l1_entries.saturating_mul(8));
            let bytes = l1_entries.saturating_sub(header.l1_entries).saturating_mul(8);
            plan.push(CONTENTS, Write::new(end, vec![0; to_usize(bytes)]));
        }
        // In one write, which no sector's end divides: the size, no encryption, and the table's length.
        let l1_size = U32::new(u32::try_from(l1_entries).unwrap_or(u32::MAX));
        let fields = [U64::new(size_bytes).as_bytes(), &[0; 4], l1_size.as_bytes()].concat();
        plan.push(LINKS, Write::new(to_u64(offset_of!(RawHeader, size)), fields));
        plan
    }

    /// Writes it; with `durable`, each stage is on the disk before the next begins.
    pub(crate) fn execute(&self, image: &Image, durable: bool) -> Result<(), Error> {
        for stage in self.stages.iter().filter(|stage| !stage.is_empty()) {
            for write in stage {
                image.write(write.offset, &write.bytes)?;
            }
            if durable {
                image.sync()?;
            }
        }
        Ok(())
    }

    fn add_table(&mut self, image: &Image, table: &Table, changes: &'a Changes, next: &mut u64) {
        let cluster_bytes = image.header.cluster_bytes();
        let mut take = || {
            let offset = *next;
            *next = next.saturating_add(cluster_bytes);
            offset
        };
        let mut entries = Vec::new();
        for (cluster, place) in &table.clusters {
            let Some(data) = changes.get(cluster) else { continue };
            let (stage, host) = match *place {
                Place::Mapped(host) => (LINKS, host),
                Place::Reserved(host) => (CONTENTS, host),
                Place::Fresh => (CONTENTS, take()),
            };
            self.push(stage, Write::new(host, data.as_slice()));
            if stage == CONTENTS {
                let slot = cluster.saturating_sub(image.header.first_cluster_of(table.index));
                entries.push((slot.saturating_mul(8), U64::new(host | COPIED)));
            }
        }
        if let Some(offset) = table.offset {
            for (at, entry) in entries {
                self.push_entry(offset.saturating_add(at), entry);
            }
            return;
        }
        let mut contents = vec![0; to_usize(cluster_bytes)];
        for (at, entry) in entries {
            let slot = contents.get_mut(to_usize(at)..).and_then(|rest| rest.first_chunk_mut());
            if let Some(slot) = slot {
                *slot = entry.to_bytes();
            }
        }
        let offset = take();
        self.push(CONTENTS, Write::new(offset, contents));
        let l1_entry = image.header.l1_offset.saturating_add(table.index.saturating_mul(8));
        self.push_entry(l1_entry, U64::new(offset | COPIED));
    }

    fn push(&mut self, stage: usize, write: Write<'a>) {
        if let Some(writes) = self.stages.get_mut(stage) {
            writes.push(write);
        }
    }

    /// An entry of an L1 or L2 table; neighbours become one write.
    fn push_entry(&mut self, offset: u64, entry: U64) {
        let before = self.stages.get_mut(LINKS).and_then(|writes| writes.last_mut());
        match before {
            Some(Write { offset: start, bytes: Cow::Owned(bytes) })
                if start.saturating_add(to_u64(bytes.len())) == offset =>
            {
                bytes.extend_from_slice(entry.as_bytes());
            }
            _ => self.push(LINKS, Write::new(offset, entry.as_bytes().to_vec())),
        }
    }
}

/// An L2 table some of whose clusters are written.
#[derive(Debug)]
struct Table {
    /// Its number in the L1 table.
    index: u64,
    /// Where it lies, if it is there.
    offset: Option<u64>,
    clusters: Vec<(u64, Place)>,
}

impl Table {
    /// `clusters` are in ascending order, and all of this table.
    fn read(image: &Image, index: u64, clusters: Vec<u64>) -> Result<Self, Error> {
        let guest_offset = index.saturating_mul(image.header.l2_coverage_bytes());
        let entry =
            read_entries(image, image.header.l1_offset, index, 1)?.first().copied().unwrap_or_default();
        let Some(offset) = l2_table(image, entry, guest_offset)? else {
            let clusters = clusters.into_iter().map(|cluster| (cluster, Place::Fresh)).collect();
            return Ok(Self { index, offset: None, clusters });
        };
        let start = image.header.first_cluster_of(index);
        let slot = |cluster: u64| cluster.saturating_sub(start);
        let first = clusters.first().copied().map_or(0, slot);
        let count = clusters.last().copied().map_or(0, slot).saturating_sub(first).saturating_add(1);
        let entries = read_entries(image, offset, first, count)?;
        let clusters = clusters
            .into_iter()
            .map(|cluster| {
                let entry = entries.get(to_usize(slot(cluster).saturating_sub(first)));
                let guest_offset = cluster.saturating_mul(image.header.cluster_bytes());
                Ok((cluster, place(image, entry.copied().unwrap_or_default(), guest_offset)?))
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { index, offset: Some(offset), clusters })
    }

    fn fresh_clusters(&self) -> u64 {
        let data = self.clusters.iter().filter(|(_, place)| *place == Place::Fresh).count();
        to_u64(data).saturating_add(u64::from(self.offset.is_none()))
    }
}

#[cfg(test)]
#[expect(clippy::as_conversions, clippy::arithmetic_side_effects, reason = "these are tests")]
mod tests;
