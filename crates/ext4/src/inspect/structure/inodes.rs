//! Every inode in use, and what belongs to it.

use std::collections::{HashMap, HashSet};

use super::blocks::Blocks;
use super::entries;
use crate::checksum::Checksum;
use crate::extent::{self, Mapping, Unreadable};
use crate::features::{Compat, RoCompat};
use crate::inode::{self, InodeFlags, RawInode};
use crate::inspect::{Disk, InspectError};

/// The longest target of a symbolic link that is kept in its inode, in bytes, and one more.
const FAST_LINK: u64 = 60;

/// The inodes of a filesystem, looked at one after the other.
pub(super) struct Inodes<'a> {
    disk: &'a Disk<'a>,
    seed: Checksum,
    blocks: Blocks,
    /// Several files may share a block of attributes.
    attributes: HashSet<u64>,
    /// Some have blocks, or entries, that are not followed here.
    other_blocks: bool,
    other_entries: bool,
    /// Inodes in use that have names, and how many they say; `None` where it does not count.
    links: HashMap<u32, Option<u16>>,
    /// How often each is named.
    names: HashMap<u32, u32>,
}

impl<'a> Inodes<'a> {
    pub(super) fn new(disk: &'a Disk<'a>, seed: Checksum, blocks: Blocks) -> Self {
        Self {
            disk,
            seed,
            blocks,
            attributes: HashSet::new(),
            other_blocks: false,
            other_entries: false,
            links: HashMap::new(),
            names: HashMap::new(),
        }
    }

    pub(super) fn look_at(&mut self, number: u32, raw: &RawInode) -> Result<(), InspectError> {
        let flags = raw.flags();
        if flags.contains(InodeFlags::EXTENTS) {
            let mappings = self.extents(raw, raw.seed(number, self.seed))?;
            if raw.is_directory() {
                self.directory(number, raw, &mappings)?;
            }
        } else if number == inode::RESIZE {
            // All else that it has are descriptors, which are their groups'.
            if let Some(block @ 1..) = raw.double_indirect() {
                self.blocks.take(block, 1)?;
            }
        } else if raw.is_directory() {
            (self.other_blocks, self.other_entries) = (true, true);
        } else if raw.has_contents() && !(raw.is_symlink() && raw.size() < FAST_LINK) {
            self.other_blocks = true;
        }
        let attributes = raw.attributes_block();
        if attributes != 0 && self.attributes.insert(attributes) {
            self.blocks.take(attributes, 1)?;
        }
        if number == inode::ROOT || number >= self.disk.superblock.s_first_ino.get() {
            let many = raw.is_directory() && raw.links() == 1;
            let counted = !many && !flags.contains(InodeFlags::EA_INODE) && raw.links() > 0;
            self.links.insert(number, counted.then(|| raw.links()));
        }
        Ok(())
    }

    /// Takes all blocks of an extent tree; of a directory or file, where its contents are.
    fn extents(&mut self, raw: &RawInode, seed: Checksum) -> Result<Vec<Mapping>, InspectError> {
        let blocks = &mut self.blocks;
        let mut damaged = None;
        let mut take = |start, count| match blocks.take(start, count) {
            Ok(()) => true,
            Err(error) => {
                damaged.get_or_insert(error);
                false
            }
        };
        let walked = extent::walk(self.disk, raw.block(), seed, &mut take);
        match (walked, damaged) {
            (_, Some(error)) => Err(error),
            (Ok(mappings), None) => Ok(mappings),
            (Err(Unreadable::Device(error)), None) => Err(error.into()),
            (Err(Unreadable::Tree), None) => Err(InspectError::damaged("a file's extents")),
        }
    }

    fn directory(&mut self, number: u32, raw: &RawInode, mappings: &[Mapping]) -> Result<(), InspectError> {
        let indexed = raw.flags().contains(InodeFlags::INDEX);
        let seed = raw.seed(number, self.seed);
        for mapping in mappings {
            for block in 0..mapping.blocks {
                let bytes = self.disk.read_blocks(mapping.physical.saturating_add(block), 1)?;
                let is_root = indexed && mapping.logical.saturating_add(block) == 0;
                for named in entries::of(&bytes, indexed, is_root, seed)? {
                    let count = self.names.entry(named).or_default();
                    *count = count.saturating_add(1);
                }
            }
        }
        Ok(())
    }

    /// Whether what is in use of a group is what its bitmap says.
    pub(super) fn check_blocks(&self, group: u64, bitmap: &[u8], free: u64) -> Result<(), InspectError> {
        if self.other_blocks || self.disk.features.has_ro_compat(RoCompat::SHARED_BLOCKS) {
            return Ok(());
        }
        self.blocks.check(group, bitmap, free)
    }

    /// Whether every name names something, and everything has as many as it says.
    pub(super) fn check_names(&self) -> Result<(), InspectError> {
        if self.other_entries {
            return Ok(());
        }
        if self.names.keys().any(|named| !self.links.contains_key(named)) {
            return Err(InspectError::damaged("an entry of a directory"));
        }
        // Quotas of projects and lists of orphans have inodes without names.
        let features = self.disk.features;
        let nameless = features.has_ro_compat(RoCompat::PROJECT)
            || features.has_ro_compat(RoCompat::QUOTA)
            || features.has_compat(Compat::ORPHAN_FILE);
        for (number, links) in &self.links {
            let names = self.names.get(number).copied().unwrap_or(0);
            if let Some(links) = *links
                && u32::from(links) != names
                && !(nameless && names == 0)
            {
                return Err(InspectError::damaged("the number of a file's names"));
            }
        }
        Ok(())
    }
}
