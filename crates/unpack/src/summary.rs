use offshoot_tree::TreePath;

/// What [`unpack`](crate::unpack) made, and what the host could not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Regular files; those that stand for devices and the like not counted.
    pub files: u64,
    /// Directories, the root included.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Devices, FIFOs and sockets made as such.
    pub specials: u64,
    /// Devices, FIFOs and sockets that are empty files and only recorded as what they are.
    pub specials_recorded: u64,
    /// Names beyond the first of their files.
    pub hard_links: u64,
    /// Bytes of contents that share their blocks with the packs.
    pub bytes_shared: u64,
    /// Bytes of contents that were copied.
    pub bytes_copied: u64,
    /// Symbolic links whose owner is lost, since Linux keeps no `user.` attributes for them.
    pub owners_lost: u64,
    /// Files whose time the filesystem cannot hold, and has as near as it can.
    pub times_clamped: u64,
    /// Extended attributes that were left out: the kernel refused them, or an access control list would have
    /// meant the host's users.
    pub xattrs_refused: u64,
    /// The first few of them that were met.
    pub refused: Vec<RefusedXattr>,
}

/// An extended attribute that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedXattr {
    /// Of which file; of several names one.
    pub path: TreePath,
    /// Its name.
    pub name: Vec<u8>,
}

impl Summary {
    /// How many attributes are told by name.
    const REFUSED_NAMED: usize = 16;

    pub(crate) fn refuse(&mut self, path: impl FnOnce() -> TreePath, name: &[u8]) {
        self.xattrs_refused += 1;
        if self.refused.len() < Self::REFUSED_NAMED {
            self.refused.push(RefusedXattr { path: path(), name: name.to_vec() });
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.directories += other.directories;
        self.symlinks += other.symlinks;
        self.specials += other.specials;
        self.specials_recorded += other.specials_recorded;
        self.hard_links += other.hard_links;
        self.bytes_shared += other.bytes_shared;
        self.bytes_copied += other.bytes_copied;
        self.owners_lost += other.owners_lost;
        self.times_clamped += other.times_clamped;
        self.xattrs_refused += other.xattrs_refused;
        self.refused.extend(other.refused);
        self.refused.sort_by(|left, right| (&left.path, &left.name).cmp(&(&right.path, &right.name)));
        self.refused.truncate(Self::REFUSED_NAMED);
    }
}
