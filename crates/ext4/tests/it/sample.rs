//! Trees and packs made in memory.

use std::collections::BTreeMap;

use offshoot_tree::{
    BLOCK_SIZE, Change, Content, Extent, Leaf, Merge, Metadata, SourceId, Timestamp, Tree, TreePath, Xattrs,
};
use serde_bytes::ByteBuf;

/// Sources of file contents: packs of blocks, of which only those that are not zeros are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packs(BTreeMap<u32, Pack>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Pack {
    length: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Packs {
    /// A source's length in bytes.
    pub(crate) fn length(&self, source: u32) -> u64 {
        self.0[&source].length * BLOCK_SIZE
    }

    /// A block of a source up to the zeros it ends with; `None` if it is all zeros.
    pub(crate) fn block(&self, source: SourceId, block: u64) -> Option<&[u8]> {
        let pack = &self.0[&source.0];
        assert!(block < pack.length, "block {block} of source {} was never made", source.0);
        pack.blocks.get(&block).map(Vec::as_slice)
    }

    /// What a file with these contents has.
    pub(crate) fn read(&self, content: &Content) -> Vec<u8> {
        let mut bytes = vec![0; content.size as usize];
        for extent in &content.extents {
            for block in 0..extent.block_count {
                let at = ((extent.logical_block + block) * BLOCK_SIZE) as usize;
                if let Some(data) = self.block(content.source, extent.source_block + block) {
                    // Fails if the file ends before the block's data does.
                    bytes[at..at + data.len()].copy_from_slice(data);
                }
            }
        }
        bytes
    }
}

/// One layer being made: its changes and its pack.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) changes: Vec<Change>,
    pack: Pack,
}

impl Layer {
    pub(crate) fn new() -> Self {
        Self { changes: Vec::new(), pack: Pack::default() }
    }

    /// Leaves so many blocks of the pack to nobody.
    pub(crate) fn skip(&mut self, blocks: u64) -> &mut Self {
        self.pack.length += blocks;
        self
    }

    /// Contents of so many blocks, the last of them not whole, every one different.
    pub(crate) fn content(&mut self, blocks: u64) -> Content {
        let source_block = self.pack.length;
        for block in source_block..source_block + blocks {
            let mut bytes = format!("block {block} of a pack, ").into_bytes().repeat(8);
            bytes.resize(bytes.len().min(3000), 0);
            self.pack.blocks.insert(block, bytes);
        }
        self.pack.length += blocks;
        let extents = if blocks == 0 {
            Vec::new()
        } else {
            vec![Extent { logical_block: 0, source_block, block_count: blocks }]
        };
        Content { size: (blocks * BLOCK_SIZE).saturating_sub(1000), source: SourceId(0), extents }
    }

    /// Contents of zeros that are not holes: cheap to make, however large.
    pub(crate) fn zeros(&mut self, blocks: u64) -> Content {
        let source_block = self.pack.length;
        self.pack.length += blocks;
        let extents = vec![Extent { logical_block: 0, source_block, block_count: blocks }];
        Content { size: blocks * BLOCK_SIZE, source: SourceId(0), extents }
    }

    /// Contents of one block at every other block, so that each is an extent.
    pub(crate) fn scattered(&mut self, extents: u64) -> Content {
        let mut content = self.content(extents);
        let first = content.extents.first().map_or(0, |extent| extent.source_block);
        content.extents = (0..extents)
            .map(|i| Extent { logical_block: 2 * i, source_block: first + i, block_count: 1 })
            .collect();
        content.size = 2 * extents * BLOCK_SIZE;
        content
    }

    pub(crate) fn file(&mut self, path: &str, content: Content) -> &mut Self {
        self.leaf(path.as_bytes(), Metadata { mode: 0o644, ..metadata() }, Leaf::File(content))
    }

    /// An executable file with these bytes.
    pub(crate) fn program(&mut self, path: &str, bytes: &[u8]) -> &mut Self {
        let source_block = self.pack.length;
        for (block, chunk) in (source_block..).zip(bytes.chunks(4096)) {
            self.pack.blocks.insert(block, chunk.to_vec());
        }
        let block_count = (bytes.len() as u64).div_ceil(BLOCK_SIZE);
        self.pack.length += block_count;
        let extents = vec![Extent { logical_block: 0, source_block, block_count }];
        let content = Content { size: bytes.len() as u64, source: SourceId(0), extents };
        self.leaf(path.as_bytes(), metadata(), Leaf::File(content))
    }

    pub(crate) fn blocks(&mut self, path: &str, blocks: u64) -> &mut Self {
        let content = self.content(blocks);
        self.file(path, content)
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &[u8]) -> &mut Self {
        self.leaf(path.as_bytes(), Metadata { mode: 0o777, ..metadata() }, Leaf::Symlink(target.into()))
    }

    pub(crate) fn directory(&mut self, path: &str) -> &mut Self {
        let path = TreePath::parse(path.as_bytes()).unwrap();
        self.changes.push(Change::Directory { path, metadata: metadata() });
        self
    }

    pub(crate) fn leaf(&mut self, path: &[u8], metadata: Metadata, leaf: Leaf) -> &mut Self {
        let path = TreePath::parse(path).unwrap();
        self.changes.push(Change::Leaf { path, metadata, leaf });
        self
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) -> &mut Self {
        let parse = |path: &str| TreePath::parse(path.as_bytes()).unwrap();
        self.changes.push(Change::HardLink { path: parse(path), target: parse(target) });
        self
    }

    /// The same pack with other changes.
    pub(crate) fn with_changes(self, changes: Vec<Change>) -> Self {
        Self { changes, ..self }
    }

    pub(crate) fn whiteout(&mut self, path: &str) -> &mut Self {
        self.changes.push(Change::Whiteout { path: TreePath::parse(path.as_bytes()).unwrap() });
        self
    }
}

/// The merged layers and their packs.
pub(crate) fn merge(layers: impl IntoIterator<Item = Layer>) -> (Tree, Packs) {
    let mut merge = Merge::new();
    let mut packs = Packs::default();
    for (number, layer) in (0..).zip(layers) {
        merge.apply(SourceId(number), layer.changes).unwrap();
        packs.0.insert(number, layer.pack);
    }
    (merge.finish(), packs)
}

/// The tree of one layer that this makes.
pub(crate) fn tree(make: impl FnOnce(&mut Layer)) -> (Tree, Packs) {
    let mut layer = Layer::new();
    make(&mut layer);
    merge([layer])
}

pub(crate) fn metadata() -> Metadata {
    let mtime = Timestamp { seconds: 1_700_000_000, nanoseconds: 123_456_789 };
    Metadata { mtime, ..Metadata::default() }
}

pub(crate) fn xattrs<'a>(pairs: impl IntoIterator<Item = (&'a [u8], Vec<u8>)>) -> Xattrs {
    pairs.into_iter().map(|(name, value)| (ByteBuf::from(name), ByteBuf::from(value))).collect()
}
