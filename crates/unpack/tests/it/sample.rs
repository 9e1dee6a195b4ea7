//! Trees and packs made to order.

use std::fs::File;
use std::os::unix::fs::FileExt;

use offshoot_tree::{
    BLOCK_SIZE, Change, Content, Extent, Leaf, Merge, Metadata, SourceId, Timestamp, Tree, TreePath, Xattrs,
};
use serde_bytes::ByteBuf;

/// A tree and where its contents are.
pub(crate) struct Sample {
    pub(crate) tree: Tree,
    pub(crate) packs: Vec<File>,
}

/// One layer being made: its changes and its pack's blocks.
#[derive(Default)]
pub(crate) struct Layer {
    pub(crate) changes: Vec<Change>,
    pack: Vec<u8>,
}

impl Layer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Contents that begin as given, in the order of the file's pieces: holes and data, both in blocks. Every
    /// block of data is different, and `lacks` bytes of the last one are not the file's.
    pub(crate) fn content(&mut self, pieces: &[(u64, u64)], lacks: u64) -> Content {
        let mut extents = Vec::new();
        let mut logical_block = 0;
        for &(hole, blocks) in pieces {
            logical_block += hole;
            let source_block = self.blocks();
            for number in source_block..source_block + blocks {
                let mut block = format!("block {number} of a pack, ").into_bytes().repeat(200);
                block.resize(4096, b'.');
                self.pack.extend_from_slice(&block);
            }
            extents.push(Extent { logical_block, source_block, block_count: blocks });
            logical_block += blocks;
        }
        let size = (logical_block * BLOCK_SIZE).saturating_sub(lacks);
        if lacks > 0 && !extents.is_empty() {
            // What lies behind the end of a file is zeros, as in packs.
            let end = self.pack.len();
            self.pack[end - usize::try_from(lacks).unwrap()..].fill(0);
        }
        Content { size, source: SourceId(0), extents }
    }

    /// Contents with these bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Content {
        let source_block = self.blocks();
        self.pack.extend_from_slice(bytes);
        self.pack.resize(self.pack.len().next_multiple_of(4096), 0);
        let block_count = self.blocks() - source_block;
        let extent = Extent { logical_block: 0, source_block, block_count };
        let extents = if block_count == 0 { Vec::new() } else { vec![extent] };
        Content { size: bytes.len() as u64, source: SourceId(0), extents }
    }

    fn blocks(&self) -> u64 {
        self.pack.len() as u64 / BLOCK_SIZE
    }

    pub(crate) fn file(&mut self, path: &str, bytes: &[u8]) -> &mut Self {
        let content = self.bytes(bytes);
        self.leaf(path, Metadata { mode: 0o644, ..metadata() }, Leaf::File(content))
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &[u8]) -> &mut Self {
        self.leaf(path, Metadata { mode: 0o777, ..metadata() }, Leaf::Symlink(target.into()))
    }

    pub(crate) fn leaf(&mut self, path: &str, metadata: Metadata, leaf: Leaf) -> &mut Self {
        self.changes.push(Change::Leaf { path: parse(path), metadata, leaf });
        self
    }

    pub(crate) fn directory(&mut self, path: &str, metadata: Metadata) -> &mut Self {
        self.changes.push(Change::Directory { path: parse(path), metadata });
        self
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) -> &mut Self {
        self.changes.push(Change::HardLink { path: parse(path), target: parse(target) });
        self
    }

    /// The pack in a file of this directory, or in an unnamed one of the system's.
    pub(crate) fn pack(&self, directory: Option<&std::path::Path>) -> File {
        let file = directory.map_or_else(tempfile::tempfile, tempfile::tempfile_in).unwrap();
        file.write_all_at(&self.pack, 0).unwrap();
        file
    }
}

fn parse(path: &str) -> TreePath {
    TreePath::parse(path.as_bytes()).unwrap()
}

/// The tree of these layers.
pub(crate) fn merge(layers: Vec<Layer>) -> Sample {
    merge_in(layers, None)
}

/// The same with the packs on the filesystem of a directory.
pub(crate) fn merge_in(layers: Vec<Layer>, directory: Option<&std::path::Path>) -> Sample {
    let mut merge = Merge::new();
    let mut packs = Vec::new();
    for (number, layer) in (0..).zip(layers) {
        packs.push(layer.pack(directory));
        merge.apply(SourceId(number), layer.changes).unwrap();
    }
    Sample { tree: merge.finish(), packs }
}

/// The tree of one layer that this makes.
pub(crate) fn sample(make: impl FnOnce(&mut Layer)) -> Sample {
    let mut layer = Layer::new();
    make(&mut layer);
    merge(vec![layer])
}

pub(crate) fn metadata() -> Metadata {
    let mtime = Timestamp { seconds: 1_700_000_000, nanoseconds: 123_456_789 };
    Metadata { mtime, ..Metadata::default() }
}

pub(crate) fn xattrs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Xattrs {
    pairs.into_iter().map(|(name, value)| (ByteBuf::from(name), ByteBuf::from(value))).collect()
}
