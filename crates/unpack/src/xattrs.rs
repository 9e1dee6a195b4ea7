use std::fs::File;
use std::os::fd::AsRawFd;

use offshoot_tree::{InodeId, Leaf, Node};
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::directory::Maker;
use crate::failure::{During, Failure};
use crate::{OVERRIDE_STAT, Ownership, override_stat};

const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

impl Maker<'_> {
    /// Sets the extended attributes of an open file or directory, the record of its owner among them; says
    /// whether they may have changed its mode.
    pub(crate) fn set_xattrs(&mut self, id: InodeId, file: &File) -> Result<bool, Failure> {
        if self.job.options.ownership == Ownership::OverrideXattr {
            let inode = self.job.survey.tree.inode(id);
            let record = override_stat::format(&inode.metadata, &inode.node);
            rustix::fs::fsetxattr(file, OVERRIDE_STAT, record.as_bytes(), XattrFlags::empty())
                .during("record the owner of")?;
        }
        self.set_each(id, |name, value| rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()))
    }

    /// The same for what cannot be opened: nothing is recorded.
    pub(crate) fn set_xattrs_named(
        &mut self,
        id: InodeId,
        parent: &File,
        name: &[u8],
    ) -> Result<bool, Failure> {
        let inode = self.job.survey.tree.inode(id);
        let is_symlink = matches!(inode.node, Node::Leaf(Leaf::Symlink(_)));
        if is_symlink && self.job.options.ownership == Ownership::OverrideXattr {
            self.summary.owners_lost += 1;
        }
        if inode.metadata.xattrs.is_empty() {
            return Ok(false);
        }
        // There is no such call relative to a directory on kernels of today. This leads to the one that is
        // open, and the last name is not followed.
        let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        let path = path.as_slice();
        self.set_each(id, |name, value| rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()))
    }

    fn set_each(
        &mut self,
        id: InodeId,
        set: impl Fn(&[u8], &[u8]) -> rustix::io::Result<()>,
    ) -> Result<bool, Failure> {
        let overrides = self.job.options.ownership == Ownership::OverrideXattr;
        let survey = &self.job.survey;
        let mut changes_mode = false;
        for (name, value) in &survey.tree.inode(id).metadata.xattrs {
            let name = name.as_slice();
            // The ids in a list would be the host's, and another's record is not ours.
            let left_out =
                overrides && (matches!(name, ACL_ACCESS | ACL_DEFAULT) || name == OVERRIDE_STAT.as_bytes());
            let result = if left_out { Err(Errno::PERM) } else { set(name, value) };
            match result {
                Ok(()) => changes_mode |= name == ACL_ACCESS,
                Err(error) if is_refusal(error) => self.summary.refuse(|| survey.path(id), name),
                Err(error) => return Err(error).during("set an extended attribute of"),
            }
        }
        Ok(changes_mode)
    }
}

/// Whether the kernel will have no such attribute, rather than have failed to store it.
fn is_refusal(error: Errno) -> bool {
    matches!(
        error,
        Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::INVAL | Errno::TOOBIG | Errno::RANGE
    )
}
