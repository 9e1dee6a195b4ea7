//! From a plan to bytes, in the order of the disk.

use offshoot_tree::{Leaf, Node};
use zerocopy::IntoBytes;

use crate::bitmap::Bitmap;
use crate::checksum::Checksum;
use crate::error::Error;
use crate::extent::Mapping;
use crate::geometry::GROUP_BLOCKS;
use crate::group_descriptor::{GroupDescriptor, GroupFlags};
use crate::halves::{index, low32};
use crate::hash::NameHasher;
use crate::inode::{self, RawInode};
use crate::journal::JournalSuperblock;
use crate::layout::Layout;
use crate::output::{Backup, Output};
use crate::placement::{DeepTree, Owner};
use crate::plan::Plan;
use crate::records::{self, Records};
use crate::sums::Sums;
use crate::superblock::{self, Superblock};
use crate::xattr::EncodedXattrs;
use crate::{BLOCK_BYTES, Sink, Transfer, directory, path, resize_inode, survey};

/// Writes all of a plan.
pub(crate) fn emit(plan: &Plan<'_>, sink: &mut dyn Sink) -> Result<(), Error> {
    sink.set_len(plan.size_bytes()).map_err(|source| Error::Sink {
        operation: "set the length",
        offset: plan.size_bytes(),
        source,
    })?;
    let seed = Checksum::of_filesystem(&plan.options.uuid);
    let descriptors = descriptors(plan, seed);
    let superblock = plan.superblock(seed);
    let geometry = &plan.placement.layout.geometry;
    let backups = geometry.backup_groups().map(|group| Backup {
        block: group.saturating_mul(GROUP_BLOCKS),
        superblock: block_with(0, superblock.backup(low32(group), Sums::Crc32c(seed)).as_bytes()),
    });
    let output = Output::new(sink, backups.collect(), &descriptors);
    let mut emitter = Emitter { plan, layout: &plan.placement.layout, seed, output };
    emitter.head(&superblock, &descriptors)?;
    emitter.bitmaps()?;
    emitter.directories()?;
    emitter.xattr_blocks()?;
    emitter.extent_blocks()?;
    emitter.symlinks()?;
    emitter.contents(Transfer::Copy)?;
    emitter.journal()?;
    emitter.inode_tables()?;
    emitter.contents(Transfer::Share)?;
    emitter.output.finish()
}

/// A block of zeros but for these bytes.
fn block_with(offset: usize, bytes: &[u8]) -> Box<[u8; 4096]> {
    let mut block = Box::new([0; 4096]);
    for (to, from) in block.iter_mut().skip(offset).zip(bytes) {
        *to = *from;
    }
    block
}

/// The block bitmap of a group; the last group's is padded with ones.
fn block_bitmap(layout: &Layout, group: u64) -> Bitmap {
    let mut bitmap = Bitmap::new();
    let first = group.saturating_mul(GROUP_BLOCKS);
    for range in layout.used_within(first..first.saturating_add(GROUP_BLOCKS)) {
        bitmap.set(range);
    }
    bitmap.set(layout.geometry.group_blocks(group)..Bitmap::BITS);
    bitmap
}

/// The inode bitmap of a group, padded with ones.
fn inode_bitmap(layout: &Layout, group: u64) -> Bitmap {
    let mut bitmap = Bitmap::new();
    bitmap.set(0..layout.used_inodes(group));
    bitmap.set(layout.geometry.inodes_per_group..Bitmap::BITS);
    bitmap
}

/// All group descriptors, as many whole blocks as they take.
fn descriptors(plan: &Plan<'_>, seed: Checksum) -> Vec<u8> {
    let layout = &plan.placement.layout;
    let geometry = &layout.geometry;
    let mut directories = vec![0u32; index(layout.groups_with_inodes())];
    let numbering = plan.survey.numbering;
    let numbers = plan.survey.directories.iter().map(|directory| numbering.number(directory.id));
    for number in numbers.chain(numbering.makes_lost_and_found.then_some(inode::FIRST)) {
        let group = u64::from(number.saturating_sub(1)).checked_div(geometry.inodes_per_group).unwrap_or(0);
        if let Some(count) = directories.get_mut(index(group)) {
            *count = count.saturating_add(1);
        }
    }
    let inode_bitmap_bytes = index(geometry.inodes_per_group / 8);
    let mut bytes = Vec::with_capacity(index(geometry.descriptor_blocks.saturating_mul(BLOCK_BYTES)));
    for (group, &inode_table) in (0..geometry.groups).zip(&layout.inode_tables) {
        let first = group.saturating_mul(GROUP_BLOCKS);
        let blocks = geometry.group_blocks(group);
        let used = layout
            .used_within(first..first.saturating_add(blocks))
            .fold(0, |sum: u64, range| sum.saturating_add(range.end.saturating_sub(range.start)));
        let used_inodes = layout.used_inodes(group);
        let free_inodes = low32(geometry.inodes_per_group.saturating_sub(used_inodes));
        let mut descriptor = GroupDescriptor {
            flags: GroupFlags::INODE_ZEROED,
            block_bitmap: layout.bitmaps.physical(group),
            inode_bitmap: layout.bitmaps.physical(geometry.groups.saturating_add(group)),
            inode_table,
            free_blocks: low32(blocks.saturating_sub(used)),
            free_inodes,
            used_directories: directories.get(index(group)).copied().unwrap_or(0),
            unused_inodes: free_inodes,
            block_bitmap_checksum: 0,
            inode_bitmap_checksum: 0,
        };
        if layout.has_block_bitmap(group) {
            let bitmap = block_bitmap(layout, group);
            descriptor.block_bitmap_checksum = seed.update(bitmap.as_bytes()).value();
        } else {
            descriptor.flags |= GroupFlags::BLOCK_UNINIT;
        }
        if used_inodes > 0 {
            let bitmap = inode_bitmap(layout, group);
            let covered = bitmap.as_bytes().get(..inode_bitmap_bytes).unwrap_or_default();
            descriptor.inode_bitmap_checksum = seed.update(covered).value();
        } else {
            descriptor.flags |= GroupFlags::INODE_UNINIT;
        }
        bytes.extend_from_slice(descriptor.to_disk(low32(group), seed).as_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(4096), 0);
    bytes
}

struct Emitter<'p, 'a> {
    plan: &'p Plan<'a>,
    layout: &'p Layout,
    /// The filesystem's.
    seed: Checksum,
    output: Output<'p>,
}

impl Emitter<'_, '_> {
    /// Superblock, descriptors, and the resize inode's tree in the reserved ones.
    fn head(&mut self, superblock: &Superblock, descriptors: &[u8]) -> Result<(), Error> {
        let geometry = &self.layout.geometry;
        self.output.write(0, block_with(superblock::OFFSET, superblock.as_bytes()).as_slice())?;
        self.output.write(1, descriptors)?;
        if geometry.groups > 1 {
            let first = geometry.descriptor_blocks.saturating_add(1);
            for number in first..first.saturating_add(geometry.reserved_blocks) {
                self.output.write(number, &resize_inode::reserved(geometry, number))?;
            }
        }
        self.output.write(self.layout.double_indirect, &resize_inode::double_indirect(geometry))
    }

    fn bitmaps(&mut self) -> Result<(), Error> {
        let layout = self.layout;
        let groups = layout.geometry.groups;
        for group in (0..groups).filter(|&group| layout.has_block_bitmap(group)) {
            self.output.write(layout.bitmaps.physical(group), block_bitmap(layout, group).as_bytes())?;
        }
        for group in 0..layout.groups_with_inodes() {
            let number = layout.bitmaps.physical(groups.saturating_add(group));
            self.output.write(number, inode_bitmap(layout, group).as_bytes())?;
        }
        Ok(())
    }

    fn directories(&mut self) -> Result<(), Error> {
        let Self { plan, layout, seed, .. } = *self;
        let hasher = NameHasher::new(&plan.options.hash_seed);
        let mut addresses = 0..;
        let mut write = |block: &[u8; 4096]| {
            let number = layout.directories.physical(addresses.next().unwrap_or_default());
            self.output.write(number, block)
        };
        let numbering = plan.survey.numbering;
        if numbering.makes_lost_and_found {
            let numbers = (inode::FIRST, inode::ROOT);
            directory::emit_lost_and_found(numbers, seed.of_inode(inode::FIRST), &mut write)?;
        }
        for blocks in &plan.survey.directories {
            let number = numbering.number(blocks.id);
            let entries = survey::entries(plan.tree, numbering, blocks.id);
            let numbers = (number, blocks.parent);
            directory::emit(&entries, numbers, (hasher, seed.of_inode(number)), &mut write)?;
        }
        Ok(())
    }

    fn xattr_blocks(&mut self) -> Result<(), Error> {
        for (address, &id) in (0..).zip(&self.plan.survey.xattr_blocks) {
            let xattrs = &self.plan.tree.inode(id).metadata.xattrs;
            let encoded =
                EncodedXattrs::new(xattrs).map_err(|problem| path::error(self.plan.tree, id, problem))?;
            let number = self.layout.xattr_blocks.physical(address);
            if let Some(block) = encoded.into_block(number, self.seed) {
                self.output.write(number, block.as_slice())?;
            }
        }
        Ok(())
    }

    fn extent_blocks(&mut self) -> Result<(), Error> {
        let plan = self.plan;
        let mut mappings: Vec<Mapping> = Vec::new();
        for deep in &plan.placement.deep_trees {
            mappings.clear();
            let number = self.map(deep, &mut mappings);
            let (tree, address) = records::extent_tree(plan, Some(deep), &mappings);
            let seed = self.seed.of_inode(number);
            for (block, bytes) in (0..).zip(tree.blocks(seed, &address)) {
                self.output.write(address(block), &bytes)?;
            }
        }
        Ok(())
    }

    /// The mappings of a deep tree's owner, and its inode number.
    fn map(&self, deep: &DeepTree, mappings: &mut Vec<Mapping>) -> u32 {
        let Plan { tree, survey, placement, .. } = self.plan;
        match deep.owner {
            Owner::Journal => {
                placement.map_journal(mappings);
                inode::JOURNAL
            }
            Owner::Directory(position) => survey.directories.get(position).map_or(0, |directory| {
                placement.map_directory(directory, mappings);
                survey.numbering.number(directory.id)
            }),
            Owner::File { id, first_place } => {
                if let Node::Leaf(Leaf::File(content)) = &tree.inode(id).node {
                    placement.map_file(survey, content, first_place, mappings);
                }
                survey.numbering.number(id)
            }
        }
    }

    fn symlinks(&mut self) -> Result<(), Error> {
        for (address, &id) in (0..).zip(&self.plan.survey.symlinks) {
            if let Node::Leaf(Leaf::Symlink(target)) = &self.plan.tree.inode(id).node {
                let number = self.layout.symlinks.physical(address);
                self.output.write(number, block_with(0, target).as_slice())?;
            }
        }
        Ok(())
    }

    fn contents(&mut self, how: Transfer) -> Result<(), Error> {
        let placement = &self.plan.placement;
        let shares = how == Transfer::Share;
        let region = if shares { &self.layout.shares } else { &self.layout.copies };
        for (run, place) in self.plan.survey.contents.runs.iter().zip(&placement.addresses) {
            if place.shared != shares {
                continue;
            }
            for (address, number, blocks) in region.ranges(place.address, run.blocks) {
                let into = address.saturating_sub(place.address);
                let source_block = run.source_block.saturating_add(into);
                self.output.transfer(run.source, source_block, number, blocks, how)?;
            }
        }
        Ok(())
    }

    fn journal(&mut self) -> Result<(), Error> {
        let blocks = self.layout.geometry.journal_blocks;
        if blocks == 0 {
            return Ok(());
        }
        let superblock = JournalSuperblock::empty(blocks, &self.plan.options.uuid);
        let number = self.layout.journal.physical(0);
        self.output.write(number, block_with(0, superblock.as_bytes()).as_slice())
    }

    fn inode_tables(&mut self) -> Result<(), Error> {
        let mut table =
            InodeTable { layout: self.layout, output: &mut self.output, block: Vec::new(), next: 1 };
        let mut records = Records::new(self.plan);
        let mut inodes = self.plan.tree.inodes();
        for number in 1..inode::FIRST {
            let raw = match number {
                inode::ROOT => match inodes.next() {
                    Some((id, root)) => records.make(id, root)?.to_disk(number, self.seed),
                    None => inode::unused_reserved(number, self.seed),
                },
                inode::RESIZE => records::resize(self.plan).to_disk(number, self.seed),
                inode::JOURNAL => match records::journal(self.plan) {
                    Some(record) => record.to_disk(number, self.seed),
                    None => inode::unused_reserved(number, self.seed),
                },
                _ => inode::unused_reserved(number, self.seed),
            };
            table.push(&raw)?;
        }
        if self.plan.survey.numbering.makes_lost_and_found {
            table.push(&records::lost_and_found(self.plan).to_disk(inode::FIRST, self.seed))?;
        }
        for (id, inode) in inodes {
            let number = self.plan.survey.numbering.number(id);
            table.push(&records.make(id, inode)?.to_disk(number, self.seed))?;
        }
        table.finish()
    }
}

/// Inodes on their way into the tables of the groups, in the order of their numbers.
struct InodeTable<'o, 'p> {
    layout: &'p Layout,
    output: &'o mut Output<'p>,
    /// The block being filled.
    block: Vec<u8>,
    /// The next inode's number.
    next: u64,
}

impl InodeTable<'_, '_> {
    fn push(&mut self, raw: &RawInode) -> Result<(), Error> {
        self.block.extend_from_slice(raw.as_bytes());
        self.next = self.next.saturating_add(1);
        if self.block.len() >= 4096 {
            self.flush()?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), Error> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.flush()
    }

    /// Writes the block that has the inode before the next one.
    fn flush(&mut self) -> Result<(), Error> {
        self.block.resize(4096, 0);
        let before = self.next.saturating_sub(2);
        let per_group = self.layout.geometry.inodes_per_group;
        let group = before.checked_div(per_group).unwrap_or_default();
        let table = self.layout.inode_tables.get(index(group)).copied().unwrap_or_default();
        let within = before.checked_rem(per_group).unwrap_or_default() / inode::PER_BLOCK;
        self.output.write(table.saturating_add(within), &self.block)?;
        self.block.clear();
        Ok(())
    }
}
