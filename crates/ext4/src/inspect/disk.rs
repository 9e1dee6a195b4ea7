//! A filesystem on a device, its superblock read and believed as far as its shape.

use zerocopy::FromBytes;

use crate::device::{Device, DeviceError};
use crate::features::Features;
use crate::group_descriptor::RawGroupDescriptor;
use crate::halves::{index, low32};
use crate::inode::RawInode;
use crate::inspect::{InspectError, Shape};
use crate::sums::Sums;
use crate::superblock::{self, Superblock};

/// A filesystem on a device.
pub(crate) struct Disk<'a> {
    pub(crate) device: &'a dyn Device,
    pub(crate) device_bytes: u64,
    pub(crate) superblock: Superblock,
    pub(crate) features: Features,
    pub(crate) shape: Shape,
    pub(crate) sums: Sums,
}

/// An inode, and where its bytes are.
pub(crate) struct StoredInode {
    pub(crate) number: u32,
    pub(crate) raw: RawInode,
    /// The block it is in, and where there.
    pub(crate) block: u64,
    pub(crate) offset: usize,
}

impl<'a> Disk<'a> {
    /// Reads the primary superblock.
    pub(crate) fn open(device: &'a dyn Device) -> Result<Self, InspectError> {
        let device_bytes = device.size()?;
        let offset = u64::try_from(superblock::OFFSET).unwrap_or(0);
        if device_bytes < offset.saturating_mul(2) {
            return Err(InspectError::NotExt4);
        }
        let bytes = device.read(offset, size_of::<Superblock>())?;
        let superblock = Superblock::read_from_bytes(&bytes).map_err(|_| InspectError::NotExt4)?;
        let shape = Shape::of(&superblock, device_bytes)?;
        let sums = Sums::of(&superblock);
        if !sums.holds(&superblock) {
            return Err(InspectError::damaged("the superblock's checksum"));
        }
        let features = Features::of(&superblock);
        Ok(Self { device, device_bytes, superblock, features, shape, sums })
    }

    /// Reads blocks of the filesystem; the caller has bounded how many.
    pub(crate) fn read_blocks(&self, start: u64, blocks: u64) -> Result<Vec<u8>, DeviceError> {
        let block_bytes = self.shape.block_bytes;
        self.device.read(start.saturating_mul(block_bytes), index(blocks.saturating_mul(block_bytes)))
    }

    /// The first block of the table of descriptors.
    pub(crate) fn table_start(&self) -> u64 {
        self.shape.first_block.saturating_add(1)
    }

    /// A group's descriptor out of bytes of the table that start with that of group `first`.
    pub(crate) fn descriptor_in(
        &self,
        table: &[u8],
        first: u64,
        group: u64,
    ) -> Result<RawGroupDescriptor, InspectError> {
        let offset = index(self.shape.descriptor_offset(group.saturating_sub(first)));
        let bytes = table.get(offset..).and_then(|rest| rest.get(..index(self.shape.descriptor_bytes)));
        let bytes = bytes.ok_or(InspectError::damaged("the number of groups"))?;
        let raw = RawGroupDescriptor::read(bytes);
        if self.sums != Sums::None && raw.checksum() != self.sums.descriptor(low32(group), bytes) {
            return Err(InspectError::damaged("a group descriptor's checksum"));
        }
        Ok(raw)
    }

    /// Reads one group's descriptor.
    fn descriptor(&self, group: u64) -> Result<RawGroupDescriptor, InspectError> {
        let start = self.table_start().saturating_mul(self.shape.block_bytes);
        let offset = start.saturating_add(self.shape.descriptor_offset(group));
        let bytes = self.device.read(offset, index(self.shape.descriptor_bytes))?;
        self.descriptor_in(&bytes, group, group)
    }

    /// Reads an inode, its checksum checked.
    pub(crate) fn inode(&self, number: u32) -> Result<StoredInode, InspectError> {
        let damaged = || InspectError::damaged("a reserved inode");
        let shape = &self.shape;
        let position = u64::from(number.checked_sub(1).ok_or_else(damaged)?);
        let group = position.checked_div(shape.inodes_per_group).ok_or_else(damaged)?;
        let within = position.checked_rem(shape.inodes_per_group).ok_or_else(damaged)?;
        if group >= shape.groups {
            return Err(damaged());
        }
        let table = self.descriptor(group)?.decode().inode_table;
        if !shape.contains(table, shape.inode_table_blocks()) {
            return Err(InspectError::damaged("where a group's inode table is"));
        }
        let bytes = within.saturating_mul(shape.inode_bytes);
        let block = table.saturating_add(bytes.checked_div(shape.block_bytes).unwrap_or(0));
        let offset = bytes.checked_rem(shape.block_bytes).unwrap_or(0);
        let at = block.saturating_mul(shape.block_bytes).saturating_add(offset);
        let bytes = self.device.read(at, index(shape.inode_bytes))?;
        let raw = RawInode::read(&bytes);
        if let Some(checksum) = self.inode_checksum(number, &raw, &bytes)
            && checksum != raw.checksum(shape.inode_bytes)
        {
            return Err(InspectError::damaged("a reserved inode's checksum"));
        }
        Ok(StoredInode { number, raw, block, offset: index(offset) })
    }

    /// An inode's checksum over all its bytes, of which `raw` has the first; as much of it as is stored.
    pub(crate) fn inode_checksum(&self, number: u32, raw: &RawInode, bytes: &[u8]) -> Option<u32> {
        let Sums::Crc32c(seed) = self.sums else { return None };
        let mut zeroed = raw.clone();
        zeroed.set_checksum(0, self.shape.inode_bytes);
        let head = zerocopy::IntoBytes::as_bytes(&zeroed);
        let known = head.get(..bytes.len().min(head.len())).unwrap_or_default();
        let beyond = bytes.get(known.len()..).unwrap_or_default();
        let checksum = raw.seed(number, seed).update(known).update(beyond).value();
        zeroed.set_checksum(checksum, self.shape.inode_bytes);
        Some(zeroed.checksum(self.shape.inode_bytes))
    }
}
