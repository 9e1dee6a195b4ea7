use std::fmt;

use offshoot_tree::Tree;

use crate::emit;
use crate::geometry::{GROUP_BLOCKS, Geometry, MAX_BLOCKS};
use crate::hash::NameHasher;
use crate::journal;
use crate::placement::Placement;
use crate::survey::Survey;
use crate::{BLOCK_BYTES, Error, Options, Sink, Size};

/// Blocks in a MiB: automatic sizes are whole MiB.
const MIB_BLOCKS: u64 = 256;

/// A filesystem laid out in full: every size is known, nothing is written yet.
///
/// The same tree and options give equal plans, and equal plans give the same bytes.
#[derive(Clone, PartialEq)]
pub struct Plan<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) options: Options,
    pub(crate) survey: Survey,
    pub(crate) placement: Placement,
    image_blocks: u64,
}

/// What a [`Plan`] comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The image's length in bytes.
    pub size_bytes: u64,
    /// The filesystem's size in blocks of 4 KiB. The image may be a little longer: a last block group too
    /// small to be of use is left out.
    pub blocks: u64,
    /// Blocks of 4 KiB that are free.
    pub free_blocks: u64,
    /// Inodes, free and in use.
    pub inodes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
    /// Block groups of 128 MiB.
    pub groups: u64,
    /// The journal's size in bytes; zero without one.
    pub journal_bytes: u64,
    /// Bytes of contents that go over as [`Transfer::Share`](crate::Transfer::Share).
    pub shared_bytes: u64,
    /// Bytes of contents that go over as [`Transfer::Copy`](crate::Transfer::Copy).
    pub copied_bytes: u64,
    /// Bytes that are written with metadata.
    pub metadata_bytes: u64,
    /// Runs of blocks that are shared.
    pub runs: u64,
    /// Extents of the image's file on a host that shares blocks and writes ranges in one piece.
    pub extents: u64,
}

impl<'a> Plan<'a> {
    /// Lays out a tree.
    ///
    /// # Errors
    ///
    /// [`Error::Unrepresentable`] for what ext4 cannot store, with its path; [`Error::TooSmall`],
    /// [`Error::TooLarge`] and [`Error::TooManyInodes`] for sizes.
    pub fn new(tree: &'a Tree, options: &Options) -> Result<Self, Error> {
        let survey = Survey::new(tree, NameHasher::new(&options.hash_seed))?;
        let sizing = Sizing { tree, survey: &survey, journal: options.journal };
        let (placement, image_blocks) = match options.size {
            Size::Automatic { headroom_percent, headroom_min_bytes } => {
                let percent = u64::from(headroom_percent);
                let least = headroom_min_bytes.div_ceil(BLOCK_BYTES);
                let headroom = |payload: u64| (payload.saturating_mul(percent) / 100).max(least);
                let placement = sizing.smallest(1, MIB_BLOCKS, headroom)?;
                let blocks = placement.layout.geometry.blocks;
                (placement, blocks)
            }
            Size::Exact { bytes } => (sizing.exact(bytes)?, bytes / BLOCK_BYTES),
        };
        Ok(Self { tree, options: options.clone(), survey, placement, image_blocks })
    }

    /// The image's length in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.image_blocks.saturating_mul(BLOCK_BYTES)
    }

    /// The plan in numbers.
    pub fn summary(&self) -> Summary {
        let Placement { layout, shared_runs, shared_blocks, host_extents, .. } = &self.placement;
        let geometry = &layout.geometry;
        let bytes = |blocks: u64| blocks.saturating_mul(BLOCK_BYTES);
        Summary {
            size_bytes: self.size_bytes(),
            blocks: geometry.blocks,
            free_blocks: geometry.blocks.saturating_sub(layout.used_blocks()),
            inodes: geometry.inodes(),
            free_inodes: geometry.inodes().saturating_sub(layout.inodes),
            groups: geometry.groups,
            journal_bytes: bytes(geometry.journal_blocks),
            shared_bytes: bytes(*shared_blocks),
            copied_bytes: bytes(self.survey.contents.blocks.saturating_sub(*shared_blocks)),
            metadata_bytes: bytes(layout.metadata_blocks()),
            runs: *shared_runs,
            extents: *host_extents,
        }
    }

    /// Writes the filesystem to an empty sink, in the order of offsets. What is to be zeros is not written.
    ///
    /// Ok says that the sink took everything, not that anything is on disk.
    pub fn emit(&self, sink: &mut dyn Sink) -> Result<(), Error> {
        emit::emit(self, sink)
    }
}

impl fmt::Debug for Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("options", &self.options)
            .field("summary", &self.summary())
            .field("layout", &self.placement.layout)
            .finish_non_exhaustive()
    }
}

/// Finds a size.
struct Sizing<'a> {
    tree: &'a Tree,
    survey: &'a Survey,
    journal: bool,
}

impl Sizing<'_> {
    /// How many inodes there must be: a quarter and a thousand more than there are.
    fn inodes(&self) -> u64 {
        let used = u64::from(self.survey.numbering.last());
        used.saturating_add(used.div_ceil(4)).saturating_add(1000)
    }

    fn exact(&self, bytes: u64) -> Result<Placement, Error> {
        let blocks = bytes / BLOCK_BYTES;
        if blocks > MAX_BLOCKS {
            return Err(too_large(blocks));
        }
        let geometry = Geometry::new(blocks, self.inodes(), self.journal);
        if self.fits_counts(&geometry) {
            let placement = Placement::new(self.tree, self.survey, &geometry);
            if placement.layout.end <= geometry.blocks {
                return Ok(placement);
            }
        }
        let smallest = self.smallest(blocks, 1, |_| 0)?;
        let needed_bytes = smallest.layout.geometry.blocks.saturating_mul(BLOCK_BYTES);
        Err(Error::TooSmall { needed_bytes, requested_bytes: bytes })
    }

    fn fits_counts(&self, geometry: &Geometry) -> bool {
        geometry.inodes() >= self.inodes()
            && (!self.journal || geometry.blocks >= journal::MIN_FILESYSTEM_BLOCKS)
    }

    /// The smallest filesystem of `start` blocks or more, in steps, that leaves so many blocks free as
    /// `headroom` wants for a payload of files and directories.
    fn smallest(&self, start: u64, step: u64, headroom: impl Fn(u64) -> u64) -> Result<Placement, Error> {
        let least = if self.journal { journal::MIN_FILESYSTEM_BLOCKS } else { 1 };
        let mut want = start.max(least);
        loop {
            if want > MAX_BLOCKS {
                return Err(too_large(want));
            }
            want = want.next_multiple_of(step);
            let geometry = Geometry::new(want, self.inodes(), self.journal);
            let mut needed = want.saturating_add(1);
            if geometry.inodes() < self.inodes() {
                needed = needed.max(geometry.groups.saturating_mul(GROUP_BLOCKS).saturating_add(1));
            } else {
                let placement = Placement::new(self.tree, self.survey, &geometry);
                let layout = &placement.layout;
                let free = headroom(self.payload(&placement));
                let filled = layout.end.max(layout.used_blocks().saturating_add(free));
                if filled <= geometry.blocks {
                    return Ok(placement);
                }
                needed = needed.max(filled);
            }
            if geometry.blocks < want || needed > geometry.groups.saturating_mul(GROUP_BLOCKS) {
                // A last group that is begun must be large enough to be kept.
                needed = needed.max(geometry.blocks_with_another_group(self.inodes()));
            }
            want = needed;
        }
    }

    /// Blocks of files and directories.
    fn payload(&self, placement: &Placement) -> u64 {
        let trees = placement.deep_trees.iter().map(|tree| tree.blocks);
        let survey = self.survey;
        let blocks = survey.xattr_blocks.len().saturating_add(survey.symlinks.len());
        trees
            .chain([survey.contents.blocks, survey.directory_blocks, crate::halves::length(blocks)])
            .fold(0, u64::saturating_add)
    }
}

fn too_large(blocks: u64) -> Error {
    Error::TooLarge {
        bytes: blocks.saturating_mul(BLOCK_BYTES),
        limit_bytes: MAX_BLOCKS.saturating_mul(BLOCK_BYTES),
    }
}
