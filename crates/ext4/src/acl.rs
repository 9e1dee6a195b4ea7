//! POSIX access control lists: from the form that `setxattr` takes (`include/uapi/linux/posix_acl_xattr.h`)
//! to the one on disk (`fs/ext4/acl.h`), which leaves out ids that say nothing.

use std::mem::size_of;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `POSIX_ACL_XATTR_VERSION`.
const XATTR_VERSION: u32 = 2;
/// `EXT4_ACL_VERSION`.
const DISK_VERSION: u32 = 1;

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// An entry as `setxattr` takes it; on disk, the id is left out of all but users' and groups' entries.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct XattrEntry {
    e_tag: U16,
    e_perm: U16,
    e_id: U32,
}

const _: () = assert!(size_of::<XattrEntry>() == 8);

/// The list as it is on disk; `None` if it is not one that the kernel takes (`posix_acl_valid`).
pub(crate) fn to_disk(xattr: &[u8]) -> Option<Vec<u8>> {
    let (version, entries) = U32::read_from_prefix(xattr).ok()?;
    let entries = <[XattrEntry]>::ref_from_bytes(entries).ok()?;
    if version.get() != XATTR_VERSION || !is_valid(entries) {
        return None;
    }
    let mut disk = DISK_VERSION.to_le_bytes().to_vec();
    for entry in entries {
        disk.extend_from_slice(entry.e_tag.as_bytes());
        disk.extend_from_slice(entry.e_perm.as_bytes());
        if matches!(entry.e_tag.get(), USER | GROUP) {
            disk.extend_from_slice(entry.e_id.as_bytes());
        }
    }
    Some(disk)
}

/// In order: owner, users, group, groups, mask if there are users or groups, others.
fn is_valid(entries: &[XattrEntry]) -> bool {
    let mut previous = 0;
    let mut named = false;
    let mut seen = 0;
    for entry in entries {
        let tag = entry.e_tag.get();
        let again = matches!(tag, USER | GROUP);
        let known = matches!(tag, USER_OBJ | USER | GROUP_OBJ | GROUP | MASK | OTHER);
        let in_order = tag > previous || (again && tag == previous);
        if !known || !in_order || entry.e_perm.get() > 7 || (again && entry.e_id.get() == u32::MAX) {
            return false;
        }
        named |= again;
        seen |= tag;
        previous = tag;
    }
    let needed = USER_OBJ | GROUP_OBJ | OTHER | if named { MASK } else { 0 };
    seen & needed == needed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattr(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = 2u32.to_le_bytes().to_vec();
        for &(tag, perm, id) in entries {
            bytes.extend_from_slice(&tag.to_le_bytes());
            bytes.extend_from_slice(&perm.to_le_bytes());
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn takes_what_the_kernel_takes() {
        let none = u32::MAX;
        let minimal = [(USER_OBJ, 7, none), (GROUP_OBJ, 5, none), (OTHER, 0, none)];
        assert_eq!(to_disk(&xattr(&minimal)).unwrap(), b"\x01\0\0\0\x01\0\x07\0\x04\0\x05\0\x20\0\0\0");
        let named = [minimal[0], (USER, 6, 1000), (USER, 6, 7), minimal[1], (MASK, 7, none), minimal[2]];
        assert_eq!(to_disk(&xattr(&named)).unwrap().len(), 4 + 4 * 4 + 2 * 8);
        for malformed in [
            vec![],
            b"\x02\0\0".to_vec(),
            xattr(&[]),
            xattr(&minimal[..2]),
            xattr(&[minimal[1], minimal[0], minimal[2]]),
            xattr(&[minimal[0], minimal[0], minimal[1], minimal[2]]),
            xattr(&[minimal[0], (USER, 6, 1000), minimal[1], minimal[2]]),
            xattr(&[(USER_OBJ, 8, none), minimal[1], minimal[2]]),
            xattr(&[minimal[0], minimal[1], minimal[2], (0x40, 1, none)]),
            [xattr(&minimal), vec![0]].concat(),
            [&1u32.to_le_bytes()[..], &xattr(&minimal)[4..]].concat(),
        ] {
            assert_eq!(to_disk(&malformed), None, "{malformed:?}");
        }
    }
}
