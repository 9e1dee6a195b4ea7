//! File contents as runs of blocks in their sources: what lies together there shall lie together here.

use offshoot_tree::{Content, Leaf, Node, SourceId, Tree};

use crate::error::Problem;
use crate::geometry::MAX_BLOCKS;
use crate::halves::{index, length, low32};
use crate::{BLOCK_BYTES, Error, path};

/// Files end before the last of 2³² logical blocks (`ext4_max_size`).
pub(crate) const MAX_FILE_BYTES: u64 = (MAX_BLOCKS - 1) * BLOCK_BYTES;
/// Byte offsets in a source are positive `off_t`s.
const MAX_SOURCE_BLOCKS: u64 = 1 << 51;
/// The shortest run worth an extent of its own: 1 MiB.
const MIN_SHARED_BLOCKS: u64 = 256;

/// A range of a source's blocks, all of them in use, as long as can be. What two extents name both is in two
/// runs, since files do not share blocks on ext4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) source: SourceId,
    /// Its first block in the source.
    pub(crate) source_block: u64,
    pub(crate) blocks: u64,
}

/// Where an extent of a file begins: which run, and how many blocks into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) run: u32,
    pub(crate) offset: u32,
}

/// All contents of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// In the order of sources and their blocks; what is there once more follows.
    pub(crate) runs: Vec<Run>,
    /// Of every extent of every file, in the order of the tree's inodes.
    pub(crate) places: Vec<Place>,
    /// The runs that may be shared, longest first.
    pub(crate) shareable: Vec<u32>,
    /// Blocks of all runs.
    pub(crate) blocks: u64,
}

struct Reference {
    source: SourceId,
    source_block: u64,
    blocks: u64,
    /// Which of all extents.
    number: usize,
}

impl Contents {
    /// Finds the runs. Fails on extents that are impossible.
    pub(crate) fn new(tree: &Tree) -> Result<Self, Error> {
        let mut references = Vec::new();
        let mut blocks: u64 = 0;
        for (id, inode) in tree.inodes() {
            let Node::Leaf(Leaf::File(content)) = &inode.node else { continue };
            check(content).map_err(|problem| path::error(tree, id, problem))?;
            for extent in &content.extents {
                references.push(Reference {
                    source: content.source,
                    source_block: extent.source_block,
                    blocks: extent.block_count,
                    number: references.len(),
                });
                blocks = blocks.saturating_add(extent.block_count);
            }
        }
        if blocks > MAX_BLOCKS || length(references.len()) > u64::from(u32::MAX) {
            return Err(Error::TooLarge {
                bytes: blocks.saturating_mul(BLOCK_BYTES),
                limit_bytes: MAX_BLOCKS.saturating_mul(BLOCK_BYTES),
            });
        }
        references
            .sort_unstable_by_key(|reference| (reference.source, reference.source_block, reference.number));
        Ok(Self::from_sorted(&references, blocks))
    }

    fn from_sorted(references: &[Reference], blocks: u64) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        let mut places = vec![Place::default(); references.len()];
        let mut again = Vec::new();
        let mut put = |reference: &Reference, run: usize, offset: u64| {
            if let Some(place) = places.get_mut(reference.number) {
                *place = Place { run: low32(length(run)), offset: low32(offset) };
            }
        };
        for reference in references {
            let next = runs.len();
            let Reference { source, source_block, blocks, .. } = *reference;
            match runs.last_mut().filter(|run| run.source == source) {
                Some(run) if source_block < run.source_block.saturating_add(run.blocks) => {
                    again.push(reference);
                }
                Some(run) if source_block == run.source_block.saturating_add(run.blocks) => {
                    put(reference, next.saturating_sub(1), run.blocks);
                    run.blocks = run.blocks.saturating_add(blocks);
                }
                _ => {
                    put(reference, next, 0);
                    runs.push(Run { source, source_block, blocks });
                }
            }
        }
        for reference in again {
            put(reference, runs.len(), 0);
            let Reference { source, source_block, blocks, .. } = *reference;
            runs.push(Run { source, source_block, blocks });
        }
        let mut shareable: Vec<u32> = (0..)
            .zip(&runs)
            .filter(|(_, run)| run.blocks >= MIN_SHARED_BLOCKS)
            .map(|(number, _)| number)
            .collect();
        let blocks_of = |run: u32| runs.get(index(u64::from(run))).map_or(0, |run| run.blocks);
        shareable.sort_by_key(|&run| std::cmp::Reverse(blocks_of(run)));
        Self { runs, places, shareable, blocks }
    }
}

fn check(content: &Content) -> Result<(), Problem> {
    if content.size > MAX_FILE_BYTES {
        return Err(Problem::FileTooLarge { bytes: content.size, limit_bytes: MAX_FILE_BYTES });
    }
    let blocks = content.size.div_ceil(BLOCK_BYTES);
    let mut next = 0;
    for extent in &content.extents {
        let logical_block = extent.logical_block;
        let end = logical_block.checked_add(extent.block_count);
        let source_end = extent.source_block.checked_add(extent.block_count);
        match (end, source_end) {
            (Some(end), Some(source_end))
                if extent.block_count > 0
                    && logical_block >= next
                    && end <= blocks
                    && source_end <= MAX_SOURCE_BLOCKS =>
            {
                next = end;
            }
            _ => return Err(Problem::BadExtent { logical_block }),
        }
    }
    Ok(())
}
