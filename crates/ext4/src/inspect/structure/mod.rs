//! Whether a filesystem is what its parts say of each other: a look at all metadata, as e2fsck has one.

mod blocks;
mod entries;
mod groups;
mod inodes;

use crate::device::Device;
use crate::features::{Incompat, RoCompat};
use crate::grow::is_usual;
use crate::inspect::{Disk, InspectError, State};
use crate::sums::Sums;
use blocks::Blocks;
use inodes::Inodes;

/// Looks at all that describes a filesystem: descriptors, bitmaps, every inode in use, its extents and extended
/// attributes, directories.
///
/// `Ok` says that all of it has the checksums that it was written with; that no block is two files', and those in use are
/// the ones that the bitmaps say; that every entry of a directory names an inode in use, and every inode has as many
/// names as it says. The backups of superblock and descriptors, hashes of names, and what attributes hold are not
/// looked at.
///
/// Of a filesystem without checksums, one that was not unmounted, so that its journal knows better, or one that is laid
/// out in another way (`meta_bg`, `bigalloc`), nothing is said; nor of the blocks and names of one that has files of the
/// old form, without extents, or with contents in their inodes.
pub fn check_structure(device: &dyn Device) -> Result<(), InspectError> {
    let disk = Disk::open(device)?;
    let Sums::Crc32c(seed) = disk.sums else { return Ok(()) };
    let is_other =
        disk.features.has_incompat(Incompat::META_BG) || disk.features.has_ro_compat(RoCompat::BIGALLOC);
    if State::of(&disk) != State::Clean || is_other {
        return Ok(());
    }
    if !is_usual(&disk) {
        return groups::each(&disk, |group, descriptor| {
            groups::block_bitmap(&disk, descriptor)?;
            groups::used_inodes(&disk, group, descriptor, |_, _| Ok(()))
        });
    }
    let mut blocks = Blocks::new(&disk);
    groups::each(&disk, |group, descriptor| blocks.take_group(group, descriptor))?;
    let mut inodes = Inodes::new(&disk, seed, blocks);
    groups::each(&disk, |group, descriptor| {
        groups::used_inodes(&disk, group, descriptor, |number, raw| inodes.look_at(number, raw))
    })?;
    groups::each(&disk, |group, descriptor| match groups::block_bitmap(&disk, descriptor)? {
        Some(bitmap) => inodes.check_blocks(group, &bitmap, descriptor.free_blocks.into()),
        None => Ok(()),
    })?;
    inodes.check_names()
}
