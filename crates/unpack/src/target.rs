use std::fs::File;

use offshoot_tree::TreePath;
use rustix::fs::{Dir, Gid, Mode, Uid};
use rustix::io::Errno;

use crate::Error;
use crate::failure::{During, Failure};

/// The directory that a tree is unpacked into, until then nobody's but ours.
pub(crate) struct Target<'a> {
    pub(crate) directory: &'a File,
    /// Whom everything belongs to that is made: user and group.
    pub(crate) creator: (u32, u32),
}

impl<'a> Target<'a> {
    /// Checks that the directory is empty and takes it: it belongs to the caller alone, and what is made in it
    /// inherits nothing.
    pub(crate) fn take(directory: &'a File) -> Result<Self, Error> {
        let at_root = |failure: Failure| failure.at(TreePath::root());
        let entries = Dir::read_from(directory).during("read the directory").map_err(at_root)?;
        for entry in entries {
            let entry = entry.during("read the directory").map_err(at_root)?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                return Err(Error::NotEmpty);
            }
        }
        Self::make_private(directory).map_err(at_root)
    }

    fn make_private(directory: &'a File) -> Result<Self, Failure> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let stat = rustix::fs::fstat(directory).during("inspect")?;
        if (stat.st_uid, stat.st_gid) != (uid.as_raw(), gid.as_raw()) {
            // Where groups are inherited, all that is made has this one.
            rustix::fs::fchown(directory, Some(uid), Some(gid)).during("take over")?;
            let stat = rustix::fs::fstat(directory).during("inspect")?;
            if (stat.st_uid, stat.st_gid) != (uid.as_raw(), gid.as_raw()) {
                return Err(Failure::Host { operation: "take over", source: Errno::PERM.into() });
            }
        }
        for acl in ["system.posix_acl_default", "system.posix_acl_access"] {
            match rustix::fs::fremovexattr(directory, acl) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error).during("remove the access control list of"),
            }
        }
        rustix::fs::fchmod(directory, Mode::RWXU).during("set the mode of")?;
        Ok(Self { directory, creator: (uid.as_raw(), gid.as_raw()) })
    }
}

/// Ids that were checked, as the kernel's calls take them.
pub(crate) fn owner(uid: u32, gid: u32) -> (Uid, Gid) {
    (Uid::from_raw(uid), Gid::from_raw(gid))
}
