//! A layout with a tree's contents in it: which runs are shared, where each block of each file is.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "block numbers are below 2^35: geometries and demands have at most 2^32 blocks each"
)]

use offshoot_tree::{Content, InodeId, Leaf, Node, Tree};

use crate::directory::LOST_AND_FOUND_BLOCKS;
use crate::extent::{self, Mapping};
use crate::geometry::Geometry;
use crate::halves::{index, length};
use crate::layout::{Demand, Layout};
use crate::survey::{DirectoryBlocks, Survey};

/// As many extents as the image's file should have at most on a host that shares: each costs every clone.
const MAX_HOST_EXTENTS: u64 = 16;
/// So many runs are shared whatever backups of the superblock cost.
const MIN_SHARED_RUNS: usize = 4;

/// Where a run lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunAddress {
    /// Among the shared blocks, or else among the copied ones.
    pub(crate) shared: bool,
    pub(crate) address: u64,
}

/// Whose blocks an extent tree maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Journal,
    /// A directory: its position in [`Survey::directories`].
    Directory(usize),
    /// A file, and the position of its first extent in the places of all contents.
    File {
        id: InodeId,
        first_place: usize,
    },
}

/// An extent tree that does not fit into its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeepTree {
    pub(crate) owner: Owner,
    /// Its first block among those of all extent trees.
    pub(crate) address: u64,
    pub(crate) blocks: u64,
}

/// Where a tree's contents lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) layout: Layout,
    /// One for each run.
    pub(crate) addresses: Vec<RunAddress>,
    /// In the order of their owners: the journal, directories, files.
    pub(crate) deep_trees: Vec<DeepTree>,
    /// Shared runs, and extents of the image's file on a host that shares.
    pub(crate) shared_runs: u64,
    pub(crate) shared_blocks: u64,
    pub(crate) host_extents: u64,
}

impl Placement {
    /// Places everything, also if it does not fit.
    pub(crate) fn new(tree: &Tree, survey: &Survey, geometry: &Geometry) -> Self {
        // How many blocks extent trees need depends on where backups cut files, which depends on how much
        // room is left for extent trees: room only grows until it is enough.
        let mut room = 0;
        loop {
            let mut placement = Self::with_room(survey, geometry, room, room);
            let deep_trees = placement.find_deep_trees(tree, survey);
            let needed = deep_trees.iter().map(|tree| tree.blocks).sum();
            if needed > room {
                room = needed;
                continue;
            }
            if needed < room {
                placement = Self::with_room(survey, geometry, room, needed);
            }
            placement.deep_trees = deep_trees;
            return placement;
        }
    }

    fn with_room(survey: &Survey, geometry: &Geometry, room: u64, used: u64) -> Self {
        let contents = &survey.contents;
        let blocks_of = |run: u32| contents.runs.get(index(u64::from(run))).map_or(0, |run| run.blocks);
        let mut count = contents.shareable.len().min(index(MAX_HOST_EXTENTS));
        loop {
            let mut chosen: Vec<u32> = contents.shareable.iter().copied().take(count).collect();
            chosen.sort_unstable();
            let shares: u64 = chosen.iter().copied().map(blocks_of).sum();
            let demand = Demand {
                directories: survey.directory_blocks,
                xattr_blocks: length(survey.xattr_blocks.len()),
                extent_blocks: room,
                extent_blocks_used: used,
                symlinks: length(survey.symlinks.len()),
                copies: contents.blocks - shares,
                shares,
                inodes: u64::from(survey.numbering.last()),
            };
            let layout = Layout::new(geometry, &demand);
            let host_extents = layout.host_extents(chosen.iter().copied().map(blocks_of));
            if host_extents > MAX_HOST_EXTENTS && count > MIN_SHARED_RUNS {
                count -= 1;
                continue;
            }
            return Self {
                layout,
                addresses: address_runs(survey, &chosen),
                deep_trees: Vec::new(),
                shared_runs: length(chosen.len()),
                shared_blocks: shares,
                host_extents,
            };
        }
    }

    fn find_deep_trees(&self, tree: &Tree, survey: &Survey) -> Vec<DeepTree> {
        let mut found = Vec::new();
        let mut address = 0;
        let mut mappings = Vec::new();
        let mut look = |owner: Owner, fill: &dyn Fn(&mut Vec<Mapping>)| {
            mappings.clear();
            fill(&mut mappings);
            let blocks = extent::tree_blocks(extent::extent_count(&mappings));
            if blocks > 0 {
                found.push(DeepTree { owner, address, blocks });
                address += blocks;
            }
        };
        look(Owner::Journal, &|mappings| self.map_journal(mappings));
        for (position, directory) in survey.directories.iter().enumerate() {
            look(Owner::Directory(position), &|mappings| self.map_directory(directory, mappings));
        }
        let mut first_place = 0;
        for (id, inode) in tree.inodes() {
            let Node::Leaf(Leaf::File(content)) = &inode.node else { continue };
            if !content.extents.is_empty() {
                look(Owner::File { id, first_place }, &|mappings| {
                    self.map_file(survey, content, first_place, mappings);
                });
                first_place += content.extents.len();
            }
        }
        found
    }

    /// Where the journal lies.
    pub(crate) fn map_journal(&self, mappings: &mut Vec<Mapping>) {
        self.layout.journal.map(0, self.layout.geometry.journal_blocks, 0, mappings);
    }

    /// Where a made `lost+found` lies.
    pub(crate) fn map_lost_and_found(&self, mappings: &mut Vec<Mapping>) {
        self.layout.directories.map(0, LOST_AND_FOUND_BLOCKS, 0, mappings);
    }

    /// Where a directory lies.
    pub(crate) fn map_directory(&self, directory: &DirectoryBlocks, mappings: &mut Vec<Mapping>) {
        self.layout.directories.map(directory.address, directory.blocks, 0, mappings);
    }

    /// Where a file's contents lie; `first_place` is the position of its first extent among all places.
    pub(crate) fn map_file(
        &self,
        survey: &Survey,
        content: &Content,
        first_place: usize,
        mappings: &mut Vec<Mapping>,
    ) {
        let places = survey.contents.places.get(first_place..).unwrap_or_default();
        for (extent, place) in content.extents.iter().zip(places) {
            let run = self.addresses.get(index(u64::from(place.run))).copied().unwrap_or_default();
            let region = if run.shared { &self.layout.shares } else { &self.layout.copies };
            let address = run.address + u64::from(place.offset);
            region.map(address, extent.block_count, extent.logical_block, mappings);
        }
    }
}

/// Runs one after the other, the chosen ones among the shared blocks.
fn address_runs(survey: &Survey, chosen: &[u32]) -> Vec<RunAddress> {
    let mut addresses: Vec<RunAddress> = vec![RunAddress::default(); survey.contents.runs.len()];
    for &run in chosen {
        if let Some(run) = addresses.get_mut(index(u64::from(run))) {
            run.shared = true;
        }
    }
    let (mut shared, mut copied) = (0, 0);
    for (place, run) in addresses.iter_mut().zip(&survey.contents.runs) {
        let next = if place.shared { &mut shared } else { &mut copied };
        place.address = *next;
        *next += run.blocks;
    }
    addresses
}
