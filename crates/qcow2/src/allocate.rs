use zerocopy::big_endian::{U16, U64};
use zerocopy::{FromBytes, IntoBytes};

use crate::commit::Write;
use crate::image::Image;
use crate::table::{read_entries, refcount_block};
use crate::width::{to_u64, to_usize};
use crate::{Corruption, Error, Unsupported};

/// Bytes of a reference count; a file with others is not written to.
const REFCOUNT_BYTES: u64 = 2;
/// How often counted clusters behind the end of the file are stepped over.
const ATTEMPTS: usize = 64;

/// New clusters at the end of a file, and what has to be written to count them.
#[derive(Debug, Default)]
pub(crate) struct Allocation {
    /// The first of them, as a byte of the file.
    pub(crate) offset: u64,
    /// New refcount blocks, which nothing points to yet.
    pub(crate) new_blocks: Vec<Write<'static>>,
    /// Counts in blocks that are there.
    pub(crate) counts: Vec<Write<'static>>,
    /// Entries of the refcount table for the new blocks.
    pub(crate) table_entries: Vec<Write<'static>>,
}

/// A refcount block, and which clusters of those that matter it counts.
struct Block {
    /// Its number in the refcount table.
    index: u64,
    /// Where it lies; or that it is to be made.
    offset: Option<u64>,
    /// The first of the clusters.
    first: u64,
    /// Where the first one's count is within the block, in bytes.
    within: u64,
    /// How many clusters.
    count: u64,
}

/// Finds room for clusters behind the file's end, in one piece. Nothing is written.
///
/// Clusters within the file that became free are not looked for: what is written through an overlay here is little.
pub(crate) fn allocate(image: &Image, clusters: u64) -> Result<Allocation, Error> {
    let cluster_bytes = image.header.cluster_bytes();
    let mut first = image.file_bytes()?.div_ceil(cluster_bytes);
    for _ in 0..ATTEMPTS {
        let blocks = blocks_for(image, first, clusters)?;
        match last_counted(image, &blocks)? {
            None => return Ok(plan(image, first, clusters, &blocks)),
            Some(counted) => first = counted.saturating_add(1),
        }
    }
    Err(image.corrupt(Corruption::Tables("clusters behind the end of the file are counted".to_owned())))
}

/// The blocks that count the clusters and, where blocks are new, these.
fn blocks_for(image: &Image, first: u64, clusters: u64) -> Result<Vec<Block>, Error> {
    let header = &image.header;
    let per_block_bits = header.cluster_bits.saturating_sub(1);
    let per_block = 1_u64 << per_block_bits;
    let capacity = header.refcount_table_clusters.saturating_mul(header.entries_per_cluster());
    let first_block = first >> per_block_bits;
    let mut count = clusters;
    loop {
        let end = first.saturating_add(count);
        let end_block = end.div_ceil(per_block);
        if end_block > capacity {
            let bytes = end.saturating_mul(header.cluster_bytes());
            return Err(image.unsupported(Unsupported::RefcountTableFull { bytes }));
        }
        let needed = end_block.saturating_sub(first_block);
        let entries = read_entries(image, header.refcount_table_offset, first_block, needed)?;
        let block = |(index, entry): (u64, u64)| {
            let start = index.saturating_mul(per_block);
            let block_end = start.saturating_add(per_block);
            let first = first.max(start);
            Ok(Block {
                index,
                offset: refcount_block(image, entry, start.saturating_mul(header.cluster_bytes()))?,
                first,
                within: first.saturating_sub(start).saturating_mul(REFCOUNT_BYTES),
                count: end.min(block_end).saturating_sub(first),
            })
        };
        let blocks = (first_block..).zip(entries).map(block).collect::<Result<Vec<_>, Error>>()?;
        let new_blocks = blocks.iter().filter(|block| block.offset.is_none()).count();
        let with_blocks = clusters.saturating_add(to_u64(new_blocks));
        if with_blocks == count {
            return Ok(blocks);
        }
        count = with_blocks;
    }
}

/// The last of these clusters that is counted already: a writer may count before it writes.
fn last_counted(image: &Image, blocks: &[Block]) -> Result<Option<u64>, Error> {
    let mut last = None;
    for block in blocks {
        let Some(offset) = block.offset else { continue };
        let place = offset.saturating_add(block.within);
        let bytes = image.read(place, block.count.saturating_mul(REFCOUNT_BYTES))?;
        let (counts, _) = <[U16]>::ref_from_prefix(&bytes).unwrap_or_default();
        let counted = counts.iter().rposition(|count| count.get() != 0);
        last = counted.map(|index| block.first.saturating_add(to_u64(index))).or(last);
    }
    Ok(last)
}

fn plan(image: &Image, first: u64, clusters: u64, blocks: &[Block]) -> Allocation {
    let cluster_bytes = image.header.cluster_bytes();
    let mut allocation = Allocation { offset: first.saturating_mul(cluster_bytes), ..Allocation::default() };
    // New blocks lie behind what they were made for.
    let mut next_block = first.saturating_add(clusters).saturating_mul(cluster_bytes);
    for block in blocks {
        let ones = vec![U16::new(1); to_usize(block.count)];
        if let Some(offset) = block.offset {
            let place = offset.saturating_add(block.within);
            allocation.counts.push(Write::new(place, ones.as_bytes().to_vec()));
            continue;
        }
        let mut contents = vec![0; to_usize(block.within)];
        contents.extend_from_slice(ones.as_bytes());
        contents.resize(to_usize(cluster_bytes), 0);
        allocation.new_blocks.push(Write::new(next_block, contents));
        let entry = image.header.refcount_table_offset.saturating_add(block.index.saturating_mul(8));
        allocation.table_entries.push(Write::new(entry, U64::new(next_block).as_bytes().to_vec()));
        next_block = next_block.saturating_add(cluster_bytes);
    }
    allocation
}
