//! What a directory must be, by the tree.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use offshoot_testkit::{Entry, Kind, Listing, oracle, sha256};
use offshoot_tree::{BLOCK_SIZE, Content, InodeId, Leaf, Node, Tree};
use offshoot_unpack::{Error, Options, Ownership, Summary, unpack};
use tempfile::TempDir;

use crate::sample::Sample;
use crate::user::give_away;

/// An empty directory in one that only its owner enters.
pub(crate) struct Directory {
    parent: TempDir,
    pub(crate) path: PathBuf,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self::of(offshoot_testkit::scratch_directory())
    }

    pub(crate) fn on(filesystem: &Path) -> Self {
        Self::of(tempfile::tempdir_in(filesystem).unwrap())
    }

    /// One that belongs to nobody, who can get there.
    pub(crate) fn of_nobody() -> Self {
        let directory = Self::new();
        give_away(directory.parent.path());
        give_away(&directory.path);
        directory
    }

    fn of(parent: TempDir) -> Self {
        let path = parent.path().join("rootfs");
        std::fs::create_dir(&path).unwrap();
        Self { parent, path }
    }

    pub(crate) fn unpack(&self, sample: &Sample, options: &Options<'_>) -> Result<Summary, Error> {
        unpack(&sample.tree, &sample.packs, &File::open(&self.path).unwrap(), options)
    }
}

pub(crate) fn native() -> Options<'static> {
    Options { ownership: Ownership::Native, ..Options::default() }
}

pub(crate) fn overriding() -> Options<'static> {
    Options { ownership: Ownership::OverrideXattr, ..Options::default() }
}

/// Unpacks as root, and compares all there is.
pub(crate) fn unpacks(sample: &Sample) -> Option<(Directory, Summary)> {
    oracle::root().then(|| {
        let directory = Directory::new();
        let summary = directory.unpack(sample, &native()).unwrap();
        assert_same(&directory.path, sample);
        (directory, summary)
    })
}

/// The directory holds the tree, and nothing else.
pub(crate) fn assert_same(directory: &Path, sample: &Sample) {
    assert_listed(directory, &expected(sample));
}

/// The directory holds these, and nothing else.
pub(crate) fn assert_listed(directory: &Path, expected: &BTreeMap<Vec<u8>, Entry>) {
    let listing = Listing::of(directory);
    for (path, entry) in expected {
        let found = listing.entries().get(path);
        assert_eq!(found, Some(entry), "{}", path.escape_ascii());
    }
    for path in listing.entries().keys() {
        assert!(expected.contains_key(path), "{} is too many", path.escape_ascii());
    }
}

/// What the kernel must show of the tree.
pub(crate) fn expected(sample: &Sample) -> BTreeMap<Vec<u8>, Entry> {
    let tree = &sample.tree;
    let mut first: BTreeMap<InodeId, Vec<u8>> = BTreeMap::new();
    for (path, id) in tree.walk() {
        let path = path.as_bytes().to_vec();
        let name = first.entry(id).or_insert_with(|| path.clone());
        if path < *name {
            *name = path;
        }
    }
    tree.walk().map(|(path, id)| (path.as_bytes().to_vec(), entry(sample, tree, id, &first[&id]))).collect()
}

fn entry(sample: &Sample, tree: &Tree, id: InodeId, first: &[u8]) -> Entry {
    let inode = tree.inode(id);
    let metadata = &inode.metadata;
    let (mut size, mut device, mut digest, mut link_target) = (None, None, None, None);
    let kind = match &inode.node {
        Node::Directory(_) => Kind::Directory,
        Node::Leaf(Leaf::File(content)) => {
            size = Some(content.size);
            digest = Some(sha256(&read(&sample.packs, content)));
            Kind::File
        }
        Node::Leaf(Leaf::Symlink(target)) => {
            size = Some(target.len() as u64);
            link_target = Some(target.to_vec());
            Kind::Symlink
        }
        Node::Leaf(Leaf::CharDevice(of)) => {
            device = Some((of.major, of.minor));
            Kind::CharacterDevice
        }
        Node::Leaf(Leaf::BlockDevice(of)) => {
            device = Some((of.major, of.minor));
            Kind::BlockDevice
        }
        Node::Leaf(Leaf::Fifo) => Kind::Fifo,
        Node::Leaf(Leaf::Socket) => Kind::Socket,
    };
    let is_directory = kind == Kind::Directory;
    Entry {
        kind,
        mode: if kind == Kind::Symlink { 0o777 } else { metadata.mode.into() },
        uid: metadata.uid,
        gid: metadata.gid,
        size,
        mtime: (metadata.mtime.seconds, metadata.mtime.nanoseconds.into()),
        links: (!is_directory).then_some(inode.links.into()),
        device,
        xattrs: metadata.xattrs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        sha256: digest,
        target: link_target,
        same_as: (!is_directory && inode.links > 1).then(|| first.to_vec()),
    }
}

/// What a file with these contents has.
pub(crate) fn read(packs: &[File], content: &Content) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(content.size.next_multiple_of(BLOCK_SIZE)).unwrap()];
    for extent in &content.extents {
        let at = usize::try_from(extent.logical_block * BLOCK_SIZE).unwrap();
        let length = usize::try_from(extent.block_count * BLOCK_SIZE).unwrap();
        let pack = &packs[content.source.0 as usize];
        pack.read_exact_at(&mut bytes[at..at + length], extent.source_block * BLOCK_SIZE).unwrap();
    }
    bytes.truncate(usize::try_from(content.size).unwrap());
    bytes
}
